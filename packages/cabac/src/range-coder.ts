/**
 * A binary range coder: bits in, bytes out, at -log2(probability) bits each. Martin, "Range encoding", 1979.
 *
 *     const coder = rangeEncoder();
 *     for (let i = 0; i < 1000; i++) encodeBit(coder, 65000, 1);   // a likely 1 costs -log2(65000 / 65536) = 0.0119 bits
 *     finishEncoding(coder).length                                 // 1 or 2 bytes: a thousand of them cost 11.9 bits
 *
 * The interval [low, low + range) is 32 bits wide and integer, so every engine writes the same bytes. A carry runs back into
 * the bytes already written. The end is exact: the fewest bytes that name a point of the last interval. The decoder accepts
 * no others, so a sequence of bits has one spelling and a changed last byte is seen.
 *
 * `low` and `range` are unsigned, but kept as signed 32-bit integers: an engine stores those in an object without boxing.
 */

/** Probabilities are in units of 2^-16. Neither bit may be given less than this, so that no interval is ever empty. */
import { corrupt } from "@bitdiet/stream";
export const MIN_PROBABILITY = 24;

/** A shorter interval takes another byte. */
export const TOP = 2 ** 24;

export interface RangeEncoder {
  bytes: Uint8Array;
  length: number;
  low: number;
  range: number;
}

export interface RangeDecoder {
  readonly bytes: Uint8Array;
  /** Bytes taken so far; zeros are read past the end. */
  position: number;
  /** The coded point, less the interval's low end. */
  offset: number;
  range: number;
}

export function rangeEncoder(): RangeEncoder {
  return { bytes: new Uint8Array(256), length: 0, low: 0, range: -1 };
}

/** Writes one bit. `probability` of a 1: MIN_PROBABILITY .. 65536 - MIN_PROBABILITY. */
export function encodeBit(coder: RangeEncoder, probability: number, bit: number): void {
  let range = coder.range >>> 0;
  const bound = Math.imul(range >>> 16, probability) >>> 0;
  if (bit) range = bound;
  else {
    moveUp(coder, bound);
    range = (range - bound) >>> 0;
  }
  while (range < TOP) {
    writeTopByte(coder);
    range = (range << 8) >>> 0;
  }
  coder.range = range | 0;
}

/** Adds to the interval's low end, 0 .. 2^32, with the carry. */
function moveUp(coder: RangeEncoder, distance: number): void {
  coder.low = (coder.low + distance) | 0;
  if (coder.low >>> 0 < distance) carry(coder.bytes, coder.length);
}

/** Adds one to the number that the first `length` bytes spell. */
export function carry(bytes: Uint8Array, length: number): void {
  let at = length - 1;
  while (++bytes[at] === 256) at--;
}

function writeTopByte(coder: RangeEncoder): void {
  reserve(coder, 1);
  coder.bytes[coder.length++] = coder.low >>> 24;
  coder.low <<= 8;
}

/** Makes room for so many bytes more. */
export function reserve(coder: RangeEncoder, count: number): void {
  const { bytes, length } = coder;
  if (length + count <= bytes.length) return;
  coder.bytes = new Uint8Array(2 * (length + count));
  coder.bytes.set(bytes.subarray(0, length));
}

/** Names a point of the last interval. @returns all bytes, in an array of their own; empty if no bit was written */
export function finishEncoding(coder: RangeEncoder): Uint8Array {
  const low = coder.low >>> 0;
  const end = shortestEnd(low, coder.range >>> 0);
  moveUp(coder, end.point - low);
  for (let i = 0; i < end.length; i++) writeTopByte(coder);
  return coder.bytes.slice(0, coder.length);
}

/** The point of [low, low + range) with the most trailing zero bytes, and the count of bytes before those, 0 .. 4. */
function shortestEnd(low: number, range: number): { point: number; length: number } {
  for (let length = 0; ; length++) {
    const unit = 2 ** (32 - 8 * length);
    const point = Math.ceil(low / unit) * unit;
    if (point - low < range) return { point, length };
  }
}

/** @throws {CorruptInputError} if the first bytes lie outside of every interval */
export function rangeDecoder(bytes: Uint8Array): RangeDecoder {
  const coder: RangeDecoder = { bytes, position: 4, offset: wordBefore(bytes, 4), range: -1 };
  if (coder.offset === -1) corrupt("payload: end");
  return coder;
}

/** The four bytes before `position`, big-endian, as a signed integer; zeros past the end. */
function wordBefore(bytes: Uint8Array, position: number): number {
  let word = 0;
  for (let i = position - 4; i < position; i++) word = (word << 8) | (i < bytes.length ? bytes[i] : 0);
  return word;
}

/** Reads one bit, given the probability that it was written with. */
export function decodeBit(coder: RangeDecoder, probability: number): number {
  let range = coder.range >>> 0;
  let offset = coder.offset >>> 0;
  const bound = Math.imul(range >>> 16, probability) >>> 0;
  const bit = offset < bound ? 1 : 0;
  if (bit) range = bound;
  else {
    offset = (offset - bound) >>> 0;
    range = (range - bound) >>> 0;
  }
  while (range < TOP) {
    const { bytes, position } = coder;
    offset = (offset << 8) | (position < bytes.length ? bytes[position] : 0);
    coder.position = position + 1;
    range = (range << 8) >>> 0;
  }
  coder.offset = offset | 0;
  coder.range = range | 0;
  return bit;
}

/** Whether more was read than any encoder leaves out: up to four zero bytes may follow the last one. */
export function isPastEnd(coder: RangeDecoder): boolean {
  return coder.position > coder.bytes.length + 4;
}

/** Call it after the last bit. @throws {CorruptInputError} unless the bytes are exactly those that the encoder would write */
export function finishDecoding(coder: RangeDecoder): void {
  const word = wordBefore(coder.bytes, coder.position);
  const low = (word - coder.offset) >>> 0;
  const end = shortestEnd(low, coder.range >>> 0);
  if (coder.bytes.length !== coder.position - 4 + end.length || word !== (end.point | 0)) {
    corrupt("payload: end");
  }
}
