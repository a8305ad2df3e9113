// Weights whose groups have bit widths of their own: packed as DiffQ counts them, which is a column of the table (range, two
// float32; one byte for the size of a width; a width a group; and each index in its group's width), and as integers of a file.
// Example: 144 weights in groups of 8 at 8 bits are 64 + 8 + 18 * 3 + 1152 = 1278 bits = 160 bytes packed.
import { nearestInteger, type Range } from "@bitdiet/fake-quant";
import { bitWriter } from "@bitdiet/zoo/shipping/bit-stream";
import { nearestOnGrid, type QuantizedTensor, toRows } from "bitdiet";

export interface MixedWeight {
  name: string;
  shape: number[];
  range: Range;
  /** A width a group of neighbours in the flattened tensor. */
  bits: Int32Array;
  /** 0 .. 2^bits - 1 of each weight's group. */
  indices: Int32Array;
}

/** The published packing of one tensor. */
export function packMixed(
  { range, bits, indices }: Omit<MixedWeight, "name" | "shape">,
  minBits: number,
): Uint8Array {
  const groupSize = indices.length / bits.length;
  const widthBits = Math.ceil(Math.log2(1 + bits.reduce((most, width) => Math.max(most, width)) - minBits));
  const writer = bitWriter();
  for (const end of new Uint32Array(Float32Array.of(range.min, range.max).buffer)) writer.put(end, 32);
  writer.put(widthBits, 8);
  for (const width of bits) writer.put(width - minBits, widthBits);
  for (const [i, index] of indices.entries()) writer.put(index, bits[Math.floor(i / groupSize)]);
  return writer.bytes();
}

/** Steps of the grid are 2^(n / 128), within 0.3 % of any. */
const PARTS_PER_OCTAVE = 128;

/**
 * The weights as a file holds them: groups are rows, with the step of their width, (max - min) / (2^bits - 1). Levels are
 * multiples of it, where the paper's start at the smallest weight: the noise of training stands for either.
 */
export function mixedIntegers(
  values: Float32Array,
  { shape, range, bits }: Pick<MixedWeight, "shape" | "range" | "bits">,
): QuantizedTensor {
  const stepOf = (width: number) =>
    nearestOnGrid((range.max - range.min) / (2 ** width - 1), PARTS_PER_OCTAVE);
  const groupSize = values.length / bits.length;
  const steps = Float32Array.from(bits, stepOf);
  const integers = Int32Array.from(values, (value, i) =>
    nearestInteger(value, steps[Math.floor(i / groupSize)]),
  );
  // One width for all: rows are the output channels, as everywhere.
  if (bits.length === 1)
    return { shape, integers: toRows(integers, shape, shape.length - 1), axis: shape.length - 1, steps };
  return { shape: [bits.length, groupSize], integers, axis: 0, steps };
}
