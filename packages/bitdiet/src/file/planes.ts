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
import { type Dtype, dtypeBits } from "../model.js";
import { unpackBytes } from "./byte-coders.js";
import { must } from "./errors.js";
import { type Reader, readBlock, readBytes, readNumber } from "./numbers.js";

export const CODERS = 8;

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

const isTurned = (dtype: Dtype): boolean =>
  dtype === "float32" || dtype === "float16" || dtype === "bfloat16";

/** Turns numbers of the types that have their sign in front of an exponent to the right, in place, by this many bits. */
export function turn(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype, by: number): void {
  if (!isTurned(dtype)) return;
  const width = dtypeBits[dtype];
  const numbers = new (width === 16 ? Uint16Array : Uint32Array)(bytes.buffer);
  for (let i = 0; i < numbers.length; i++) numbers[i] = (numbers[i] >>> by) | (numbers[i] << (width - by));
}
