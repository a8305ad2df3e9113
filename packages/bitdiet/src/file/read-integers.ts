/**
 * The first half of decoding a quantized tensor: from its parts to integers, row by row, and steps. FORMAT.md, "Quantized tensors".
 *
 *     [mean and synthesis of a transform] · steps · integers
 */
import { decodeBytes } from "@bitdiet/ans";
import { decodeWeightRows } from "@bitdiet/cabac";
import { must } from "./errors.js";
import { type FieldReader, type IntegerCoder, readBytes, readNumber, type TensorEntry } from "./header.js";
import { decodeLossless } from "./lossless.js";
import { checkedPart, type TensorParts } from "./parts.js";
import { rowsOf } from "./rows.js";
import { gridStep } from "./step-grid.js";
import { fromSymbols } from "./zigzag.js";

/** Coefficients to values: every `rows` of them to `size`. */
export interface Synthesis {
  rows: number;
  size: number;
  floats: Float32Array;
  /** Where the synthesis starts, after the mean if there is one. */
  offset: number;
}

export interface RowIntegers {
  /** Row by row, those that are kept; bytes are integers as zigzag.ts writes them. */
  integers: Int32Array | Uint8Array;
  /** 1, or one a slice. */
  steps: Float32Array;
  transform?: Synthesis;
}

/** @throws {CorruptInputError} (or a coder's) unless the parts are exactly those of such a tensor */
export function readQuantized(
  { shape, quantized, part, refinementPart }: TensorEntry,
  parts: TensorParts,
): RowIntegers {
  const { axis, perSlice, coder, transform, refinement } = quantized as NonNullable<TensorEntry["quantized"]>;
  const reader = { bytes: checkedPart(parts.bytes, part), position: 0 };
  const {
    extents: [rows, middle, inner],
    kernel,
  } = rowsOf(shape, axis);
  let rowLength = middle * inner;
  let synthesis: Synthesis | undefined;
  if (transform) {
    const { rows, size, hasMean } = transform;
    const offset = hasMean ? size : 0;
    const floats = new Float32Array(decodeLossless(reader, "float32", 4 * (offset + rows * size)).buffer);
    synthesis = { rows, size, floats, offset };
    rowLength = (rowLength / size) * rows;
  }
  const steps = readSteps(reader, perSlice ? rows : 1);
  const count = steps.filter((step) => step > 0).length * (perSlice ? 1 : rows) * rowLength;
  if (rowLength === 1) rowLength = count;
  const coded = transform ? ([1, 1] as const) : kernel;
  const read = (bytes: Uint8Array, coder: IntegerCoder) =>
    readIntegers(bytes, count, coder, rowLength, coded);
  let integers = read(readBytes(reader, parts.bytes.length - reader.position), coder);
  if (refinement && refinementPart && parts.refinement) {
    const coarse = integersOf(integers);
    const residual = integersOf(read(checkedPart(parts.refinement, refinementPart), refinement.coder));
    const unit = 2 ** refinement.bits;
    integers = coarse.map((integer, i) => integer * unit + residual[i]);
  }
  return { integers, steps, transform: synthesis };
}

export const integersOf = (integers: Int32Array | Uint8Array): Int32Array =>
  integers instanceof Uint8Array ? fromSymbols(integers) : integers;

function readIntegers(
  bytes: Uint8Array,
  count: number,
  coder: IntegerCoder,
  rowLength: number,
  [height, width]: readonly [number, number],
): Int32Array | Uint8Array {
  if (coder === 1) return decodeBytes(bytes, count);
  return decodeWeightRows(bytes, count, { rowLength, height, width });
}

/** One step a row, or one for all; 0 for what is pruned. */
function readSteps(reader: FieldReader, count: number): Float32Array {
  const grid = readBytes(reader, 1)[0];
  if (grid === 0) {
    const steps = new Float32Array(new Uint8Array(readBytes(reader, 4 * count)).buffer);
    must(steps.every((step) => step >= 0 && step < Infinity));
    return steps;
  }
  const parts = 2 ** ((grid & 127) - 1);
  const isPruned = grid > 127;
  must(parts >= 1 && parts <= 128);
  const zigzag = readNumber(reader);
  const middle = zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
  const list = (length: number) => {
    const bytes = readBytes(reader, readNumber(reader));
    return readIntegers(bytes, length, 0, length, [1, 1]);
  };
  if (count === 1 && isPruned) return new Float32Array(1);
  const pruned = isPruned ? list(count) : undefined;
  const kept = pruned ? pruned.filter((flag) => flag === 0).length : count;
  const offsets = count === 1 ? [0] : list(kept);
  const steps = new Float32Array(count);
  for (let row = 0, k = 0; row < count; row++) {
    if (pruned && pruned[row] !== 0) continue;
    const index = middle + offsets[k++];
    must(index >= -126 * parts && index < 128 * parts);
    steps[row] = gridStep(index, parts);
  }
  return steps;
}

/** Bytes of a tensor's transform: no part of the tensor, but memory. */
export function transformSize({ quantized }: TensorEntry): number {
  const { rows = 0, size = 0 } = quantized?.transform ?? {};
  return 4 * size * (rows + 1);
}
