import { expect, test } from "vitest";
import {
  dct,
  dct8x8,
  dctTransform,
  forward,
  idct,
  idct8x8,
  inverse,
  pcaTransform,
  symmetricEigen,
} from "../src/index.js";

// The same numbers in every engine: cosines may differ in their last bit, a float32 coefficient may not by more than its own.
test("the worked examples hold in this engine", () => {
  const y = dct(Float32Array.of(8, 16, 24, 32, 40, 48, 56, 64), 8);
  for (const [k, value] of [101.823376, -51.538584, 0, -5.387638, 0, -1.607223, 0, -0.405619].entries()) {
    expect(y[k]).toBeCloseTo(value, 5);
  }
  const t = pcaTransform(Float32Array.of(1, 1.1, 2, 1.9, 3, 3.2, 4, 3.8), 2);
  expect(t.variances[0]).toBeCloseTo(2.364161, 6);
  expect(t.basis[0]).toBeCloseTo(0.725643, 6);
  expect(symmetricEigen([2, 1, 1, 2], 2).values[0]).toBeCloseTo(3, 14);
});

test("every fast path agrees with its matrix and comes back in this engine", () => {
  for (const size of [1, 8, 60, 63, 67, 128, 134]) {
    const x = Float32Array.from({ length: 2 * size }, (_, i) => ((i * 37) % 101) / 50 - 1);
    const matrix = dctTransform(size);
    const [fast, slow] = [dct(x, size), forward(matrix, x)];
    const [back, slowBack] = [idct(fast, size), inverse(matrix, slow)];
    for (let i = 0; i < x.length; i++) {
      expect(Math.abs(fast[i] - slow[i])).toBeLessThan(3e-6);
      expect(Math.abs(back[i] - x[i])).toBeLessThan(3e-6);
      expect(Math.abs(slowBack[i] - x[i])).toBeLessThan(3e-6);
    }
  }
  const block = Float32Array.from({ length: 64 }, (_, i) => ((i * 29) % 64) / 32 - 1);
  const back = idct8x8(dct8x8(block));
  for (let i = 0; i < 64; i++) expect(Math.abs(back[i] - block[i])).toBeLessThan(1e-6);
});
