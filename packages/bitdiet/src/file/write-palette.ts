/**
 * A tensor of few different values to these and the place of each element among them: the other side of palette-form.ts.
 *
 *     writePalette(bytes, "float32", [64, 64]);   // undefined if there are too many
 */
import type { Dtype } from "../model.js";
import { affineGridOf, gridValues } from "./affine-grid.js";
import { WEIGHTS } from "./integers.js";
import { blockOf, join, writeNumber } from "./numbers.js";
import { indexWidth, type Palette, paletteOf } from "./palette.js";
import { GRID, indexDtype, MIN_WIDTH_OF_ROWS, ROWS } from "./palette-form.js";
import { widthOf } from "./planes.js";
import { writeIntegerTensor } from "./write-integer-tensor.js";
import { coders, estimated, type Measure, written } from "./write-integers.js";
import { shorter, writePlanes } from "./write-planes.js";

/** Codes of a byte. */
const MAX_CODES = 256;
/** Fewer values have no rows: bytes by what is repeated in them are as good. */
const MIN_IN_ROWS = 17;

/** What stands for a tensor. */
export interface WrittenPalette {
  bytes: Uint8Array;
  /** Indices of a byte: what comes again in the elements' bytes comes again in these. */
  isNarrow: boolean;
  /** Values on a grid: signs mean nothing there. */
  isGrid: boolean;
}

/** @returns undefined if there are too many values */
export function writePalette(
  bytes: Uint8Array,
  dtype: Dtype,
  shape: readonly number[],
): WrittenPalette | undefined {
  const width = widthOf(dtype);
  const palette = paletteOf(bytes, dtype, width);
  if (!palette) return undefined;
  const count = palette.values.length / width;
  const grid =
    dtype === "float32" && count >= MIN_IN_ROWS ? onGrid(palette, bytes.length / width) : undefined;
  if (grid) return { bytes: writeWith(grid.palette, grid.start, dtype, shape), isNarrow: true, isGrid: true };
  const values = writePlanes(palette.values, dtype, 1, false);
  const isNarrow = indexWidth(count) === 1;
  return { bytes: writeWith(palette, values, dtype, shape), isNarrow, isGrid: false };
}

/** @param values as they are written */
function writeWith(palette: Palette, values: Uint8Array, dtype: Dtype, shape: readonly number[]): Uint8Array {
  const width = widthOf(dtype);
  const count = palette.values.length / width;
  const start: number[] = [];
  writeNumber(start, count);
  const planes = writePlanes(palette.indices, indexDtype(count), shape.at(-1) ?? 1, true);
  const hasRows = count >= MIN_IN_ROWS && count <= MAX_CODES && width >= MIN_WIDTH_OF_ROWS;
  const rows = hasRows ? writeRows(palette.indices, shape) : undefined;
  return join([start, values, rows ? shorter(planes, rows) : planes]);
}

/** The same values on a grid, if there is one that gives their bits, with all codes that it has. */
function onGrid(
  { values, indices }: Palette,
  elements: number,
): { palette: Palette; start: Uint8Array } | undefined {
  const floats = new Float32Array(values.slice().buffer);
  const grid = floats.length <= MAX_CODES ? affineGridOf(floats, Math.min(MAX_CODES, elements)) : undefined;
  if (!grid) return undefined;
  const { scale, min, codes } = grid;
  const all = gridValues(grid, codes[codes.length - 1] + 1);
  const palette = {
    values: new Uint8Array(all.buffer),
    indices: indices.map((index) => codes[index]),
  };
  return { palette, start: join([[GRID], new Uint8Array(Float64Array.of(scale, min).buffer)]) };
}

/** Indices as integers of the rows along whichever axis the output channels may be on. */
function writeRows(indices: Uint8Array, shape: readonly number[]): Uint8Array | undefined {
  const axes = [...new Set([0, shape.length - 2, shape.length - 1])].filter((axis) => axis >= 0);
  const coded = (axis: number, measure: Measure) =>
    writeIntegerTensor(indices, "uint8", shape, { axis, width: 0 }, 0, byWeights(measure));
  const lengths = axes.map((axis) => coded(axis, estimated)?.length ?? Infinity);
  const axis = axes[lengths.indexOf(Math.min(...lengths))];
  const bytes = axis === undefined ? undefined : coded(axis, written)?.bytes;
  return bytes && join([[ROWS, axis], blockOf(bytes)]);
}

/** With codes of one coder alone. */
const byWeights =
  (measure: Measure): Measure =>
  (coder, integers, rows) =>
    coder === coders[WEIGHTS] ? measure(coder, integers, rows) : { length: Infinity };
