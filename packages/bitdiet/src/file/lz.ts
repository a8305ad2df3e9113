/**
 * Bytes by what is repeated in them: literals and matches (Ziv and Lempel 1977), their parts coded by ans. For names, graphs, topologies
 * and tables.
 *
 *     number of literals · number of matches · four streams: literals, and for each match the class of the number of literals
 *     before it, of its length - 2, and of its place · the classes' low bits, to the end
 *
 * A number v below 16 is its own class; else, with e = floor(log2 v), its class is 16 + 2 (e - 4) + the bit below the highest,
 * and its e - 1 lowest bits follow. Places 0, 1 and 2 are the distances used last, the latest first; d + 2 is the distance d.
 */
import { decodeBytes, encodeBytes } from "@bitdiet/ans";
import { must } from "./errors.js";
import { classOf, extraBits, lowest, MIN_MATCH } from "./lz-classes.js";
import { type Match, parsed } from "./lz-parse.js";
import { blockOf, join, type Reader, readBlock, readNumber, writeNumber } from "./numbers.js";

/** @throws {CorruptInputError} unless `coded` is exactly what stands for some `size` bytes */
export function decodeLz(coded: Uint8Array, size: number): Uint8Array {
  const reader: Reader = { bytes: coded, position: 0 };
  const [literalCount, count] = [readNumber(reader), readNumber(reader)];
  must(literalCount + MIN_MATCH * count <= size);
  const stream = (length: number): Uint8Array => {
    const block = readBlock(reader);
    return block.length === length ? block : decodeBytes(block, length);
  };
  const [literals, runs, lengths, places] = [literalCount, count, count, count].map(stream);
  const low = lowBits(coded.subarray(reader.position));
  const valueIn = (kind: number): number => {
    must(kind < 70);
    return kind < 16 ? kind : lowest(kind) + low.take(extraBits(kind));
  };

  // All numbers first: what is allocated is then what they sum to.
  const matches = new Int32Array(3 * count);
  let sum = literalCount;
  for (let i = 0; i < count; i++) {
    matches[3 * i] = valueIn(runs[i]);
    matches[3 * i + 1] = valueIn(lengths[i]) + MIN_MATCH;
    matches[3 * i + 2] = valueIn(places[i]);
    sum += matches[3 * i + 1];
  }
  must(sum === size && low.isDone());
  const bytes = new Uint8Array(size);
  let [first, second, third] = [1, 1, 1];
  let literal = 0;
  let at = 0;
  for (let i = 0; i < matches.length; i += 3) {
    const length = matches[i + 1];
    const place = matches[i + 2];
    const start = at + matches[i];
    must(start - at <= literalCount - literal);
    while (at < start) bytes[at++] = literals[literal++];
    const distance = place === 0 ? first : place === 1 ? second : place === 2 ? third : place - 2;
    if (place > 1) third = second;
    if (place > 0) second = first;
    first = distance;
    must(distance <= at);
    if (distance >= length && length > 32) bytes.copyWithin(at, at - distance, at - distance + length);
    else for (let k = at; k < at + length; k++) bytes[k] = bytes[k - distance];
    at += length;
  }
  bytes.set(literals.subarray(literal), at);
  return bytes;
}

/** Bits from the lowest of each byte on. */
function lowBits(bytes: Uint8Array) {
  const padded = new DataView(new ArrayBuffer(bytes.length + 8));
  new Uint8Array(padded.buffer).set(bytes);
  let bit = 0;
  return {
    /** @param count 1 .. 31 */
    take(count: number): number {
      must(bit + count <= 8 * bytes.length);
      const first = padded.getUint32(bit >>> 3, true) >>> (bit & 7);
      const there = 32 - (bit & 7);
      const word = count <= there ? first : first + padded.getUint8((bit >>> 3) + 4) * 2 ** there;
      bit += count;
      return word % 2 ** count;
    },
    /** No bytes are left, and the last one's other bits are 0. */
    isDone: (): boolean =>
      bytes.length === (bit + 7) >>> 3 && ((bit & 7) === 0 || bytes[bit >>> 3] >> (bit & 7) === 0),
  };
}

/** Longer bytes are parsed only if a sample of them shows that it pays. */
const MAX_UNSAMPLED = 2 ** 17;
const SAMPLE = 2 ** 15;

/** @returns undefined where the bytes are too few or too many for it to pay */
export function encodeLz(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 16 || bytes.length >= 2 ** 31) return undefined;
  if (bytes.length > MAX_UNSAMPLED) {
    const middle = (bytes.length - SAMPLE) >> 1;
    const sample = bytes.subarray(middle, middle + SAMPLE);
    if (written(sample, parsed(sample)).length > 0.97 * encodeBytes(sample).length) return undefined;
  }
  return written(bytes, parsed(bytes));
}

function written(bytes: Uint8Array, matches: readonly Match[]): Uint8Array {
  const count = matches.length;
  const [runs, lengths, places] = [new Uint8Array(count), new Uint8Array(count), new Uint8Array(count)];
  const literals = new Uint8Array(bytes.length - matches.reduce((sum, { length }) => sum + length, 0));
  const low: number[] = [];
  let bits = 0;
  const classified = (value: number): number => {
    const kind = classOf(value);
    for (let i = 0; i < extraBits(kind); i++, bits++) {
      if ((bits & 7) === 0) low.push(0);
      low[bits >> 3] |= ((value >>> i) & 1) << (bits & 7);
    }
    return kind;
  };
  let at = 0;
  let literal = 0;
  matches.forEach(({ start, length, place }, i) => {
    literals.set(bytes.subarray(at, start), literal);
    literal += start - at;
    runs[i] = classified(start - at);
    lengths[i] = classified(length - MIN_MATCH);
    places[i] = classified(place);
    at = start + length;
  });
  literals.set(bytes.subarray(at), literal);
  const numbers: number[] = [];
  writeNumber(numbers, literals.length);
  writeNumber(numbers, count);
  const stream = (values: Uint8Array) => {
    const coded = encodeBytes(values);
    return blockOf(coded.length < values.length ? coded : values);
  };
  return join([numbers, ...[literals, runs, lengths, places].map(stream), low]);
}
