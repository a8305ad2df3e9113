/**
 * Values bit by bit to whichever form takes the fewest bytes: the other side of lossless.ts.
 *
 *     writeLossless(new Uint8Array(Float32Array.of(1, 2, 1, 2).buffer), "float32", [4]);
 */
import { type Dtype, isFloat } from "../model.js";
import { PALETTE, SIGNS } from "./lossless.js";
import { blockOf, join, writeNumber } from "./numbers.js";
import { packBytes } from "./pack-bytes.js";
import { widthOf } from "./planes.js";
import { writePalette } from "./write-palette.js";
import { leastOfPlanes, shorter, writePlanes } from "./write-planes.js";

/** @param bytes little-endian elements of this type @param shape whose last extent may be a period of the values */
export function writeLossless(bytes: Uint8Array, dtype: Dtype, shape: readonly number[] = []): Uint8Array {
  const isRepetitive = repeats(bytes, widthOf(dtype));
  const { coded, isGrid } = writeForm(bytes, dtype, shape, isRepetitive);
  const apart = isRepetitive && !isGrid && isFloat(dtype) ? writeSigns(bytes, dtype, shape) : undefined;
  return apart ? shorter(coded, apart) : coded;
}

/** Bytes that `writeLossless` takes at least; found in a quarter of the time where nothing repeats, 0 where something does. */
export function leastLossless(bytes: Uint8Array, dtype: Dtype, shape: readonly number[] = []): number {
  return repeats(bytes, widthOf(dtype)) ? 0 : leastOfPlanes(bytes, dtype, shape.at(-1) ?? 1);
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
