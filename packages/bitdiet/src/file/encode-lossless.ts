/** The inverse of `decodeLossless`; lossless.ts says how. */
import { encodeBytes } from "@bitdiet/ans";
import type { Dtype } from "../model.js";
import { planesOf, turn } from "./lossless.js";
import { writeNumber } from "./write-header.js";

/** Shorter tensors are not worth the tables. */
const LEAST_COUNT = 32;

/** @param bytes little-endian elements of this type */
export function encodeLossless(bytes: Uint8Array, dtype: Dtype): Uint8Array {
  const width = planesOf(dtype);
  const count = bytes.length / width;
  if (count >= LEAST_COUNT) {
    const turned = new Uint8Array(bytes); // a copy of Node's Buffers, too, whose slice() is a view
    // All the way round but one: a turn to the left.
    turn(turned, dtype, 8 * width - 1);
    const pieces: (Uint8Array | number[])[] = [[1]];
    for (let k = 0; k < width; k++) {
      const plane = new Uint8Array(count);
      for (let i = 0, at = k; i < count; i++, at += width) plane[i] = turned[at];
      const coded = encodeBytes(plane);
      const piece = coded.length < count ? coded : plane;
      const length: number[] = [];
      writeNumber(length, piece.length);
      pieces.push(length, piece);
    }
    const joined = join(pieces);
    if (joined.length <= bytes.length) return joined;
  }
  return join([[0], bytes]);
}

/** All pieces in one array. */
export function join(pieces: readonly ArrayLike<number>[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
