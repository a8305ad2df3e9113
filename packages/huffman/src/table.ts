/**
 * A code's table in bytes: how symbols are cut into words, the alphabet, and the lengths.
 *
 * Lengths are written in order, most significant bit first, each relative to the last length that was not 0 (to begin
 * with: log2 of the number of words, rounded up):
 *
 *     0           the same            1110 g     the same, g + 2 times       (g: Elias gamma, 1 -> 1, 2 -> 010, 3 -> 011)
 *     10 s        1 more, 1 less      11110 g    no code, for g words
 *     110 s       2 more, 2 less      11111 vvvvv  the length v
 *
 *     lengths 1 2 2, alphabet of 3 -> 2-bit start; 1 less, 1 more, the same -> 101 100 0 (0)
 */
import { isComplete, LONGEST_CODE } from "./code-lengths.js";
import { CorruptInputError } from "./errors.js";
import { describe } from "./histogram.js";
import { type HuffmanCode, wordCode } from "./huffman-code.js";
import { type Cutting, isCutting, wordCount } from "./words.js";

/** Bits, most significant first, into bytes that grow. */
export interface BitWriter {
  bytes: number[];
  /** Bits written. */
  position: number;
}

function writeBits(writer: BitWriter, value: number, count: number): void {
  for (let k = count - 1; k >= 0; k--, writer.position++) {
    const at = writer.position >>> 3;
    writer.bytes[at] = (writer.bytes[at] ?? 0) | (((value >>> k) & 1) << (7 - (writer.position & 7)));
  }
}

function writeGamma(writer: BitWriter, value: number): void {
  writeBits(writer, value, 2 * (32 - Math.clz32(value)) - 1);
}

/** Bits, most significant first; `position` may start and end anywhere. */
export interface BitReader {
  bytes: Uint8Array;
  position: number;
}

export function readBits(reader: BitReader, count: number): number {
  let value = 0;
  for (let k = 0; k < count; k++, reader.position++) {
    const at = reader.position >>> 3;
    if (at >= reader.bytes.length) throw new CorruptInputError("the header is truncated");
    value = (value << 1) | ((reader.bytes[at] >>> (7 - (reader.position & 7))) & 1);
  }
  return value;
}

function readGamma(reader: BitReader): number {
  let zeros = 0;
  while (readBits(reader, 1) === 0) {
    if (++zeros > 16) throw new CorruptInputError("the code's table repeats a length past its end");
  }
  return (1 << zeros) | readBits(reader, zeros);
}

/** Seven bits a byte, the lowest first, the top bit set on all but the last. */
export function writeVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}

export function readVarint(reader: BitReader): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = readBits(reader, 8);
    value += (byte & 127) * scale;
    if (byte < 128) return value;
    if (scale > 2 ** 28) throw new CorruptInputError("a number in the header is too long");
  }
}

/** Cutting and lengths as bytes, the last one padded with zero bits. */
export function writeTable(cutting: Cutting, lengths: Uint8Array): number[] {
  const bytes = [cutting.runLimit > 0 ? 16 | Math.log2(cutting.runLimit) : cutting.groupSize];
  writeVarint(bytes, cutting.alphabetSize);
  const writer = { bytes, position: bytes.length * 8 };
  let last = startLength(lengths.length);
  for (let at = 0; at < lengths.length; ) {
    const length = lengths[at];
    let run = 1;
    while (at + run < lengths.length && lengths[at + run] === length) run++;
    if (length === 0) {
      writeBits(writer, 0b11110, 5);
      writeGamma(writer, run);
      at += run;
    } else if (length === last && run > 6) {
      writeBits(writer, 0b1110, 4);
      writeGamma(writer, run - 2);
      at += run;
    } else {
      const less = length < last ? 1 : 0;
      const difference = Math.abs(length - last);
      if (difference === 0) writeBits(writer, 0, 1);
      else if (difference === 1) writeBits(writer, 0b100 | less, 3);
      else if (difference === 2) writeBits(writer, 0b1100 | less, 4);
      else writeBits(writer, (0b11111 << 5) | length, 10);
      last = length;
      at++;
    }
  }
  return bytes;
}

/** What `writeTable` wrote, from the reader's position, which is at a whole byte, to the next whole byte. */
export function readTable(reader: BitReader): { cutting: Cutting; lengths: Uint8Array } {
  const kind = readBits(reader, 8);
  let alphabetSize = 0;
  let more = 1;
  for (let scale = 1; more === 1; scale *= 128) {
    more = readBits(reader, 1);
    alphabetSize += readBits(reader, 7) * scale;
    if (alphabetSize > 65536 || scale > 16384)
      throw new CorruptInputError("the code's alphabet is too large");
  }
  const cutting = {
    alphabetSize,
    groupSize: kind < 16 ? kind : 1,
    runLimit: kind < 16 ? 0 : 2 ** (kind - 16),
  };
  if (cutting.groupSize === 0 || !isCutting(cutting))
    throw new CorruptInputError("the code's words are of no known kind");
  const lengths = new Uint8Array(wordCount(cutting));
  let last = startLength(lengths.length);
  for (let at = 0; at < lengths.length; ) {
    let run = 1;
    let length = last;
    let ones = 0;
    while (ones < 5 && readBits(reader, 1) === 1) ones++;
    if (ones === 1 || ones === 2) length += readBits(reader, 1) === 0 ? ones : -ones;
    else if (ones === 3) run = readGamma(reader) + 2;
    else if (ones === 4) {
      run = readGamma(reader);
      length = 0;
    } else if (ones === 5) length = readBits(reader, 5);
    if (ones !== 4) {
      if (length < 1 || length > LONGEST_CODE)
        throw new CorruptInputError("the code's table has an impossible length");
      last = length;
    }
    if (run > lengths.length - at)
      throw new CorruptInputError("the code's table repeats a length past its end");
    lengths.fill(length, at, (at += run));
  }
  const padding = -reader.position & 7;
  if (readBits(reader, padding) !== 0)
    throw new CorruptInputError("the padding after the code's table is not zero");
  if (!isComplete(lengths))
    throw new CorruptInputError("the code's lengths are not those of a complete prefix code");
  return { cutting, lengths };
}

function startLength(words: number): number {
  return 32 - Math.clz32(Math.max(1, words - 1));
}

/**
 * A code as bytes, to be sent once: 9 bytes for 16 levels, typically.
 *
 * @param code from `huffmanCode`, `groupCode`, `runCode` or `learnCode`
 */
export function encodeTable(code: HuffmanCode): Uint8Array {
  return Uint8Array.from(writeTable(code, code.lengths));
}

/**
 * The code that `encodeTable` wrote.
 *
 * @throws CorruptInputError unless `bytes` are exactly one complete table
 */
export function decodeTable(bytes: Uint8Array): HuffmanCode {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  const reader = { bytes, position: 0 };
  const { cutting, lengths } = readTable(reader);
  if (reader.position !== bytes.length * 8)
    throw new CorruptInputError("the code's table ends before its bytes do");
  if (cutting.groupSize > 1 || cutting.runLimit > 0) {
    if (lengths.reduce((codes, length) => codes + (length > 0 ? 1 : 0), 0) < 2) {
      throw new CorruptInputError("the code's table has a single word");
    }
  }
  return wordCode(cutting, lengths);
}
