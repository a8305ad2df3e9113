/**
 * Canonical codes: lengths alone determine the code. Source: RFC 1951 (DEFLATE) 3.2.2: shorter codes first, equal
 * lengths in order of the symbols, each code one more than the last. Codes are read from their most significant bit.
 *
 *     canonicalCodes([2, 1, 3, 3])  // 0b10, 0b0, 0b110, 0b111
 */
import { LONGEST_CODE } from "./code-lengths.js";

/** The words of a code in canonical order, and where each length starts. */
export interface Canonical {
  /** Words with a code: by length, then by index. */
  order: Uint16Array;
  /** order[start[l]] is the first word of length l; start[LONGEST_CODE + 1] is the number of codes. */
  start: Uint32Array;
}

/** @param lengths of a complete code, see `isComplete` */
export function canonicalOrder(lengths: Uint8Array): Canonical {
  const start = new Uint32Array(LONGEST_CODE + 2);
  for (let w = 0; w < lengths.length; w++) start[lengths[w] + 1]++;
  start[1] = 0; // words of length 0 have no code
  for (let l = 1; l <= LONGEST_CODE + 1; l++) start[l] += start[l - 1];
  const order = new Uint16Array(start[LONGEST_CODE + 1]);
  const next = start.slice();
  for (let w = 0; w < lengths.length; w++) if (lengths[w] > 0) order[next[lengths[w]]++] = w;
  return { order, start };
}

/**
 * Each word's code and length in one number, ready to be shifted into a bit stream: the code in the top bits, the
 * length in the lowest 5. 0 where a word has no code, and for a lone word, whose code is empty.
 */
export function packedCodes(lengths: Uint8Array): Uint32Array {
  const { order } = canonicalOrder(lengths);
  const packed = new Uint32Array(lengths.length);
  if (order.length < 2) return packed;
  let at = 0; // the code, left-aligned in 32 bits
  for (const word of order) {
    packed[word] = at | lengths[word];
    at += 2 ** (32 - lengths[word]);
  }
  return packed;
}
