/**
 * Decompression of self-describing streams, with nothing taken on trust: header numbers are bounded, tables sum up,
 * the payload ends where its last symbol does, and the checksum covers header and symbols.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 4, 1, 5)))  // Uint8Array [3, 1, 4, 1, 5]
 */
import { type HeaderReader, takeAlignment, takeBits, takeVarint } from "./bit-io.js";
import { checkBytes } from "./check.js";
import { corrupt } from "./errors.js";
import { takeFrequencies } from "./frequency-table.js";
import { MAX_TABLE_LOG } from "./normalize.js";
import { bytesDecoder, decodePayload, wordsDecoder } from "./payload.js";
import {
  CONSTANT,
  checksum,
  MAGIC,
  MAPS,
  MIN_TABLE_LOG,
  PAIRS,
  STATIC,
  STORED,
  type Symbols,
  WIDE,
} from "./stream.js";
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
 * Recovers the symbols of compress.
 *
 * @param maxLength the most symbols to give out. Unless given, 2^24 and 256 more a byte of input: a few bytes can hold
 *   any number of equal symbols.
 * @returns bytes or 16-bit words, as they were compressed
 * @throws CorruptInputError when the bytes are not exactly one whole stream, or it claims more than maxLength symbols
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
  const cap = maxLength ?? 2 ** 24 + 256 * bytes.length;
  if (!(cap >= 0)) throw new RangeError(`maxLength: expected a number >= 0, got ${maxLength}`);
  const reader: HeaderReader = { bytes, bit: 0 };
  if (takeBits(reader, 8) !== MAGIC) corrupt("not an ans stream");
  const kind = takeBits(reader, 3);
  const wide = takeBits(reader, 1) * WIDE === WIDE;
  const tableLog = takeBits(reader, 4);
  const count = takeVarint(reader);
  const coded = kind === STATIC || kind === PAIRS || kind === MAPS;
  const wrongLog = coded ? tableLog < MIN_TABLE_LOG || tableLog > MAX_TABLE_LOG : tableLog > 0 || kind > MAPS;
  if (wrongLog || (wide && kind === PAIRS)) {
    corrupt(`header: kind ${kind} with table log ${tableLog}`);
  }
  if (count > cap) corrupt(`header: ${count} symbols are more than maxLength, ${cap}`);

  const limit = wide ? 65536 : 256;
  const allocate = (length: number): Symbols => (wide ? new Uint16Array(length) : new Uint8Array(length));
  let decode: (payload: Uint8Array) => Symbols;
  if (kind === STORED) {
    decode = (payload) => plainSymbols(payload, count, wide);
  } else if (kind === CONSTANT) {
    decode = (payload) => {
      const [symbol] = plainSymbols(payload, 1, wide);
      return allocate(count).fill(symbol);
    };
  } else if (kind === MAPS) {
    if (takeMaps === undefined) corrupt("header: a stream of maps, which decompressMap reads");
    decode = takeMaps({ reader, count, tableLog, limit, allocate });
  } else {
    const { symbols, counts } = takeFrequencies(reader, tableLog, kind === PAIRS ? 65536 : limit);
    takeAlignment(reader);
    decode = (payload) => {
      if (kind === PAIRS) {
        return decodePairs(payload, count, tableLog, symbols, contextDecodeTable([counts], tableLog));
      }
      if (wide) {
        const stretch = wordsDecoder(contextDecodeTable([counts], tableLog), symbols, count);
        return decodePayload(payload, count, tableLog, (length) => new Uint16Array(length), stretch);
      }
      const dense = new Uint16Array(256);
      symbols.forEach((symbol, i) => {
        dense[symbol] = counts[i];
      });
      const stretch = bytesDecoder(contextDecodeTable([dense], tableLog), count);
      return decodePayload(payload, count, tableLog, (length) => new Uint8Array(length), stretch);
    };
  }

  const start = reader.bit / 8;
  if (start + 4 > bytes.length) corrupt("header: it ends early");
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(start, true);
  const symbols = decode(bytes.subarray(start + 4));
  if (checksum(bytes.subarray(0, start), symbols) !== expected)
    corrupt("checksum: the symbols are not those encoded");
  return symbols;
}

/** Symbols as they are, little-endian. */
function plainSymbols(payload: Uint8Array, count: number, wide: boolean): Symbols {
  const expected = count * (wide ? 2 : 1);
  if (payload.length !== expected) corrupt(`payload: expected ${expected} bytes, got ${payload.length}`);
  if (!wide) return payload.slice();
  return Uint16Array.from({ length: count }, (_, i) => payload[2 * i] | (payload[2 * i + 1] << 8));
}

/** Two bytes a coded symbol: the decoder writes them as one word of this machine's byte order. */
function decodePairs(
  payload: Uint8Array,
  count: number,
  tableLog: number,
  pairs: Uint16Array,
  table: Int32Array,
): Uint8Array {
  const values = new Uint16Array(
    Uint8Array.from({ length: 2 * pairs.length }, (_, i) => pairs[i >> 1] >>> (8 * (i & 1))).buffer,
  );
  const length = Math.ceil(count / 2);
  const stretch = wordsDecoder(table, values, length);
  const words = decodePayload(payload, length, tableLog, (size) => new Uint16Array(size), stretch);
  const symbols = new Uint8Array(words.buffer);
  if (count === symbols.length) return symbols;
  if (symbols[count] !== 0) corrupt("payload: the last pair has two symbols");
  return symbols.slice(0, count);
}
