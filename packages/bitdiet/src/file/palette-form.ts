/**
 * A tensor of few different values as these and the place of each element among them. FORMAT.md, "Lossless tensors".
 *
 *     count · values · indices
 *     values:  planes, or 252 · scale · min          a grid: weights that a converter has quantized with one step
 *     indices: planes, or 253 · axis · integers      in rows, by the coder of weights
 */
import { type Dtype, elementCount } from "../model.js";
import { gridValues } from "./affine-grid.js";
import { must } from "./errors.js";
import { readIntegerTensor } from "./integer-tensor.js";
import { WEIGHTS } from "./integers.js";
import { type Reader, readBlock, readBytes, readNumber } from "./numbers.js";
import { indexWidth, MAX_VALUES } from "./palette.js";
import { readPlanes, widthOf } from "./planes.js";

export const GRID = 252;
export const ROWS = 253;
/** Bytes of an element from which on counted work has room for it. */
export const MIN_WIDTH_OF_ROWS = 4;

/** @throws {CorruptInputError} unless the next bytes are such a tensor of this size */
export async function readPalette(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const width = widthOf(dtype);
  const count = readNumber(reader);
  must(count > 0 && count <= MAX_VALUES && count * width <= size && size % width === 0);
  const values = readValues(reader, dtype, count);
  const kind = indexDtype(count);
  const form = readBytes(reader, 1)[0];
  const inRows = form === ROWS && kind === "uint8" && width >= MIN_WIDTH_OF_ROWS;
  const bytes = inRows
    ? await readRows(reader, shape, size / width)
    : readPlanes(reader, form, kind, (size / width) * indexWidth(count));
  const found = new Uint8Array(size);
  for (let i = 0, at = 0; at < size; i++, at += width) {
    const index = kind === "uint8" ? bytes[i] : bytes[2 * i] | (bytes[2 * i + 1] << 8);
    must(index < count);
    for (let k = 0; k < width; k++) found[at + k] = values[index * width + k];
  }
  return found;
}

export const indexDtype = (count: number): Dtype => (indexWidth(count) === 1 ? "uint8" : "uint16");

function readValues(reader: Reader, dtype: Dtype, count: number): Uint8Array {
  const form = readBytes(reader, 1)[0];
  if (form !== GRID || dtype !== "float32") return readPlanes(reader, form, dtype, count * widthOf(dtype));
  const view = new DataView(readBytes(reader, 16).slice().buffer);
  const [scale, min] = [view.getFloat64(0, true), view.getFloat64(8, true)];
  return new Uint8Array(gridValues({ scale, min }, count).buffer);
}

async function readRows(reader: Reader, shape: readonly number[], count: number): Promise<Uint8Array> {
  must(elementCount(shape) === count);
  const axis = readNumber(reader);
  return readIntegerTensor(readBlock(reader), "uint8", shape, { axis, width: 0, coder: WEIGHTS });
}
