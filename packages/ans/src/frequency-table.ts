/**
 * A frequency table as bits. Symbols in ascending order, until the frequencies sum to 2^tableLog:
 *
 *     bit length of the frequency (0 for an absent symbol), as its difference to that of the last present symbol,
 *     zigzag (0, -1, +1, -2, ...) in unary: that many ones, a zero. It starts from tableLog.
 *     length >= 2: the bits after the first one, lowest first
 *     length 0: how many symbols in a row are absent, Elias gamma; a present symbol follows
 *
 *     [6, 1, 1] at tableLog 3: length 3 "0", bits "01"; length 1 "1110"; length 1 "0"
 *
 * Smooth histograms change their bit length by 0 or 1 a symbol, so a symbol costs about log2(frequency) + 2 bits.
 */
import { corrupt } from "@bitdiet/stream";
import { type HeaderReader, type HeaderWriter, putBits, putGamma, takeBits, takeGamma } from "./bit-io.js";
import { MAX_ALPHABET } from "./normalize.js";

/** Only the symbols that occur: ascending, with their counts or frequencies. */
export interface Sparse {
  symbols: Uint16Array;
  counts: ArrayLike<number>;
}

/** Frequencies of bytes, 0 for those that do not occur. */
export function denseBytes({ symbols, counts }: Sparse): Uint16Array {
  const dense = new Uint16Array(256);
  for (let i = 0; i < symbols.length; i++) dense[symbols[i]] = counts[i];
  return dense;
}

const bitLength = (value: number): number => 32 - Math.clz32(value);

function putLength(writer: HeaderWriter, length: number, last: number): void {
  const difference = length - last;
  for (let ones = difference < 0 ? -2 * difference - 1 : 2 * difference; ones > 0; ones--)
    putBits(writer, 1, 1);
  putBits(writer, 0, 1);
}

/** @param counts frequencies that sum to 2^tableLog */
export function putFrequencies(writer: HeaderWriter, { symbols, counts }: Sparse, tableLog: number): void {
  let last = tableLog;
  let expected = 0;
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] > expected) {
      putLength(writer, 0, last);
      putGamma(writer, symbols[i] - expected);
    }
    const length = bitLength(counts[i]);
    putLength(writer, length, last);
    putBits(writer, counts[i], length - 1);
    last = length;
    expected = symbols[i] + 1;
  }
}

/** @param limit one above the greatest symbol; @throws {CorruptInputError} */
export function takeFrequencies(
  reader: HeaderReader,
  tableLog: number,
  limit: number,
): { symbols: Uint16Array; counts: Uint16Array } {
  const symbols: number[] = [];
  const counts: number[] = [];
  let left = 1 << tableLog;
  let last = tableLog;
  let absent = false;
  for (let symbol = 0; left > 0; ) {
    let ones = 0;
    while (takeBits(reader, 1) === 1) ones++;
    const length = last + (ones & 1 ? -(ones + 1) / 2 : ones / 2);
    if (length < 0 || length > bitLength(left) || (length === 0 && absent)) corrupt("table: length");
    if (length === 0) {
      absent = true;
      symbol += takeGamma(reader, 65536);
      continue;
    }
    const count = (1 << (length - 1)) | takeBits(reader, length - 1);
    if (count > left || symbol >= limit || symbols.length === MAX_ALPHABET) corrupt("table: symbol");
    symbols.push(symbol++);
    counts.push(count);
    left -= count;
    last = length;
    absent = false;
  }
  return { symbols: Uint16Array.from(symbols), counts: Uint16Array.from(counts) };
}

/** Bits that putFrequencies writes for these frequencies. */
export function frequencyTableBits(table: Sparse, tableLog: number): number {
  const writer: HeaderWriter = { bytes: [], pending: 0, used: 0 };
  putFrequencies(writer, table, tableLog);
  return writer.bytes.length * 8 + writer.used;
}

/** The symbols that occur in a dense histogram. */
export function sparse(counts: ArrayLike<number>): { symbols: Uint16Array; counts: Float64Array } {
  const symbols: number[] = [];
  for (let symbol = 0; symbol < counts.length; symbol++) if (counts[symbol] !== 0) symbols.push(symbol);
  return {
    symbols: Uint16Array.from(symbols),
    counts: Float64Array.from(symbols, (symbol) => counts[symbol]),
  };
}
