/**
 * Self-describing streams, read. Everything is checked before it is used: the header's numbers against each other and
 * against the bytes there are, the table by Kraft's equality, the streams' ends, and at last the checksum.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 3)))   // Uint8Array [3, 1, 3]
 */
import { decodeWords } from "./decode.js";
import { CorruptInputError } from "./errors.js";
import { describe, type Symbols } from "./histogram.js";
import { checksum, MAGIC } from "./stream.js";
import { BAD_TABLE, readBits, readGamma, readTable } from "./table.js";
import { LARGEST_COUNT } from "./words.js";

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
  if (readBits(reader, 15) !== MAGIC) throw new CorruptInputError("no Huffman stream of version 1");
  const width = readBits(reader, 1) + 1;
  const count = readGamma(reader) - 1;
  if (count > Math.min(maxLength, LARGEST_COUNT)) {
    throw new CorruptInputError(`${count} symbols claimed, maxLength is ${maxLength}`);
  }
  const { cutting, lengths } = readTable(reader);
  if (cutting.alphabetSize > 256 ** width) throw new CorruptInputError(BAD_TABLE);
  const header = bytes.subarray(0, reader.position / 8);
  const expected = readBits(reader, 32) >>> 0;
  const symbols = decodeWords(lengths, cutting, width, bytes, header.length + 4, count, []);
  if (checksum(symbols, header) !== expected) {
    throw new CorruptInputError("checksum does not match");
  }
  return symbols;
}
