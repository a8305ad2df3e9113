/**
 * Symbol counts and the bound they set. Source: Shannon 1948, H = -sum p log2 p.
 *
 *     countSymbols(Uint8Array.of(0, 2, 2))   // Uint32Array [1, 0, 2]
 *     shannonEntropy([1, 0, 2])              // 0.918 bits a symbol
 */
import { describe } from "@bitdiet/stream";

/** Unsigned integers 0 .. 255 or 0 .. 65,535: indices of a quantizer's levels, one element per value. */
export type Symbols = Uint8Array | Uint16Array;

/** From this many symbols on, clearing and summing 65,536 counters of pairs is worth it. */
export const PAIRWISE = 1 << 18;

/**
 * How often each symbol occurs.
 *
 * @param symbols any number of symbols
 * @param alphabetSize length of the result, 1 .. 65,536; default: the largest symbol + 1 (at least 1)
 * @throws {RangeError} when a symbol is not below `alphabetSize`
 */
export function countSymbols(symbols: Symbols, alphabetSize?: number): Uint32Array {
  checkSymbols(symbols);
  if (alphabetSize !== undefined) checkAlphabetSize(alphabetSize);
  const all = symbols instanceof Uint8Array ? countBytes(symbols) : countShorts(symbols);
  let used = all.length;
  while (used > 1 && all[used - 1] === 0) used--;
  if (alphabetSize === undefined) return all.slice(0, used);
  if (used > alphabetSize) {
    throw new RangeError(`symbols: expected values below alphabetSize ${alphabetSize}, got ${used - 1}`);
  }
  const counts = new Uint32Array(alphabetSize);
  counts.set(all.subarray(0, used));
  return counts;
}

function countBytes(symbols: Uint8Array): Uint32Array {
  const { length } = symbols;
  if (length >= PAIRWISE) return singlesOf(countPairs(symbols), length);
  const view = new DataView(symbols.buffer, symbols.byteOffset, length);
  // Tables enough that equal neighbours do not wait for each other's counter.
  const counts = new Uint32Array(256);
  const a = new Uint32Array(256);
  const b = new Uint32Array(256);
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const x = view.getUint32(at, true);
    a[x & 255]++;
    b[(x >>> 8) & 255]++;
    counts[(x >>> 16) & 255]++;
    a[x >>> 24]++;
  }
  for (let s = 0; s < 256; s++) counts[s] += a[s] + b[s];
  for (; at < length; at++) counts[symbols[at]]++;
  return counts;
}

/**
 * How often each two symbols follow each other, at even places: half as many increments as symbols.
 *
 * @returns counts of first | second << 8; an odd last symbol is followed by 0
 */
export function countPairs(symbols: Uint8Array): Uint32Array {
  const { length } = symbols;
  const view = new DataView(symbols.buffer, symbols.byteOffset, length);
  const counts = new Uint32Array(65536);
  const odd = new Uint32Array(65536);
  let at = 0;
  for (; at + 8 <= length; at += 8) {
    const x = view.getUint32(at, true);
    const y = view.getUint32(at + 4, true);
    counts[x & 65535]++;
    odd[x >>> 16]++;
    counts[y & 65535]++;
    odd[y >>> 16]++;
  }
  for (let pair = 0; pair < 65536; pair++) counts[pair] += odd[pair];
  for (; at < length; at += 2) counts[symbols[at] | ((at + 1 < length ? symbols[at + 1] : 0) << 8)]++;
  return counts;
}

/** Counts of single symbols from those of `countPairs`. @param length how many symbols were counted */
export function singlesOf(pairCounts: Uint32Array, length: number): Uint32Array {
  const counts = new Uint32Array(256);
  for (let pair = 0; pair < 65536; pair++) {
    counts[pair & 255] += pairCounts[pair];
    counts[pair >>> 8] += pairCounts[pair];
  }
  counts[0] -= length & 1; // what follows an odd last symbol
  return counts;
}

function countShorts(symbols: Uint16Array): Uint32Array {
  const { length } = symbols;
  let largest = 65535;
  if (length < PAIRWISE) {
    largest = 0;
    for (let i = 0; i < length; i++) largest = Math.max(largest, symbols[i]);
  }
  const counts = new Uint32Array(largest + 1);
  const odd = new Uint32Array(largest + 1);
  let i = 0;
  for (; i + 2 <= length; i += 2) {
    counts[symbols[i]]++;
    odd[symbols[i + 1]]++;
  }
  if (i < length) counts[symbols[i]]++;
  for (let s = 0; s <= largest; s++) counts[s] += odd[s];
  return counts;
}

/**
 * Entropy of the distribution that the counts give: the fewest bits a symbol that any code of single,
 * independent symbols can reach.
 *
 * @param counts non-negative numbers; zeros add nothing, and no counts at all give 0
 * @returns bits a symbol
 */
export function shannonEntropy(counts: ArrayLike<number>): number {
  let total = 0;
  for (let s = 0; s < counts.length; s++) total += counts[s];
  if (total === 0) return 0;
  let bits = 0;
  for (let s = 0; s < counts.length; s++) {
    if (counts[s] > 0) bits -= counts[s] * Math.log2(counts[s] / total);
  }
  return bits / total;
}

export function checkSymbols(symbols: Symbols): void {
  if (!(symbols instanceof Uint8Array || symbols instanceof Uint16Array)) {
    throw new TypeError(`symbols: expected a Uint8Array or a Uint16Array, got ${describe(symbols)}`);
  }
}

export function checkAlphabetSize(alphabetSize: number): void {
  if (!Number.isInteger(alphabetSize) || alphabetSize < 1 || alphabetSize > 65536) {
    throw new RangeError(`alphabetSize: expected an integer in 1 .. 65536, got ${String(alphabetSize)}`);
  }
}
