/**
 * Values bit by bit as they are: elements of several bytes are cut into planes (all first bytes, all second bytes …), and each plane
 * is coded by ans where that is shorter. Signs of floats go from the front to the end, so that an exponent is one byte:
 *
 *     float32 1.0 = 3f 80 00 00, turned left by a bit: 7f 00 00 00   exponent 127, no mantissa, no sign
 *
 *     0 · the bytes                                      as they are
 *     1 · (LEB128 length · bytes) for each plane         a plane as long as there are elements is not coded
 */
import { decompress } from "@bitdiet/ans";
import { CorruptInputError } from "./errors.js";
import { DTYPES, type DType, type FieldReader, readBytes, readNumber } from "./header.js";

/** Which types have their sign in front of an exponent. */
export const isFloat = (dtype: DType): boolean => /^b?float/.test(dtype);

/**
 * @param size bytes of the decoded tensor, which the caller has found acceptable
 * @throws {CorruptInputError} (or the ans decoder's) unless the rest of the bytes is exactly one coded tensor
 */
export function decodeLossless(reader: FieldReader, dtype: DType, size: number): Uint8Array {
  const kind = readBytes(reader, 1)[0];
  if (kind === 0) return readBytes(reader, size).slice();
  if (kind !== 1) throw new CorruptInputError(`Unknown lossless coding ${kind}`);
  const width = DTYPES[dtype] || 1;
  const count = size / width;
  const planes = Array.from({ length: width }, () => {
    const bytes = readBytes(reader, readNumber(reader));
    const plane = bytes.length === count ? bytes : decompress(bytes, { maxLength: count });
    if (!(plane instanceof Uint8Array) || plane.length !== count)
      throw new CorruptInputError("A plane of another length");
    return plane;
  });
  const values = new Uint8Array(size);
  planes.forEach((plane, k) => {
    for (let i = 0, at = k; i < count; i++, at += width) values[at] = plane[i];
  });
  if (isFloat(dtype)) turnSigns(values, width, false);
  return values;
}

/**
 * Turns each little-endian number by one bit, in place: to the left the sign goes from the highest to the lowest place.
 */
export function turnSigns(bytes: Uint8Array, width: number, toLeft: boolean): void {
  const last = width - 1;
  for (let at = 0; at < bytes.length; at += width) {
    let carried = toLeft ? bytes[at + last] >> 7 : bytes[at] & 1;
    for (let k = 0; k < width; k++) {
      const place = at + (toLeft ? k : last - k);
      const byte = bytes[place];
      bytes[place] = toLeft ? (byte << 1) | carried : (byte >> 1) | (carried << 7);
      carried = toLeft ? byte >> 7 : byte & 1;
    }
  }
}
