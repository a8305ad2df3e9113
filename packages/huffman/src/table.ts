/**
 * A code's table in bits, most significant first: 5 bits that say how symbols are cut into words (the size of a group, or
 * 16 + log2 of the limit of runs), the size of the alphabet in Elias gamma, and the words' lengths in order, each relative to the last length that was not 0 (to begin
 * with: log2 of the number of words, rounded up):
 *
 *     0           the same            1110 g     the same, g + 2 times       (g: Elias gamma, 1 -> 1, 2 -> 010, 3 -> 011)
 *     10 s        1 more, 1 less      11110 g    no code, for g words
 *     110 s       2 more, 2 less      11111 vvvvv  the length v
 *
 *     lengths 1 2 2 of single symbols -> 00001, 011 for 3, from 2: 1 less, 1 more, the same -> 101 100 0, padding 0
 */
import { corrupt, describe } from "@bitdiet/stream";
import { countCodes, MAX_CODE_LENGTH } from "./code-lengths.js";
import { type HuffmanCode, wordCode } from "./huffman-code.js";
import { type Cutting, isCutting, wordCount } from "./words.js";

/** Bits, most significant first, into bytes that grow. */
interface BitWriter {
  bytes: number[];
  /** Bits written. */
  position: number;
}

export function writeBits(writer: BitWriter, value: number, count: number): void {
  for (let k = count - 1; k >= 0; k--, writer.position++) {
    const at = writer.position >>> 3;
    writer.bytes[at] = (writer.bytes[at] ?? 0) | (((value >>> k) & 1) << (7 - (writer.position & 7)));
  }
}

/** Elias gamma: as many zeros as the number has bits after its first, and the number; 1 .. 2^31 - 1. */
export function writeGamma(writer: BitWriter, value: number): void {
  const more = 31 - Math.clz32(value);
  writeBits(writer, 0, more);
  writeBits(writer, value, more + 1);
}

/** Bits, most significant first; `position` may start and end anywhere. */
interface BitReader {
  bytes: Uint8Array;
  position: number;
}

export function readBits(reader: BitReader, count: number): number {
  let value = 0;
  for (let k = 0; k < count; k++, reader.position++) {
    const at = reader.position >>> 3;
    if (at >= reader.bytes.length) corrupt("header: end");
    value = (value << 1) | ((reader.bytes[at] >>> (7 - (reader.position & 7))) & 1);
  }
  return value;
}

export function readGamma(reader: BitReader): number {
  let more = 0;
  while (readBits(reader, 1) === 0) if (++more > 30) corrupt(BAD_TABLE);
  return (1 << more) | readBits(reader, more);
}

/** Writes cutting and lengths, and zero bits up to a whole byte. */
export function writeTable(writer: BitWriter, cutting: Cutting, lengths: Uint8Array): void {
  writeBits(writer, cutting.runLimit > 0 ? 16 | Math.log2(cutting.runLimit) : cutting.groupSize, 5);
  writeGamma(writer, cutting.alphabetSize);
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
  writeBits(writer, 0, -writer.position & 7);
}

/** Bytes of a table by itself. */
export function tableBytes(cutting: Cutting, lengths: Uint8Array): number {
  const writer = { bytes: [], position: 0 };
  writeTable(writer, cutting, lengths);
  return writer.bytes.length;
}

export const BAD_TABLE = "table: no complete code";

/**
 * What `writeTable` wrote, up to a whole byte.
 *
 * @throws {CorruptInputError} unless it is a complete code of two words or more, or of a lone symbol
 */
export function readTable(reader: BitReader): { cutting: Cutting; lengths: Uint8Array } {
  const kind = readBits(reader, 5);
  const cutting = {
    alphabetSize: readGamma(reader),
    groupSize: kind < 16 ? kind : 1,
    runLimit: kind < 16 ? 0 : 2 ** (kind - 16),
  };
  if (!isCutting(cutting)) corrupt(BAD_TABLE);
  const lengths = new Uint8Array(wordCount(cutting));
  let last = startLength(lengths.length);
  for (let at = 0; at < lengths.length; ) {
    let ones = 0;
    while (ones < 5 && readBits(reader, 1) === 1) ones++;
    if (ones === 1 || ones === 2) last += readBits(reader, 1) === 0 ? ones : -ones;
    if (ones === 5) last = readBits(reader, 5);
    const run = ones === 4 ? readGamma(reader) : ones === 3 ? readGamma(reader) + 2 : 1;
    if (last < 1 || last > MAX_CODE_LENGTH || run > lengths.length - at) corrupt(BAD_TABLE);
    lengths.fill(ones === 4 ? 0 : last, at, (at += run));
  }
  const codes = countCodes(lengths);
  if (codes === 0 || (codes === 1 && (cutting.groupSize !== 1 || cutting.runLimit > 0))) {
    corrupt(BAD_TABLE);
  }
  if (readBits(reader, -reader.position & 7) !== 0) corrupt("table: padding");
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
  const writer = { bytes: [], position: 0 };
  writeTable(writer, code, code.lengths);
  return Uint8Array.from(writer.bytes);
}

/**
 * The code that `encodeTable` wrote.
 *
 * @throws {CorruptInputError} unless `bytes` are exactly one complete table
 */
export function decodeTable(bytes: Uint8Array): HuffmanCode {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  const reader = { bytes, position: 0 };
  const { cutting, lengths } = readTable(reader);
  if (reader.position !== bytes.length * 8) corrupt("table: bytes left over");
  return wordCode(cutting, lengths);
}
