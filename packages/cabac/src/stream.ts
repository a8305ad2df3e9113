/**
 * A self-describing stream around the payload: it says what it holds, ends exactly and carries a checksum. See FORMAT.md.
 *
 *     compress(Int8Array.of(0, 1, -1, 0), { rowLength: 2 })   // 9 bytes of header and 1 of payload
 *
 *     0xC1 · count · row length · kernel height · kernel width (LEB128 each) · xxHash32 (4 bytes, little-endian) · payload
 */
import { checkedMaxLength, corrupt, describe, readNumber, writeNumber, xxHash32 } from "@bitdiet/stream";
import { decodeWeightRows } from "./decode.js";
import { encodeWeights } from "./encode.js";
import { estimateBits } from "./rate.js";
import type { Integers, WeightShape } from "./weights.js";
import { checkedIntegers } from "./weights.js";

const FORMAT = 0xc1;

/**
 * Integers as bytes, with a checksum.
 *
 * @param integers -(2^31 - 1) .. 2^31 - 1
 * @throws {RangeError} if an integer is -2^31 or the shape does not divide the integers
 */
export function compress(integers: Integers, shape: WeightShape = {}): Uint8Array {
  const values = checkedIntegers(integers);
  const payload = encodeWeights(values, shape);
  const header = headerOf(values.length, shape);
  const bytes = new Uint8Array(header.length + 4 + payload.length);
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(header.length, checksum(header, values), true);
  bytes.set(payload, header.length + 4);
  return bytes;
}

/** Size in bits of what `compress` returns for the same arguments, to within 0.1 % and two bytes, without writing it. */
export function estimateCompressedBits(integers: Integers, shape: WeightShape = {}): number {
  const payload = Math.ceil(estimateBits(integers, shape) / 8);
  return 8 * (headerOf(integers.length, shape).length + 4 + payload);
}

function headerOf(count: number, { rowLength, kernel: [height, width] = [1, 1] }: WeightShape): Uint8Array {
  const header = [FORMAT];
  for (const number of [count, rowLength ?? (count || height * width), height, width])
    writeNumber(header, number);
  return Uint8Array.from(header);
}

/**
 * Integers of `compress`.
 *
 * @param options.maxLength the most integers to give out: a few bytes can stand for very many zeros. Unless given, 2^24
 *   and 256 more per byte of input
 * @throws {CorruptInputError} if the bytes are not exactly one stream that `compress` wrote, of at most maxLength integers
 */
export function decompress(bytes: Uint8Array, options: { maxLength?: number } = {}): Int32Array {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  const maxLength = checkedMaxLength(options.maxLength, bytes);
  if (bytes[0] !== FORMAT) corrupt("not a stream of @bitdiet/cabac");
  let at = 1;
  const [count, rowLength, height, width] = [0, 0, 0, 0].map(() => readNumber(() => bytes[at++]));
  if (count > maxLength) corrupt(`header: ${count} integers claimed, maxLength is ${maxLength}`);
  if (!(count % rowLength === 0 && rowLength % (height * width) === 0)) {
    corrupt("header: no whole rows or kernels");
  }
  if (at + 4 > bytes.length) corrupt("header: end");
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
  const integers = decodeWeightRows(bytes.subarray(at + 4), count, { rowLength, height, width });
  if (checksum(bytes.subarray(0, at), integers) !== stored) corrupt("checksum");
  return integers;
}

/**
 * xxHash32 of the integers, as little-endian 32-bit ones (the byte order of every machine with a JavaScript engine), seeded
 * with that of the header.
 */
function checksum(header: Uint8Array, integers: Int32Array): number {
  return xxHash32(
    new Uint8Array(integers.buffer, integers.byteOffset, integers.byteLength),
    xxHash32(header),
  );
}
