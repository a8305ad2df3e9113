/**
 * A fixed tANS code: one frequency table, known to both sides, no header.
 *
 *     const code = ansCode(normalizeCounts([90, 8, 2], 10));
 *     code.decode(code.encode([0, 0, 1, 0, 2]), 5)  // Uint8Array [0, 0, 1, 0, 2]
 *     code.encodedBits(symbols)                    // the payload's bits, exactly
 */
import { checkBytes, checkCount, checkSymbol } from "./check.js";
import { countBytes } from "./histogram.js";
import { MAX_ALPHABET, MAX_TABLE_LOG } from "./normalize.js";
import { bytesDecoder, decodePayload, wordsDecoder } from "./payload-decode.js";
import { encodePayload, payloadBits, type SlotsOf } from "./payload-encode.js";
import { contextDecodeTable, type DecodeTable, type EncodeTables, encodeTables } from "./tables.js";

/** Integers to bytes and back. */
export interface AnsCode {
  /**
   * @param symbols each 0 .. alphabet - 1 and of frequency > 0
   * @throws {RangeError} for a symbol that the code has not
   */
  encode(symbols: ArrayLike<number>): Uint8Array;
  /**
   * @param count how many symbols were encoded; the bytes do not say
   * @returns bytes for an alphabet of up to 256 symbols, else 16-bit words
   * @throws {CorruptInputError} when the bytes are not exactly `count` symbols of this code
   */
  decode(bytes: Uint8Array, count: number): Uint8Array | Uint16Array;
  /** 8 * encode(symbols).length, without the writing: the states walk over the symbols in about half the time. */
  encodedBits(symbols: ArrayLike<number>): number;
}

/** The table log of frequencies that sum to a power of two. */
export function tableLogOf(frequencies: ArrayLike<number>, name = "frequencies"): number {
  let sum = 0;
  let present = 0;
  for (let symbol = 0; symbol < frequencies.length; symbol++) {
    const frequency = frequencies[symbol];
    if (!(Number.isInteger(frequency) && frequency >= 0)) {
      throw new RangeError(`${name}[${symbol}]: expected an integer >= 0, got ${frequency}`);
    }
    sum += frequency;
    if (frequency > 0) present++;
  }
  const tableLog = 31 - Math.clz32(sum);
  if (sum !== 1 << tableLog || tableLog < 1 || tableLog > MAX_TABLE_LOG) {
    throw new RangeError(`${name}: expected a sum of 2^1 .. 2^${MAX_TABLE_LOG}, got ${sum}`);
  }
  if (present > MAX_ALPHABET || frequencies.length > 65536) {
    throw new RangeError(`${name}: expected at most ${MAX_ALPHABET} symbols below 65536, got ${present}`);
  }
  return tableLog;
}

/**
 * @param frequencies one a symbol, 0 .. 65,535 symbols of which at most 4,096 have a frequency; their sum is the
 *   table size, 2^1 .. 2^14: see normalizeCounts
 */
export function ansCode(frequencies: ArrayLike<number>): AnsCode {
  const tableLog = tableLogOf(frequencies);
  const alphabet = frequencies.length;
  const present: number[] = [];
  for (let symbol = 0; symbol < alphabet; symbol++) if (frequencies[symbol] > 0) present.push(symbol);
  const values = Uint16Array.from(present);
  const compact = Uint16Array.from(present, (symbol) => frequencies[symbol]);
  const indexOf = new Int32Array(alphabet).fill(-1);
  present.forEach((symbol, index) => {
    indexOf[symbol] = index;
  });
  let encoder: EncodeTables | undefined;
  /** Tables of bytes as they are, without a look-up of their index; frequencies of all 256. */
  let byteEncoder: EncodeTables | undefined;
  let decoder: DecodeTable | undefined;

  const slotOf = (symbols: ArrayLike<number>, index: number): number => {
    const symbol = symbols[index];
    checkSymbol(symbol, index, alphabet);
    if (indexOf[symbol] < 0) {
      throw new RangeError(`symbols[${index}]: expected a symbol of frequency > 0, got ${symbol}`);
    }
    return indexOf[symbol];
  };

  const coded = (symbols: ArrayLike<number>): { tables: EncodeTables; source: Uint8Array | SlotsOf } => {
    if (symbols instanceof Uint8Array) {
      const counts = countBytes(symbols);
      if (counts.some((count, symbol) => count > 0 && !(indexOf[symbol] >= 0))) {
        for (let i = 0; i < symbols.length; i++) slotOf(symbols, i); // throws at the first of them
      }
      byteEncoder ??= encodeTables([Uint16Array.from(counts, (_, s) => frequencies[s] ?? 0)], tableLog);
      return { tables: byteEncoder, source: symbols };
    }
    encoder ??= encodeTables([compact], tableLog);
    const source: SlotsOf = (slots, from, to) => {
      for (let i = from; i < to; i++) slots[i - from] = slotOf(symbols, i);
    };
    return { tables: encoder, source };
  };

  return {
    encode(symbols) {
      const { tables, source } = coded(symbols);
      return encodePayload(symbols.length, tableLog, tables, source);
    },
    decode(bytes, count) {
      checkBytes(bytes);
      checkCount(count);
      decoder ??= contextDecodeTable([alphabet <= 256 ? frequencies : compact], tableLog);
      return alphabet <= 256
        ? decodePayload(bytes, count, tableLog, (n) => new Uint8Array(n), bytesDecoder(decoder, count))
        : decodePayload(
            bytes,
            count,
            tableLog,
            (n) => new Uint16Array(n),
            wordsDecoder(decoder, values, count),
          );
    },
    encodedBits(symbols) {
      const { tables, source } = coded(symbols);
      return payloadBits(symbols.length, tableLog, tables, source);
    },
  };
}
