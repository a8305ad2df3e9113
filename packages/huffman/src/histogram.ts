/**
 * Symbol counts and the bound they set. Source: Shannon 1948, H = -sum p log2 p.
 *
 *     countSymbols(Uint8Array.of(0, 2, 2))   // Uint32Array [1, 0, 2]
 *     shannonEntropy([1, 0, 2])              // 0.918 bits a symbol
 */

/** Integers 0 .. 255 or 0 .. 65,535; a level of a quantizer, one element a value. */
export type Symbols = Uint8Array | Uint16Array;

/** From this many symbols on, clearing and summing 65,536 counters of pairs is worth it. */
const PAIRWISE = 1 << 18;

/**
 * How often each symbol occurs.
 *
 * @param symbols any number of symbols
 * @param alphabetSize length of the result, 1 .. 65,536; default: the largest symbol + 1 (at least 1)
 * @throws RangeError when a symbol is not below `alphabetSize`
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

/** By pairs of symbols where there are enough: half as many increments. */
function countBytes(symbols: Uint8Array): Uint32Array {
  const { length } = symbols;
  const view = new DataView(symbols.buffer, symbols.byteOffset, length);
  const counts = new Uint32Array(256);
  // Tables enough that equal neighbours do not wait for each other's counter.
  const a = new Uint32Array(length < PAIRWISE ? 256 : 65536);
  const b = new Uint32Array(a.length);
  let at = 0;
  if (length < PAIRWISE) {
    for (; at + 4 <= length; at += 4) {
      const x = view.getUint32(at, true);
      a[x & 255]++;
      b[(x >>> 8) & 255]++;
      counts[(x >>> 16) & 255]++;
      a[x >>> 24]++;
    }
    for (let s = 0; s < 256; s++) counts[s] += a[s] + b[s];
  } else {
    for (; at + 8 <= length; at += 8) {
      const x = view.getUint32(at, true);
      const y = view.getUint32(at + 4, true);
      a[x & 65535]++;
      b[x >>> 16]++;
      a[y & 65535]++;
      b[y >>> 16]++;
    }
    for (let pair = 0; pair < 65536; pair++) {
      const count = a[pair] + b[pair];
      counts[pair & 255] += count;
      counts[pair >>> 8] += count;
    }
  }
  for (; at < length; at++) counts[symbols[at]]++;
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

/** What a value is, for an error message. */
export function describe(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
