/**
 * Self-describing streams, read. Everything is checked before it is used: the header's numbers against each other and
 * against the bytes there are, the table by Kraft's equality, the streams' ends, and at last the checksum.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 3)))   // Uint8Array [3, 1, 3]
 */
import { checkedMaxLength, corrupt, describe } from "@bitdiet/stream";
import { decodeWords } from "./decode.js";
import type { Symbols } from "./histogram.js";
import { checksum, MAGIC } from "./stream.js";
import { BAD_TABLE, readBits, readGamma, readTable } from "./table.js";
import { MAX_COUNT } from "./words.js";

/**
 * The symbols that `compress` was given.
 *
 * @param bytes one whole stream
 * @param options.maxLength the most symbols to give out: a few bytes can stand for very many equal symbols. Unless
 *   given, 2^24 and 256 more per byte of input
 * @returns a Uint8Array or a Uint16Array, as it was given
 * @throws {CorruptInputError} when the bytes are not exactly one unaltered stream of at most `maxLength` symbols
 */
export function decompress(bytes: Uint8Array, options: { maxLength?: number } = {}): Symbols {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  }
  const maxLength = checkedMaxLength(options.maxLength, bytes);
  const reader = { bytes, position: 0 };
  if (readBits(reader, 15) !== MAGIC) corrupt("not a stream of @bitdiet/huffman");
  const width = readBits(reader, 1) + 1;
  const count = readGamma(reader) - 1;
  if (count > Math.min(maxLength, MAX_COUNT)) {
    corrupt(`header: ${count} symbols claimed, maxLength is ${maxLength}`);
  }
  const { cutting, lengths } = readTable(reader);
  if (cutting.alphabetSize > 256 ** width) corrupt(BAD_TABLE);
  const header = bytes.subarray(0, reader.position / 8);
  const start = header.length + 4;
  if (start > bytes.length) corrupt("header: end");
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(header.length, true);
  const symbols = decodeWords(lengths, cutting, width, bytes, start, count, []);
  if (checksum(header, bytes.subarray(start)) !== expected) corrupt("checksum");
  return symbols;
}
