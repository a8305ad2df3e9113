/**
 * A self-describing stream around the payload: it says what it holds, ends exactly and carries a checksum. See FORMAT.md.
 *
 *     compress(Int8Array.of(0, 1, -1, 0), { rowLength: 2 })   // 9 bytes of header and 1 of payload
 *
 *     0xC1 · count · row length · kernel height · kernel width (LEB128 each) · xxHash32 (4 bytes, little-endian) · payload
 */
import { xxHash32 } from "@bitdiet/xxhash32";
import { decodeWeightRows } from "./decode.js";
import { encodeWeights } from "./encode.js";
import { CorruptInputError } from "./errors.js";
import { estimateBits } from "./rate.js";
import type { Levels, WeightShape } from "./weights.js";
import { checkedLevels } from "./weights.js";

const FORMAT = 0xc1;
/** No level costs less than 0.00052 bits, so this bounds what a payload byte can stand for. */
const LEVELS_PER_BYTE = 16384;

/**
 * @param levels -(2^31 - 1) .. 2^31 - 1
 * @throws RangeError if a level is -2^31 or the shape does not divide the levels
 */
export function compress(levels: Levels, shape: WeightShape = {}): Uint8Array {
  const values = checkedLevels(levels);
  const payload = encodeWeights(values, shape);
  const header = headerOf(values.length, shape);
  const bytes = new Uint8Array(header.length + 4 + payload.length);
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(header.length, checksum(header, values), true);
  bytes.set(payload, header.length + 4);
  return bytes;
}

/** The size in bits of what `compress` returns for the same arguments, to within 0.1 % and two bytes, without writing it. */
export function estimateCompressedBits(levels: Levels, shape: WeightShape = {}): number {
  const payload = Math.ceil(estimateBits(levels, shape) / 8);
  return 8 * (headerOf(levels.length, shape).length + 4 + payload);
}

function headerOf(count: number, { rowLength, kernel: [height, width] = [1, 1] }: WeightShape): Uint8Array {
  const header = [FORMAT];
  for (const number of [count, rowLength ?? (count || height * width), height, width])
    pushNumber(header, number);
  return Uint8Array.from(header);
}

/**
 * @param options maxLength: the most levels to accept
 * @throws CorruptInputError if the bytes are not exactly one stream that `compress` wrote, of at most maxLength levels
 */
export function decompress(
  bytes: Uint8Array,
  { maxLength = Infinity }: { maxLength?: number } = {},
): Int32Array {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`);
  if (!(maxLength >= 0)) throw new RangeError(`maxLength: expected a number of at least 0, got ${maxLength}`);
  if (bytes[0] !== FORMAT) throw new CorruptInputError("Not a stream of coded weights");
  const numbers: number[] = [];
  let at = 1;
  while (numbers.length < 4) {
    let number = 0;
    let unit = 1;
    let byte: number;
    do {
      byte = bytes[at++];
      number += (byte & 127) * unit;
      unit *= 128;
    } while (byte > 127 && unit < 2 ** 49);
    // Cut, longer than need be, or beyond 2^49.
    if (!(byte < 128) || (byte === 0 && unit > 128))
      throw new CorruptInputError("The header is cut or changed");
    numbers.push(number);
  }
  const [count, rowLength, height, width] = numbers;
  const payload = bytes.subarray(at + 4);
  if (count > maxLength) throw new CorruptInputError(`${count} levels claimed, maxLength is ${maxLength}`);
  if (
    at + 4 > bytes.length ||
    count > (payload.length + 4) * LEVELS_PER_BYTE ||
    !(count % rowLength === 0 && rowLength % (height * width) === 0)
  ) {
    throw new CorruptInputError("The header is cut or changed");
  }
  const levels = decodeWeightRows(payload, count, rowLength, height, width);
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
  if (checksum(bytes.subarray(0, at), levels) !== stored)
    throw new CorruptInputError("The checksum does not match");
  return levels;
}

/** Of the levels as little-endian 32-bit integers (the byte order of every machine with a JavaScript engine) and the header. */
function checksum(header: Uint8Array, levels: Int32Array): number {
  return xxHash32(new Uint8Array(levels.buffer, levels.byteOffset, levels.byteLength), xxHash32(header));
}

function pushNumber(bytes: number[], number: number): void {
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  bytes.push(number);
}
