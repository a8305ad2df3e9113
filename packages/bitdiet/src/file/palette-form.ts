/**
 * A tensor of few different values as these and the place of each element among them. FORMAT.md, "Lossless tensors".
 *
 *     count · values · indices
 *     values:  planes, or 252 · scale · min          a grid: weights that a converter has quantized with one step
 *     indices: planes, or 253 · axis · integers      in rows, by the coder of weights
 */
import { type Dtype, elementCount } from "../model.js";
import { affineGridOf, gridValues } from "./affine-grid.js";
import { must } from "./errors.js";
import { readIntegerTensor, writeIntegerTensor } from "./integer-tensor.js";
import { coders, estimated, type Measure, written } from "./integers.js";
import { blockOf, join, type Reader, readBlock, readBytes, readNumber, writeNumber } from "./numbers.js";
import { indexWidth, MAX_VALUES, type Palette, paletteOf } from "./palette.js";
import { readPlanes, shorter, widthOf, writePlanes } from "./planes.js";

const [GRID, ROWS] = [252, 253];
/** Codes of a byte. */
const MAX_CODES = 256;
/** The coder of integers in rows here: it sees rows, and decodes as fast as work is counted for. */
const WEIGHTS = 2;
/** Bytes of an element from which on counted work has room for it. */
const MIN_WIDTH_OF_ROWS = 4;
/** Fewer values have no rows: bytes by what is repeated in them are as good. */
const MIN_IN_ROWS = 17;

/** @throws {CorruptInputError} unless the next bytes are such a tensor of this size */
export function readPalette(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const width = widthOf(dtype);
  const count = readNumber(reader);
  must(count > 0 && count <= MAX_VALUES && count * width <= size && size % width === 0);
  const values = readValues(reader, dtype, count);
  const kind = indexDtype(count);
  const form = readBytes(reader, 1)[0];
  const inRows = form === ROWS && kind === "uint8" && width >= MIN_WIDTH_OF_ROWS;
  const bytes = inRows
    ? readRows(reader, shape, size / width)
    : readPlanes(reader, form, kind, (size / width) * indexWidth(count));
  const found = new Uint8Array(size);
  for (let i = 0, at = 0; at < size; i++, at += width) {
    const index = kind === "uint8" ? bytes[i] : bytes[2 * i] | (bytes[2 * i + 1] << 8);
    must(index < count);
    for (let k = 0; k < width; k++) found[at + k] = values[index * width + k];
  }
  return found;
}

const indexDtype = (count: number): Dtype => (indexWidth(count) === 1 ? "uint8" : "uint16");

function readValues(reader: Reader, dtype: Dtype, count: number): Uint8Array {
  const form = readBytes(reader, 1)[0];
  if (form !== GRID || dtype !== "float32") return readPlanes(reader, form, dtype, count * widthOf(dtype));
  const view = new DataView(readBytes(reader, 16).slice().buffer);
  const [scale, min] = [view.getFloat64(0, true), view.getFloat64(8, true)];
  return new Uint8Array(gridValues({ scale, min }, count).buffer);
}

function readRows(reader: Reader, shape: readonly number[], count: number): Uint8Array {
  must(elementCount(shape) === count);
  const axis = readNumber(reader);
  return readIntegerTensor(readBlock(reader), "uint8", shape, { axis, width: 0, coder: WEIGHTS });
}

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
