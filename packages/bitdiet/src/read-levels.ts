/**
 * The first half of decoding a quantized tensor: from its parts to levels, row by row, and steps. FORMAT.md, "Quantized tensors".
 *
 *     [mean and synthesis of a transform] · steps · levels
 */
import { decompress } from "@bitdiet/ans";
import { decodeWeights } from "@bitdiet/cabac";
import { must } from "./errors.js";
import { type FieldReader, type LevelCoder, readBytes, readNumber, type TensorEntry } from "./header.js";
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

export interface RowLevels {
  /** Row by row, those that are kept; bytes are levels as zigzag.ts writes them. */
  levels: Int32Array | Uint8Array;
  /** 1, or one a slice. */
  steps: Float32Array;
  kept: Int32Array;
  transform?: Synthesis;
}

/** @throws {CorruptInputError} (or a coder's) unless the parts are exactly those of such a tensor */
export function readQuantized(
  { shape, quantized, part, refinementPart }: TensorEntry,
  parts: TensorParts,
): RowLevels {
  const { axis, perSlice, coder, transform, refinement } = quantized as NonNullable<TensorEntry["quantized"]>;
  const reader = { bytes: checkedPart(parts.bytes, part), position: 0 };
  const { extents, kernel } = rowsOf(shape, axis);
  const [rows] = extents;
  let rowLength = extents[1] * extents[2];
  let synthesis: Synthesis | undefined;
  if (transform) {
    const { rows, size, hasMean } = transform;
    const offset = hasMean ? size : 0;
    const floats = new Float32Array(decodeLossless(reader, "float32", 4 * (offset + rows * size)).buffer);
    synthesis = { rows, size, floats, offset };
    rowLength = (rowLength / size) * rows;
  }
  const steps = readSteps(reader, perSlice ? rows : 1);
  const isPruned = (row: number) => steps[perSlice ? row : 0] === 0;
  const keptRows = perSlice
    ? steps.reduce((sum, step) => sum + (step === 0 ? 0 : 1), 0)
    : isPruned(0)
      ? 0
      : rows;
  const count = keptRows * rowLength;
  const coded = {
    rowLength: rowLength === 1 ? count : rowLength,
    kernel: transform ? ([1, 1] as const) : kernel,
  };
  let levels = readLevels(readBytes(reader, parts.bytes.length - reader.position), count, coder, coded);
  if (refinement && refinementPart && parts.refinement) {
    const coarse = levelsOf(levels);
    const residual = levelsOf(
      readLevels(checkedPart(parts.refinement, refinementPart), count, refinement.coder, coded),
    );
    const unit = 2 ** refinement.bits;
    levels = coarse.map((level, i) => level * unit + residual[i]);
  }
  // Only now, as no more memory must be taken than there are levels.
  const kept = new Int32Array(keptRows);
  for (let row = 0, k = 0; k < keptRows; row++) if (!isPruned(row)) kept[k++] = row;
  return { levels, steps, kept, transform: synthesis };
}

export const levelsOf = (levels: Int32Array | Uint8Array): Int32Array =>
  levels instanceof Uint8Array ? fromSymbols(levels) : levels;

/** No level costs cabac less than 0.00052 bits: bounds what coded bytes can stand for. */
const LEVELS_PER_BYTE = 16384;

function readLevels(
  bytes: Uint8Array,
  count: number,
  coder: LevelCoder,
  rows: { rowLength: number; kernel: readonly [number, number] },
): Int32Array | Uint8Array {
  if (count === 0) {
    must(bytes.length === 0);
    return new Int32Array(0);
  }
  if (coder === 1) {
    const symbols = decompress(bytes, { maxLength: count });
    must(symbols.length === count);
    return symbols instanceof Uint8Array ? symbols : fromSymbols(symbols);
  }
  must(count <= (bytes.length + 4) * LEVELS_PER_BYTE);
  return decodeWeights(bytes, count, rows);
}

/** One step a row, or one for all; 0 for what is pruned. */
function readSteps(reader: FieldReader, count: number): Float32Array {
  const grid = readBytes(reader, 1)[0];
  if (grid === 0) {
    const steps = new Float32Array(readBytes(reader, 4 * count).slice().buffer);
    must(steps.every((step) => step >= 0 && step < Infinity));
    return steps;
  }
  const parts = 2 ** ((grid & 127) - 1);
  const isPruned = grid > 127;
  must(parts >= 1 && parts <= 128);
  const zigzag = readNumber(reader);
  const middle = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  const list = (length: number) => {
    const bytes = readBytes(reader, readNumber(reader));
    return levelsOf(readLevels(bytes, length, 0, { rowLength: length, kernel: [1, 1] }));
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
