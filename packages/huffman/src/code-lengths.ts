/**
 * Optimal code lengths under a limit: Huffman 1952 by the two-queue method, and where that goes over the limit the
 * package-merge algorithm of Larmore and Hirschberg 1990 ("A fast algorithm for optimal length-limited Huffman codes").
 *
 *     codeLengths([1, 1, 2, 4])       // [3, 3, 2, 1]
 *     codeLengths([1, 1, 2, 4], 2)    // [2, 2, 2, 2]
 *     codedBits([1, 1, 2, 4], [3, 3, 2, 1])  // 14
 *
 * All sums are integers below 2^53, so nothing is rounded and every engine finds the same lengths.
 */
import { describe } from "@bitdiet/stream";

/** The longest code any table may hold, in bits. */
export const MAX_CODE_LENGTH = 20;

/**
 * Lengths of a prefix code with the smallest `codedBits(counts, lengths)` among those of at most `maxLength` bits.
 * A symbol with count 0 gets length 0 (no code). A lone used symbol gets length 1 by convention, and costs 0 bits.
 *
 * @param counts one integer in 0 .. 2^32 - 1 a symbol, 1 .. 65,536 of them
 * @param maxLength at most 20 bits, at least log2 of the number of used symbols; default: 4 bits more than
 *   that, within 12 .. 20
 */
export function codeLengths(counts: ArrayLike<number>, maxLength?: number): Uint8Array {
  const n = counts.length;
  if (!(n >= 1 && n <= 65536)) throw new RangeError(`counts: expected 1 .. 65536 of them, got ${String(n)}`);
  const lengths = new Uint8Array(n);
  // Sorting by count, ties by symbol, is sorting one number a symbol: count * 65536 + symbol < 2^48.
  const keys = new Float64Array(n);
  let used = 0;
  for (let s = 0; s < n; s++) {
    const count = counts[s];
    if (!(Number.isInteger(count) && count >= 0 && count <= 0xffffffff)) {
      throw new RangeError(`counts[${s}]: expected an integer in 0 .. 2^32 - 1, got ${String(count)}`);
    }
    if (count > 0) keys[used++] = count * 65536 + s;
  }
  const needed = used > 1 ? 32 - Math.clz32(used - 1) : 1;
  const limit = maxLength ?? Math.min(MAX_CODE_LENGTH, Math.max(12, needed + 4));
  if (!Number.isInteger(limit) || limit < needed || limit > MAX_CODE_LENGTH) {
    throw new RangeError(
      `maxLength: expected an integer in ${needed} .. ${MAX_CODE_LENGTH}, got ${String(maxLength)}`,
    );
  }
  const sorted = keys.subarray(0, used).sort();
  if (used === 1) lengths[sorted[0] % 65536] = 1;
  if (used < 2) return lengths;
  const weights = new Float64Array(used);
  for (let i = 0; i < used; i++) weights[i] = Math.floor(sorted[i] / 65536);
  const depths = huffmanDepths(weights);
  const chosen = depths[0] <= limit ? depths : packageMerge(weights, limit);
  for (let i = 0; i < used; i++) lengths[sorted[i] % 65536] = chosen[i];
  return lengths;
}

/** Depths in an unlimited Huffman tree. @param weights ascending, two or more; @returns depths, descending */
function huffmanDepths(weights: Float64Array): Uint8Array {
  const n = weights.length;
  // Two queues: the leaves in order, and the inner nodes in the order they are made, which is ascending too.
  const inner = new Float64Array(n - 1);
  const leafParent = new Uint32Array(n);
  const innerParent = new Uint32Array(n - 1);
  let leaf = 0;
  let node = 0;
  for (let made = 0; made < n - 1; made++) {
    let weight = 0;
    for (let child = 0; child < 2; child++) {
      if (leaf < n && (node >= made || weights[leaf] <= inner[node])) {
        leafParent[leaf] = made;
        weight += weights[leaf++];
      } else {
        innerParent[node] = made;
        weight += inner[node++];
      }
    }
    inner[made] = weight;
  }
  // A parent is always made after its children, so one pass backwards knows every depth. Depths stay below
  // 256: depth d needs a total weight of at least Fibonacci(d), and totals are below 2^48.
  const innerDepth = new Uint8Array(n - 1);
  for (let i = n - 3; i >= 0; i--) innerDepth[i] = innerDepth[innerParent[i]] + 1;
  const depths = new Uint8Array(n);
  for (let i = 0; i < n; i++) depths[i] = innerDepth[leafParent[i]] + 1;
  return depths;
}

/**
 * Package-merge in O(n * limit). Level by level, pairs of the last level's items ("packages") are merged with the
 * leaves; the first 2n - 2 items of the last level are the solution. Only which items are leaves is kept: the leaves
 * taken at a level are always its lightest, so the counts suffice to walk back.
 */
function packageMerge(weights: Float64Array, limit: number): Uint8Array {
  const n = weights.length;
  const isLeaf: Uint8Array[] = [];
  let items = weights;
  isLeaf.push(new Uint8Array(n).fill(1));
  for (let level = 1; level < limit; level++) {
    const packages = items.length >> 1;
    const merged = new Float64Array(n + packages);
    const leaves = new Uint8Array(n + packages);
    let leaf = 0;
    let pack = 0;
    for (let at = 0; at < merged.length; at++) {
      const weight = pack < packages ? items[2 * pack] + items[2 * pack + 1] : Number.POSITIVE_INFINITY;
      if (leaf < n && weights[leaf] <= weight) {
        merged[at] = weights[leaf++];
        leaves[at] = 1;
      } else {
        merged[at] = weight;
        pack++;
      }
    }
    items = merged;
    isLeaf.push(leaves);
  }
  const lengths = new Uint8Array(n);
  let taken = 2 * n - 2;
  for (let level = limit - 1; level >= 0; level--) {
    const leaves = isLeaf[level];
    let leaf = 0;
    for (let at = 0; at < taken; at++) leaf += leaves[at];
    for (let i = 0; i < leaf; i++) lengths[i]++;
    taken = 2 * (taken - leaf);
  }
  return lengths;
}

/** A code for n >= 2 equally likely symbols: the first ones get floor(log2 n) bits, the rest one more if need be. */
export function flatLengths(n: number): Uint8Array {
  const bits = 31 - Math.clz32(n);
  return new Uint8Array(n).fill(bits + 1).fill(bits, 0, 2 ** (bits + 1) - n);
}

/**
 * Exact size of the symbols' codes, without table and padding.
 *
 * @param counts how often each symbol occurs
 * @param lengths the code's lengths, in bits; a code of one symbol costs 0 bits
 * @throws {RangeError} when a symbol that occurs has no code
 */
export function codedBits(counts: ArrayLike<number>, lengths: ArrayLike<number>): number {
  let bits = 0;
  let codes = 0;
  for (let s = 0; s < lengths.length; s++) if (lengths[s] > 0) codes++;
  for (let s = 0; s < counts.length; s++) {
    if (counts[s] === 0) continue;
    if (!(lengths[s] > 0))
      throw new RangeError(`lengths[${s}]: expected a code for symbol ${s}, which occurs`);
    bits += counts[s] * lengths[s];
  }
  return codes === 1 ? 0 : bits;
}

/** `lengths` as they are, once they are known to be those of a complete prefix code, or of a lone symbol. */
export function checkLengths(lengths: Uint8Array): Uint8Array {
  if (!(lengths instanceof Uint8Array)) {
    throw new TypeError(`lengths: expected a Uint8Array, got ${describe(lengths)}`);
  }
  if (lengths.length > 65536 || countCodes(lengths) === 0) {
    throw new RangeError(
      `lengths: expected a complete prefix code of at most ${MAX_CODE_LENGTH} bits for 1 .. 65536 symbols ` +
        "(the sum of 2^-length is 1, or a lone symbol has length 1)",
    );
  }
  return lengths;
}

/**
 * How many codes there are, if they are a complete prefix code by Kraft's equality, or a lone one of length 1; else 0.
 * Sums are in units of 2^-20.
 */
export function countCodes(lengths: Uint8Array): number {
  let sum = 0;
  let codes = 0;
  for (const length of lengths) {
    if (length > MAX_CODE_LENGTH) return 0;
    if (length > 0) {
      sum += 1 << (MAX_CODE_LENGTH - length);
      codes++;
    }
  }
  return sum === 1 << (codes === 1 ? MAX_CODE_LENGTH - 1 : MAX_CODE_LENGTH) ? codes : 0;
}
