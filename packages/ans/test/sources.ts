/** Seeded symbols for the tests. */
export { uniform as random } from "../../../test/random.js";

import { uniform } from "../../../test/random.js";

/** Symbols 0, 1, 2 ... of geometric probabilities: the smaller `decay`, the lower the entropy. */
export function geometric(count: number, decay: number, alphabet: number, seed = 1): Uint8Array {
  const next = uniform(seed);
  return Uint8Array.from({ length: count }, () =>
    Math.min(alphabet - 1, Math.floor(Math.log(1 - next()) / Math.log(decay))),
  );
}

/** Feature maps: a smooth field of random waves, cut at zero so that most of it is zero, quantized to 0 .. 15. */
export function featureMap(height: number, width: number, channels: number, seed = 1): Uint8Array {
  const next = uniform(seed);
  const symbols = new Uint8Array(height * width * channels);
  for (let channel = 0; channel < channels; channel++) {
    const waves = Array.from({ length: 8 }, () => [next() - 0.5, next() - 0.5, 6.3 * next()]);
    for (let i = 0; i < height * width; i++) {
      const y = Math.floor(i / width);
      const x = i % width;
      const sum = waves.reduce((total, [u, v, phase]) => total + Math.sin(u * x + v * y + phase), 0);
      symbols[i * channels + channel] = Math.max(0, Math.min(15, Math.round(4 * (sum - 1.8) + next())));
    }
  }
  return symbols;
}

/** Entropy of the symbols' histogram, in bits for all of them. */
export function entropy(symbols: ArrayLike<number>): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < symbols.length; i++) counts.set(symbols[i], (counts.get(symbols[i]) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / symbols.length);
  return bits;
}

/** Index of the first difference, -1 for equal arrays of one kind; expect().toEqual takes seconds a million. */
export function firstDifference(a: Uint8Array | Uint16Array, b: Uint8Array | Uint16Array): number {
  if (a.constructor !== b.constructor || a.length !== b.length) return Math.min(a.length, b.length);
  return a.findIndex((symbol, i) => symbol !== b[i]);
}
