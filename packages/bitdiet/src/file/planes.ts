/**
 * Elements as they are, or byte by byte in planes. FORMAT.md, "Lossless tensors".
 *
 *     0 · the bytes                                as they are
 *     p · (stride and coder · bytes) p times       planes: one of all bytes, or one of each element's first bytes, of its second …
 *
 * With a stride s each byte of a plane is what it differs by from the one s before: of index tables, grids and smooth curves
 * little is left. Signs of float32, float16 and bfloat16 go from the front to the end, so that an exponent is one byte:
 *
 *     float32 1.0 = 3f 80 00 00, turned left by a bit: 7f 00 00 00   exponent 127, no mantissa, no sign
 */
import { encodedBits } from "@bitdiet/ans";
import { type Dtype, dtypeBits } from "../model.js";
import { ANS, packBytes, unpackBytes } from "./byte-coders.js";
import { must } from "./errors.js";
import { blockOf, join, type Reader, readBlock, readBytes, readNumber, writeNumber } from "./numbers.js";

const CODERS = 8;

/** Bytes of an element, 1 where elements share bytes. */
export const widthOf = (dtype: Dtype): number => Math.max(1, dtypeBits[dtype] >> 3);

/** @param planes their number, which was read @throws {CorruptInputError} if there are no so many planes of elements */
export function readPlanes(
  reader: Reader,
  planes: number,
  dtype: Dtype,
  size: number,
): Uint8Array<ArrayBuffer> {
  if (planes === 0) return new Uint8Array(readBytes(reader, size));
  const width = widthOf(dtype);
  must((planes === 1 || planes === width) && size % planes === 0);
  const count = size / planes;
  const coded = Array.from({ length: planes }, () => ({
    kind: readNumber(reader),
    bytes: readBlock(reader),
  }));
  const unpacked = coded.map(({ kind, bytes }) => unpackBytes(kind % CODERS, bytes, count));
  const values = new Uint8Array(size);
  coded.forEach(({ kind }, k) => {
    const plane = unpacked[k];
    const stride = Math.floor(kind / CODERS);
    const back = stride * planes;
    for (let i = 0, at = k; i < count; i++, at += planes)
      values[at] = stride > 0 && i >= stride ? plane[i] + values[at - back] : plane[i];
  });
  if (planes === width) turn(values, dtype, 1);
  return values;
}

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

const isTurned = (dtype: Dtype): boolean =>
  dtype === "float32" || dtype === "float16" || dtype === "bfloat16";

/** Turns numbers of the types that have their sign in front of an exponent to the right, in place, by this many bits. */
function turn(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype, by: number): void {
  if (!isTurned(dtype)) return;
  const width = dtypeBits[dtype];
  const numbers = new (width === 16 ? Uint16Array : Uint32Array)(bytes.buffer);
  for (let i = 0; i < numbers.length; i++) numbers[i] = (numbers[i] >>> by) | (numbers[i] << (width - by));
}
