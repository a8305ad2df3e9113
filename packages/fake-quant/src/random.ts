/**
 * Seeded random numbers in plain JavaScript, the same on every backend: mulberry32 (Ettinger 2017, public domain) and
 * the Box-Muller transform. Seed 1 begins with 0.6270739405881613.
 */

/** Uniform numbers in [0, 1), multiples of 2^-32. */
export function uniformSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Gauss numbers of mean 0 and variance 1. */
export function normalSource(seed: number): () => number {
  const uniform = uniformSource(seed);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return radius * Math.cos(2 * Math.PI * uniform());
  };
}

/** @throws {RangeError} if seed is not an integer */
export function checkSeed(seed: number): void {
  if (!Number.isInteger(seed)) throw new RangeError(`seed: expected an integer, got ${seed}`);
}
