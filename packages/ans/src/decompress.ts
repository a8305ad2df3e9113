/**
 * Decompression of self-describing streams, with nothing taken on trust: header numbers are bounded, tables sum up,
 * the payload ends where its last symbol does, and the checksum covers header and symbols.
 *
 *     decompress(compress(Uint8Array.of(3, 1, 4, 1, 5)))  // Uint8Array [3, 1, 4, 1, 5]
 */
import { type HeaderReader, takeAlignment, takeBits, takeVarint } from "./bit-io.js";
import { checkBytes } from "./check.js";
import { decodeStatic } from "./decode-bytes.js";
import { corrupt } from "./errors.js";
import { type Sparse, takeFrequencies } from "./frequency-table.js";
import { MAX_TABLE_LOG } from "./normalize.js";
import { decodePayload, wordsDecoder } from "./payload.js";
import {
  CONSTANT,
  checksum,
  MAGIC,
  MAPS,
  MIN_TABLE_LOG,
  PAIRS,
  STATIC,
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
  if (!(count <= cap)) corrupt(`header: ${count} symbols are more than maxLength, ${cap}`);

  const allocate = (length: number): Symbols => (wide ? new Uint16Array(length) : new Uint8Array(length));
  let decode = (payload: Uint8Array): Symbols => plainSymbols(payload, count, allocate);
  if (kind === CONSTANT) {
    decode = (payload) => allocate(count).fill(plainSymbols(payload, 1, allocate)[0]);
  } else if (kind === MAPS) {
    if (takeMaps === undefined) corrupt("header: maps, which decompressMap reads");
    decode = takeMaps({ reader, count, tableLog, limit: wide ? 65536 : 256, allocate });
  } else if (coded) {
    const table = takeFrequencies(reader, tableLog, wide || kind === PAIRS ? 65536 : 256);
    takeAlignment(reader);
    decode = (payload) => {
      if (wide) return decodeWords(payload, count, tableLog, table, table.symbols);
      return kind === PAIRS
        ? decodePairs(payload, count, tableLog, table)
        : decodeStatic(payload, count, tableLog, table);
    };
  }
  const start = reader.bit / 8;
  if (start + 4 > bytes.length) corrupt("header: it ends early");
  const symbols = decode(bytes.subarray(start + 4));
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(start, true);
  if (checksum(bytes.subarray(0, start), symbols) !== expected) corrupt("checksum");
  return symbols;
}

/** Symbols as they are, little-endian. */
function plainSymbols(payload: Uint8Array, count: number, allocate: (length: number) => Symbols): Symbols {
  const width = allocate(0).BYTES_PER_ELEMENT;
  if (payload.length !== count * width) corrupt("payload: end");
  return width === 1
    ? new Uint8Array(payload)
    : allocate(count).map((_, i) => payload[2 * i] | (payload[2 * i + 1] << 8));
}

function decodeWords(
  payload: Uint8Array,
  count: number,
  tableLog: number,
  { counts }: Sparse,
  values: Uint16Array,
): Uint16Array {
  const stretch = wordsDecoder(contextDecodeTable([counts], tableLog), values, count);
  return decodePayload(payload, count, tableLog, (length) => new Uint16Array(length), stretch);
}

/** Two bytes a coded symbol: the decoder writes them as one word of this machine's byte order. */
function decodePairs(payload: Uint8Array, count: number, tableLog: number, table: Sparse): Uint8Array {
  const { symbols: pairs } = table;
  const values = new Uint16Array(
    Uint8Array.from({ length: 2 * pairs.length }, (_, i) => pairs[i >> 1] >>> (8 * (i & 1))).buffer,
  );
  const symbols = new Uint8Array(decodeWords(payload, Math.ceil(count / 2), tableLog, table, values).buffer);
  if (count === symbols.length) return symbols;
  if (symbols[count] !== 0) corrupt("payload: last pair");
  return symbols.slice(0, count);
}
