/**
 * Decompression of self-describing streams, with nothing taken on trust: header numbers are bounded, tables sum up,
 * the payload ends where its last symbol does, and the checksum covers header and symbols.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 4, 1, 5)))  // Uint8Array [3, 1, 4, 1, 5]
 */
import { checkedMaxLength, corrupt } from "@bitdiet/stream";
import { type HeaderReader, takeAlignment, takeBits, takeNumber } from "./bit-io.js";
import { checkBytes } from "./check.js";
import { decodeStatic } from "./decode-bytes.js";
import { type Sparse, takeFrequencies } from "./frequency-table.js";
import { MAX_TABLE_LOG, MIN_TABLE_LOG } from "./normalize.js";
import { decodePayload, wordsDecoder } from "./payload-decode.js";
import { bytesOf, CONSTANT, checksum, MAGIC, MAPS, PAIRS, STATIC, type Symbols, WIDE } from "./stream.js";
import { contextDecodeTable } from "./tables.js";

/** What decompressMap adds: reads the fields of a stream of maps, and returns the decoder of its payload. */
export type TakeMaps = (stream: {
  reader: HeaderReader;
  count: number;
  tableLog: number;
  /** One above the greatest symbol. */
  limit: number;
  allocate: (length: number) => Symbols;
}) => (payload: Uint8Array) => Symbols;

/**
 * Recovers the symbols of compress, and of compressMap where no contexts paid. decompressMap reads the streams of both, at
 * twice the code.
 *
 * @param options.maxLength the most symbols to give out: a few bytes can stand for very many equal symbols. Unless
 *   given, 2^24 and 256 more per byte of input
 * @returns bytes or 16-bit words, as they were compressed
 * @throws {CorruptInputError} when the bytes are not exactly one whole stream, or it claims more than maxLength symbols
 */
export function decompress(bytes: Uint8Array, options: { maxLength?: number } = {}): Symbols {
  return readStream(bytes, options);
}

/** All kinds of streams but maps, and maps too where their reader is given: it is left out of smaller bundles. */
export function readStream(
  bytes: Uint8Array,
  { maxLength }: { maxLength?: number },
  takeMaps?: TakeMaps,
): Symbols {
  checkBytes(bytes);
  const cap = checkedMaxLength(maxLength, bytes);
  const reader: HeaderReader = { bytes, bit: 8 };
  if (bytes[0] !== MAGIC) corrupt("not a stream of @bitdiet/ans");
  const kind = takeBits(reader, 3);
  const wide = takeBits(reader, 1) * WIDE === WIDE;
  const tableLog = takeBits(reader, 4);
  const count = takeNumber(reader);
  const coded = kind === STATIC || kind === PAIRS || kind === MAPS;
  const wrongLog = coded ? tableLog < MIN_TABLE_LOG || tableLog > MAX_TABLE_LOG : tableLog > 0 || kind > MAPS;
  if (wrongLog || (wide && kind === PAIRS)) {
    corrupt("header: kind");
  }
  if (count > cap) corrupt(`header: ${count} symbols claimed, maxLength is ${cap}`);

  const allocate = (length: number): Symbols => (wide ? new Uint16Array(length) : new Uint8Array(length));
  let decode = (payload: Uint8Array): Symbols => plainSymbols(payload, count, allocate);
  if (kind === CONSTANT) {
    decode = (payload) => allocate(count).fill(plainSymbols(payload, 1, allocate)[0]);
  } else if (kind === MAPS) {
    if (takeMaps === undefined) return corrupt("header: maps, which decompressMap reads");
    decode = takeMaps({ reader, count, tableLog, limit: wide ? 65536 : 256, allocate });
  } else if (coded) {
    const table = takeFrequencies(reader, tableLog, wide || kind === PAIRS ? 65536 : 256);
    takeAlignment(reader);
    decode = (payload) => {
      if (wide) return decodeWords(payload, count, tableLog, table);
      return kind === PAIRS
        ? decodePairs(payload, count, tableLog, table)
        : decodeStatic(payload, count, tableLog, table);
    };
  }
  const start = reader.bit / 8;
  if (start + 4 > bytes.length) corrupt("header: end");
  const symbols = decode(bytes.subarray(start + 4));
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(start, true);
  if (checksum(bytes.subarray(0, start), symbols) !== expected) corrupt("checksum");
  return symbols;
}

/** Symbols as they are, little-endian. */
function plainSymbols(payload: Uint8Array, count: number, allocate: (length: number) => Symbols): Symbols {
  if (payload.length !== count * allocate(0).BYTES_PER_ELEMENT) corrupt("payload: end");
  const symbols = allocate(count);
  bytesOf(symbols).set(payload);
  return symbols;
}

function decodeWords(
  payload: Uint8Array,
  count: number,
  tableLog: number,
  { counts, symbols }: Sparse,
): Uint16Array {
  const stretch = wordsDecoder(contextDecodeTable([counts], tableLog), symbols, count);
  return decodePayload(payload, count, tableLog, (length) => new Uint16Array(length), stretch);
}

/** Two bytes per coded symbol, in one little-endian word. */
function decodePairs(payload: Uint8Array, count: number, tableLog: number, table: Sparse): Uint8Array {
  const symbols = bytesOf(decodeWords(payload, Math.ceil(count / 2), tableLog, table));
  if (count === symbols.length) return symbols;
  if (symbols[count] !== 0) corrupt("payload: last pair");
  return symbols.slice(0, count);
}
