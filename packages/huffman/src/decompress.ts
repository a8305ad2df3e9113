/**
 * Self-describing streams, read. Everything is checked before it is used: the header's numbers against each other and
 * against the bytes there are, the table by Kraft's equality, the streams' ends, and at last the checksum.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 3)))   // Uint8Array [3, 1, 3]
 */
import { flatLengths } from "./code-lengths.js";
import { decodePair } from "./decode.js";
import { buildDecodeTable } from "./decode-table.js";
import { decodeTwoPairs, PAIR_TABLE_BITS } from "./decode-two-pairs.js";
import { CorruptInputError } from "./errors.js";
import { describe, type Symbols } from "./histogram.js";
import { LARGEST_COUNT, segmentEnd, tableBits } from "./huffman-code.js";
import {
  CONSTANT,
  checksum,
  FEWEST_FOR_TWO_PAIRS,
  FLAT,
  MAGIC,
  SHORTS,
  TABLE,
  TWO_PAIRS,
  VERSION,
} from "./stream.js";
import { readBits, readTable, readVarint } from "./table.js";
import { longestWord } from "./words.js";

/**
 * The symbols that `compress` was given.
 *
 * @param bytes one whole stream
 * @param options.maxLength the most symbols to accept: memory is bounded by it, and by what the bytes can hold, but a
 *   few bytes can stand for very many equal symbols. Default 2^28 (256 MiB), which is also the most `compress` takes
 * @returns a Uint8Array or a Uint16Array, as it was given
 * @throws CorruptInputError when the bytes are not exactly one unaltered stream of at most `maxLength` symbols
 */
export function decompress(
  bytes: Uint8Array,
  { maxLength = LARGEST_COUNT }: { maxLength?: number } = {},
): Symbols {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  }
  if (!Number.isInteger(maxLength) || maxLength < 0) {
    throw new RangeError(`maxLength: expected an integer of at least 0, got ${String(maxLength)}`);
  }
  const reader = { bytes, position: 0 };
  if (readBits(reader, 8) !== MAGIC)
    throw new CorruptInputError("not a Huffman stream: it does not begin with 0x48");
  const kind = readBits(reader, 8);
  if ((kind & 0xf0) !== VERSION)
    throw new CorruptInputError(`not a stream of version 1: second byte ${kind}`);
  const shorts = (kind & SHORTS) !== 0;
  const twoPairs = (kind & TWO_PAIRS) !== 0;
  const count = readVarint(reader);
  if (count > Math.min(maxLength, LARGEST_COUNT)) {
    throw new CorruptInputError(`the stream claims ${count} symbols, more than maxLength ${maxLength}`);
  }

  let constant = 0;
  let lengths: Uint8Array = new Uint8Array(0);
  let cutting = { alphabetSize: 1, groupSize: 1, runLimit: 0 };
  switch (kind & 3) {
    case CONSTANT:
      if (count > 0) constant = readBits(reader, 8);
      if (count > 0 && shorts) constant |= readBits(reader, 8) << 8;
      break;
    case FLAT:
      cutting.alphabetSize = readVarint(reader);
      if (cutting.alphabetSize >= 2 && cutting.alphabetSize <= 65536)
        lengths = flatLengths(cutting.alphabetSize);
      break;
    case TABLE:
      ({ cutting, lengths } = readTable(reader));
  }
  const plain = cutting.groupSize === 1 && cutting.runLimit === 0;
  let longest = 0;
  let codes = 0;
  for (const length of lengths) {
    if (length > longest) longest = length;
    if (length > 0) codes++;
  }
  if (
    ((kind & 3) !== CONSTANT && codes < 2) ||
    (!shorts && cutting.alphabetSize > 256) ||
    (twoPairs && (shorts || !plain || codes < 2 || count < FEWEST_FOR_TWO_PAIRS))
  ) {
    throw new CorruptInputError("the header contradicts itself");
  }
  const firstPair = twoPairs ? readVarint(reader) : 0;
  const headerLength = reader.position / 8;
  const start = headerLength + 4;
  const expected = new DataView(Uint8Array.from([0, 0, 0, 0], () => readBits(reader, 8)).buffer).getUint32(
    0,
    true,
  );

  const payload = bytes.length - start;
  if (codes === 0 ? payload !== 0 : count > 8 * payload * longestWord(cutting) || firstPair > payload) {
    throw new CorruptInputError(`${payload} bytes of codes cannot be ${count} symbols`);
  }
  const symbols = shorts ? new Uint16Array(count) : new Uint8Array(count);
  const out = new Uint8Array(symbols.buffer);
  const width = shorts ? 2 : 1;
  const middle = segmentEnd(count);
  if (codes === 0) {
    symbols.fill(constant);
  } else if (twoPairs && longest <= PAIR_TABLE_BITS) {
    decodeTwoPairs(lengths, bytes, start, start + firstPair, bytes.length, out, middle / 2);
  } else {
    const table = buildDecodeTable(lengths, cutting, width, tableBits(lengths, count));
    if (twoPairs) {
      decodePair(table, bytes, start, start + firstPair, out, 0, middle / 2, middle);
      decodePair(table, bytes, start + firstPair, bytes.length, out, middle, 1.5 * middle, count);
    } else {
      decodePair(table, bytes, start, bytes.length, out, 0, middle * width, count * width);
    }
  }
  if (checksum(symbols, bytes.subarray(0, headerLength)) !== expected) {
    throw new CorruptInputError("the checksum of the decoded symbols does not match");
  }
  return symbols;
}
