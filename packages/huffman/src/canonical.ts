/**
 * Canonical codes: lengths alone determine the code. Source: RFC 1951 (DEFLATE) 3.2.2: shorter codes first, equal
 * lengths in order of the symbols, each code one more than the last. Codes are read from their most significant bit.
 *
 *     canonicalCodes([2, 1, 3, 3])  // 0b10, 0b0, 0b110, 0b111
 */
import { MAX_CODE_LENGTH } from "./code-lengths.js";

/** The words of a code in canonical order, and how to find one among them. */
export interface Canonical {
  /** Words with a code: by length, then by index. */
  order: number[];
  /** Codes of length l are below limit[l], left-aligned in 32 bits .. */
  limit: number[];
  /** .. and order[first[l] + (code >>> (32 - l))] is the word. */
  first: number[];
}

/** @param lengths of a complete code, see `countCodes` */
export function canonical(lengths: Uint8Array): Canonical {
  const order: number[] = [];
  const limit = [0];
  const first = [0];
  let code = 0;
  for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
    first[length] = order.length - code / 2 ** (32 - length);
    for (let word = 0; word < lengths.length; word++) {
      if (lengths[word] !== length) continue;
      order.push(word);
      code += 2 ** (32 - length);
    }
    limit[length] = code;
  }
  return { order, limit, first };
}

/**
 * Each word's code and length in one number, ready to be shifted into a bit stream: the code in the top bits, the
 * length in the lowest 5. 0 where a word has no code, and for a lone word, whose code is empty.
 */
export function packedCodes(lengths: Uint8Array): Uint32Array {
  const { order } = canonical(lengths);
  const packed = new Uint32Array(lengths.length);
  if (order.length < 2) return packed;
  let at = 0; // the code, left-aligned in 32 bits
  for (const word of order) {
    packed[word] = at | lengths[word];
    at += 2 ** (32 - lengths[word]);
  }
  return packed;
}
