/**
 * Symbol counts and the bound they set. Source: Shannon 1948, H = -sum p log2 p.
 *
 *     countSymbols(Uint8Array.of(0, 2, 2))   // Uint32Array [1, 0, 2]
 *     shannonEntropy([1, 0, 2])              // 0.918 bits a symbol
 */

/** Integers 0 .. 255 or 0 .. 65,535; a level of a quantizer, one element a value. */
export type Symbols = Uint8Array | Uint16Array;

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
  const all = symbols instanceof Uint8Array ? countBytes(symbols) : countWords16(symbols);
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

/** Four tables, so that a run of one symbol does not wait for its own counter. */
function countBytes(symbols: Uint8Array): Uint32Array {
  const { length } = symbols;
  const counts = new Uint32Array(256);
  let at = 0;
  if (length >= 1024) {
    const view = new DataView(symbols.buffer, symbols.byteOffset, length);
    const b = new Uint32Array(256);
    const c = new Uint32Array(256);
    const d = new Uint32Array(256);
    for (const last = length - 8; at <= last; at += 8) {
      const x = view.getUint32(at, true);
      const y = view.getUint32(at + 4, true);
      counts[x & 255]++;
      b[(x >>> 8) & 255]++;
      c[(x >>> 16) & 255]++;
      d[x >>> 24]++;
      counts[y & 255]++;
      b[(y >>> 8) & 255]++;
      c[(y >>> 16) & 255]++;
      d[y >>> 24]++;
    }
    for (let s = 0; s < 256; s++) counts[s] += b[s] + c[s] + d[s];
  }
  for (; at < length; at++) counts[symbols[at]]++;
  return counts;
}

function countWords16(symbols: Uint16Array): Uint32Array {
  let largest = 0;
  for (let i = 0; i < symbols.length; i++) if (symbols[i] > largest) largest = symbols[i];
  const counts = new Uint32Array(largest + 1);
  for (let i = 0; i < symbols.length; i++) counts[symbols[i]]++;
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
