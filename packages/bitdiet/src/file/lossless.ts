/**
 * Values bit by bit as they are: elements of several bytes are cut into planes (all first bytes, all second bytes …), and each plane
 * is coded by ans where that is shorter. Signs of float32, float16 and bfloat16 go from the front to the end, so that an exponent is one byte:
 *
 *     float32 1.0 = 3f 80 00 00, turned left by a bit: 7f 00 00 00   exponent 127, no mantissa, no sign
 *
 *     0 · the bytes                                      as they are
 *     1 · (LEB128 length · bytes) for each plane         a plane as long as there are elements is not coded
 */
import { decodeBytes } from "@bitdiet/ans";
import { type Dtype, dtypeBits, dtypeNames } from "../model.js";
import { must } from "./errors.js";
import { type FieldReader, readBytes, readNumber } from "./header.js";

/**
 * @param size bytes of the decoded tensor, which the caller has found acceptable
 * @throws {CorruptInputError} (or the ans decoder's) unless the rest of the bytes is exactly one coded tensor
 */
export function decodeLossless(reader: FieldReader, dtype: Dtype, size: number): Uint8Array {
  const kind = readBytes(reader, 1)[0];
  if (kind === 0) return new Uint8Array(readBytes(reader, size));
  must(kind === 1);
  const width = planesOf(dtype);
  const count = size / width;
  const planes = Array.from({ length: width }, () => {
    const bytes = readBytes(reader, readNumber(reader));
    return bytes.length === count ? bytes : decodeBytes(bytes, count);
  });
  const values = new Uint8Array(size);
  planes.forEach((plane, k) => {
    for (let i = 0, at = k; i < count; i++, at += width) values[at] = plane[i];
  });
  turn(values, dtype, 1);
  return values;
}

/** Planes that elements of this type are cut into; strings and elements of less than a byte are bytes. */
export const planesOf = (dtype: Dtype): number => Math.max(1, dtypeBits[dtype] >> 3);

/** Turns numbers of the types that have their sign in front of an exponent to the right, in place, by this many bits. */
export function turn(bytes: Uint8Array, dtype: Dtype, by: number): void {
  if (dtypeNames.indexOf(dtype) > 2) return;
  const width = dtypeBits[dtype];
  const numbers = new (width === 16 ? Uint16Array : Uint32Array)(bytes.buffer as ArrayBuffer);
  for (let i = 0; i < numbers.length; i++) numbers[i] = (numbers[i] >>> by) | (numbers[i] << (width - by));
}
