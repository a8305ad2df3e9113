/**
 * One part of a file to what it holds: a tensor, its integers, or a piece of metadata.
 *
 *     decodePart(entry, checkedPart(bytes, entry.part))
 *     // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 */
import type { Dtype } from "../model.js";
import { unpackBytes } from "./byte-coders.js";
import type { MetadataEntry, TensorEntry } from "./entries.js";
import { must, named } from "./errors.js";
import { readIntegerTensor } from "./integer-tensor.js";
import { integersOf, readIntegers } from "./integers.js";
import { readLossless } from "./lossless.js";
import { elementsOf, type Reader, readBytes } from "./numbers.js";
import type { CheckedPart } from "./parts.js";
import { allRows, type QuantizedTensor } from "./quantized-tensor.js";
import { rowsOf, scatterRows } from "./rows.js";
import { readSteps } from "./steps.js";

export interface DecodedTensor {
  name: string;
  /** What the values were when they were encoded. */
  dtype: Dtype;
  shape: number[];
  /** float32 for a quantized tensor, whatever its type was, and for float32; else the elements' bytes, little-endian. Row-major. */
  values: Float32Array | Uint8Array;
}

export interface DecodedMetadata {
  name: string;
  bytes: Uint8Array;
}

/**
 * @param part of the tensor or metadata that the entry is of
 * @param refinement second part of a tensor in two; without it the tensor is decoded coarsely
 * @throws {CorruptInputError} unless the part is exactly what its entry says
 */
export function decodePart(entry: TensorEntry, part: CheckedPart, refinement?: CheckedPart): DecodedTensor;
export function decodePart(entry: MetadataEntry, part: CheckedPart): DecodedMetadata;
export function decodePart(
  entry: TensorEntry | MetadataEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): DecodedTensor | DecodedMetadata {
  const { name } = entry;
  if ("coder" in entry)
    return named(`metadata "${name}"`, () => ({ name, bytes: unpackBytes(entry.coder, part, entry.size) }));
  const { dtype, shape, quantized, integers, size } = entry;
  return named(`tensor "${name}"`, () => {
    if (quantized) return { name, dtype, shape, values: dequantized(entry, part, refinement) };
    if (integers) return { name, dtype, shape, values: readIntegerTensor(part, dtype, shape, integers) };
    const reader: Reader = { bytes: part, position: 0 };
    const exact = readLossless(reader, dtype, size, shape);
    must(reader.position === part.length);
    return { name, dtype, shape, values: dtype === "float32" ? new Float32Array(exact.buffer) : exact };
  });
}

/**
 * The integers and steps themselves, for tools that look at them.
 *
 * @throws {CorruptInputError} as `decodePart`; {RangeError} if the tensor is not quantized
 */
export function decodeQuantizedPart(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): QuantizedTensor {
  const { quantized, name, shape } = entry;
  if (!quantized) throw new RangeError(`entry: expected a quantized tensor, got "${name}"`);
  return named(`tensor "${name}"`, () => {
    const { integers, steps } = readQuantized(entry, part, refinement);
    const rows = shape[quantized.axis] ?? 1;
    const all = allRows(integersOf(integers), elementsOf(shape), rows, steps);
    return { shape, integers: all, axis: quantized.axis, steps };
  });
}

function dequantized(entry: TensorEntry, part: CheckedPart, refinement?: CheckedPart): Float32Array {
  const { axis, refinement: refined } = entry.quantized as NonNullable<TensorEntry["quantized"]>;
  const { integers, steps } = readQuantized(entry, part, refinement);
  const coarse = refined && !refinement ? 2 ** refined.bits : 1;
  const layout = rowsOf(entry.shape, axis);
  const factors = new Float64Array(layout.extents[0]).map((_, row) => (steps[row] ?? steps[0]) * coarse);
  return scatterRows(new Float32Array(entry.size / 4), integers, layout, factors);
}

interface Quantized {
  /** Row by row, those that are kept; bytes are integers as zigzag.ts writes them. */
  integers: Int32Array | Uint8Array;
  /** 1, or one per row. */
  steps: Float32Array;
}

/** steps · integers */
function readQuantized(
  { shape, quantized }: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Quantized {
  const { axis, perRow, coder, refinement: refined } = quantized as NonNullable<typeof quantized>;
  const reader: Reader = { bytes: part, position: 0 };
  const layout = rowsOf(shape, axis);
  const [rows, middle, inner] = layout.extents;
  const rowLength = middle * inner;
  const steps = readSteps(reader, perRow ? rows : 1);
  const count = steps.filter((step) => step > 0).length * (perRow ? 1 : rows) * rowLength;
  const lie = { rowLength, kernel: layout.kernel };
  const rest = readBytes(reader, part.length - reader.position);
  const integers = readIntegers(rest, count, coder, lie);
  if (!refined || !refinement) return { integers, steps };
  const residual = integersOf(readIntegers(refinement, count, refined.coder, lie));
  return { integers: refinedBy(integersOf(integers), residual, refined.bits), steps };
}

function refinedBy(coarse: Int32Array, residual: Int32Array, bits: number): Int32Array {
  return coarse.map((integer, i) => {
    const fine = integer * 2 ** bits + residual[i];
    must(Math.abs(fine) < 2 ** 31);
    return fine;
  });
}
