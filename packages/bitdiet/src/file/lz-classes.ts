/**
 * Numbers of any size as classes and low bits: lz.ts says how.
 *
 *     classOf(100)   // 21: 2^6 and the bit of 2^5; the 5 lowest bits of 100 follow
 */

/** Shortest match. */
export const MIN_MATCH = 2;

/** How many low bits follow a class. */
export const extraBits = (kind: number): number => (kind < 16 ? 0 : ((kind - 16) >> 1) + 3);

/** The class of a number, 0 .. 2^31 - 1. */
export function classOf(value: number): number {
  if (value < 16) return value;
  const exponent = 31 - Math.clz32(value);
  return 16 + 2 * (exponent - 4) + ((value >>> (exponent - 1)) & 1);
}

/** The least number of a class. */
export const lowest = (kind: number): number => (kind < 16 ? kind : (2 + (kind & 1)) * 2 ** extraBits(kind));
