/**
 * Values bit by bit as they are. FORMAT.md, "Lossless tensors".
 *
 *     0, 1 or the bytes of an element · …   as they are, or in planes: planes.ts
 *     254 · signs · one of the other forms  floats' signs apart from magnitudes, which come again where signs do not
 *     255 · count · values · indices        few different values, and which of them each element is: palette-form.ts
 */
import type { Dtype } from "../model.js";
import { unpackBytes } from "./byte-coders.js";
import { must } from "./errors.js";
import { type Reader, readBlock, readBytes, readNumber } from "./numbers.js";
import { once } from "./once.js";
import { readPlanes, widthOf } from "./planes.js";

export const SIGNS = 254;
export const PALETTE = 255;

/**
 * @param size bytes of the decoded tensor, which the caller has found acceptable
 * @throws {CorruptInputError} unless the next bytes are a tensor of this size
 */
export async function readLossless(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const form = readBytes(reader, 1)[0];
  return form === SIGNS ? readSigns(reader, dtype, size, shape) : readForm(reader, form, dtype, size, shape);
}

const palette = /* @__PURE__ */ once(() => import("./palette-form.js"));

async function readForm(
  reader: Reader,
  form: number,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  if (form !== PALETTE) return readPlanes(reader, form, dtype, size);
  const { readPalette } = await palette();
  return readPalette(reader, dtype, size, shape);
}

async function readSigns(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const width = widthOf(dtype);
  must(size % width === 0);
  const coder = readNumber(reader);
  const signs = unpackBytes(coder, readBlock(reader), Math.ceil(size / width / 8));
  const bytes = await readForm(reader, readBytes(reader, 1)[0], dtype, size, shape);
  for (let i = 0, at = width - 1; at < size; i++, at += width)
    bytes[at] ^= ((signs[i >> 3] >> (i & 7)) & 1) << 7;
  return bytes;
}
