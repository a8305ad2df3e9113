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
  const turned = new Uint8Array(bytes); // a copy of Node's Buffers, too, whose slice() is a view
  // All the way round but one: a turn to the left.
  turn(turned, dtype, 8 * width - 1);
  const count = bytes.length / width;
  const planes = Array.from({ length: width }, (_, k) => {
    const plane = new Uint8Array(count);
    for (let i = 0, at = k; i < count; i++, at += width) plane[i] = turned[at];
    return packedPlane(plane, [1, row], among);
  });
  const best = shorter(start, join([[width], ...planes]));
  // Numbers that come again and again, in any order, are found where they lie.
  return isRepetitive ? shorter(best, join([[1], packedPlane(bytes, [], among)])) : best;
}

export const shorter = (a: Uint8Array, b: Uint8Array): Uint8Array => (b.length < a.length ? b : a);

/** One plane with its stride and coder. @param strides to try; by order 0 they are compared */
function packedPlane(plane: Uint8Array, strides: readonly number[], among?: readonly number[]): Uint8Array {
  let best = { stride: 0, bytes: plane, bits: strides.length > 0 ? encodedBits(plane) : 0 };
  for (const stride of new Set(strides)) {
    if (stride >= plane.length) continue;
    const bytes = plane.map((byte, i) => (i >= stride ? byte - plane[i - stride] : byte));
    const bits = encodedBits(bytes);
    if (bits < 0.98 * best.bits) best = { stride, bytes, bits };
  }
  const packed = packBytes(best.bytes, among);
  const kind: number[] = [];
  writeNumber(kind, CODERS * best.stride + packed.coder);
  return join([kind, blockOf(packed.bytes)]);
}
