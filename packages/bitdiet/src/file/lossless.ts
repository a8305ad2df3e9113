/**
 * Values bit by bit as they are. FORMAT.md, "Lossless tensors".
 *
 *     0, 1 or the bytes of an element · …   as they are, or in planes: planes.ts
 *     254 · signs · one of the other forms  floats' signs apart from magnitudes, which come again where signs do not
 *     255 · count · values · indices        few different values, and which of them each element is: palette-form.ts
 */
import { type Dtype, isFloat } from "../model.js";
import { packBytes, unpackBytes } from "./byte-coders.js";
import { must } from "./errors.js";
import { blockOf, join, type Reader, readBlock, readBytes, readNumber, writeNumber } from "./numbers.js";
import { readPalette, writePalette } from "./palette-form.js";
import { readPlanes, shorter, widthOf, writePlanes } from "./planes.js";

const [SIGNS, PALETTE] = [254, 255];

/**
 * @param size bytes of the decoded tensor, which the caller has found acceptable
 * @throws {CorruptInputError} unless the next bytes are a tensor of this size
 */
export function readLossless(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const form = readBytes(reader, 1)[0];
  return form === SIGNS ? readSigns(reader, dtype, size, shape) : readForm(reader, form, dtype, size, shape);
}

function readForm(
  reader: Reader,
  form: number,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  return form === PALETTE ? readPalette(reader, dtype, size, shape) : readPlanes(reader, form, dtype, size);
}

function readSigns(
  reader: Reader,
  dtype: Dtype,
  size: number,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const width = widthOf(dtype);
  must(size % width === 0);
  const coder = readNumber(reader);
  const signs = unpackBytes(coder, readBlock(reader), Math.ceil(size / width / 8));
  const bytes = readForm(reader, readBytes(reader, 1)[0], dtype, size, shape);
  for (let i = 0, at = width - 1; at < size; i++, at += width)
    bytes[at] ^= ((signs[i >> 3] >> (i & 7)) & 1) << 7;
  return bytes;
}

/** @param bytes little-endian elements of this type @param shape whose last extent may be a period of the values */
export function writeLossless(bytes: Uint8Array, dtype: Dtype, shape: readonly number[] = []): Uint8Array {
  const isRepetitive = repeats(bytes, widthOf(dtype));
  const { coded, isGrid } = writeForm(bytes, dtype, shape, isRepetitive);
  const apart = isRepetitive && !isGrid && isFloat(dtype) ? writeSigns(bytes, dtype, shape) : undefined;
  return apart ? shorter(coded, apart) : coded;
}

/** Rows of a Fourier basis are those of others but for signs. */
function writeSigns(bytes: Uint8Array, dtype: Dtype, shape: readonly number[]): Uint8Array | undefined {
  const width = widthOf(dtype);
  const magnitudes = new Uint8Array(bytes);
  const signs = new Uint8Array(Math.ceil(bytes.length / width / 8));
  for (let i = 0, at = width - 1; at < bytes.length; i++, at += width) {
    signs[i >> 3] |= (bytes[at] >> 7) << (i & 7);
    magnitudes[at] &= 127;
  }
  if (signs.every((byte) => byte === 0)) return undefined;
  const packed = packBytes(signs);
  const start: number[] = [SIGNS];
  writeNumber(start, packed.coder);
  return join([start, blockOf(packed.bytes), writeForm(magnitudes, dtype, shape, true).coded]);
}

/** @returns also whether the values lie on a grid */
function writeForm(
  bytes: Uint8Array,
  dtype: Dtype,
  shape: readonly number[],
  isRepetitive: boolean,
): { coded: Uint8Array; isGrid: boolean } {
  const palette = isRepetitive ? writePalette(bytes, dtype, shape) : undefined;
  const planes = palette?.isNarrow
    ? join([[0], bytes])
    : writePlanes(bytes, dtype, shape.at(-1) ?? 1, isRepetitive);
  const coded = palette ? shorter(join([[PALETTE], palette.bytes]), planes) : planes;
  return { coded, isGrid: palette?.isGrid ?? false };
}

/** Elements that are looked at, and the share that is different if nothing repeats. */
const SAMPLE = 2048;
const MAX_DISTINCT = 0.9;

/** Whether elements come more than once: what to search for costs time, and trained weights do not. */
function repeats(bytes: Uint8Array, width: number): boolean {
  const count = Math.min(SAMPLE, Math.floor(bytes.length / width));
  const first = Math.floor((bytes.length / width - count) / 2) * width;
  const seen = new Set<number>();
  for (let at = first; at < first + count * width; at += width) {
    let hash = 0;
    for (let k = at; k < at + width; k++) hash = Math.imul(hash, 0x01000193) ^ bytes[k];
    seen.add(hash);
  }
  return seen.size <= MAX_DISTINCT * count;
}
