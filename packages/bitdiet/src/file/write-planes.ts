/**
 * Elements to bytes as they are, or to planes: the other side of planes.ts.
 *
 *     writePlanes(new Uint8Array(Float32Array.of(1, 2, 3).buffer), "float32", 1, false);
 */
import { encodedBits } from "@bitdiet/ans";
import type { Dtype } from "../model.js";
import { blockOf, join, writeNumber } from "./numbers.js";
import { ANS, packBytes } from "./pack-bytes.js";
import { CODERS, turn, widthOf } from "./planes.js";

/** @param row a period that the values may have @param isRepetitive whether to search for what comes again */
export function writePlanes(bytes: Uint8Array, dtype: Dtype, row: number, isRepetitive: boolean): Uint8Array {
  const width = widthOf(dtype);
  const among = isRepetitive ? undefined : [0, ANS];
  const start = join([[0], bytes]);
  if (width === 1) return shorter(start, join([[1], packedPlane(new Uint8Array(bytes), [1, row], among)]));
  const planes = planesOf(bytes, dtype);
  const packed = Array.from({ length: width }, (_, k) => packedPlane(planes(k), [1, row], among));
  const best = shorter(start, join([[width], ...packed]));
  // Numbers that come again and again, in any order, are found where they lie.
  return isRepetitive ? shorter(best, join([[1], packedPlane(bytes, [], among)])) : best;
}

/** What `writePlanes` takes at least where nothing repeats: the first of the planes, of which floats' last bits are noise. */
export function leastOfPlanes(bytes: Uint8Array, dtype: Dtype, row: number): number {
  return Math.min(bytes.length, packedPlane(planesOf(bytes, dtype)(0), [1, row], [0, ANS]).length);
}

/** Each element's byte `k`, all the way round but one: a turn to the left. */
function planesOf(bytes: Uint8Array, dtype: Dtype): (k: number) => Uint8Array {
  const width = widthOf(dtype);
  const turned = new Uint8Array(bytes); // a copy of Node's Buffers, too, whose slice() is a view
  if (width > 1) turn(turned, dtype, 8 * width - 1);
  return (k) => {
    const plane = new Uint8Array(bytes.length / width);
    for (let i = 0, at = k; i < plane.length; i++, at += width) plane[i] = turned[at];
    return plane;
  };
}

export const shorter = (a: Uint8Array, b: Uint8Array): Uint8Array => (b.length < a.length ? b : a);

/** One plane with its stride and coder. @param strides to try; by order 0 they are compared */
function packedPlane(plane: Uint8Array, strides: readonly number[], among?: readonly number[]): Uint8Array {
  let best = { stride: 0, bytes: plane, bits: strides.length > 0 ? encodedBits(plane) : 0 };
  for (const stride of new Set(strides)) {
    if (stride >= plane.length) continue;
    const bytes = plane.slice();
    for (let i = stride; i < bytes.length; i++) bytes[i] = plane[i] - plane[i - stride];
    const bits = encodedBits(bytes);
    if (bits < 0.98 * best.bits) best = { stride, bytes, bits };
  }
  const packed = packBytes(best.bytes, among);
  const kind: number[] = [];
  writeNumber(kind, CODERS * best.stride + packed.coder);
  return join([kind, blockOf(packed.bytes)]);
}
