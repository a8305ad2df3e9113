import fc from "fast-check";
import { expect, test } from "vitest";
import { entropy } from "../src/index.js";
import { backends, tf } from "./setup.js";

test.each(backends)("entropy on the %s backend has the closed forms", async (backend) => {
  await tf.setBackend(backend);
  expect(entropy([0, 0, 1, 1, 3, 3], 4)).toBeCloseTo(Math.log2(3), 12);
  expect(
    entropy(
      Uint8Array.from({ length: 256 }, (_, k) => k),
      256,
    ),
  ).toBe(8);
  expect(
    entropy(
      tf.tensor2d(
        [
          [0, 1],
          [2, 3],
        ],
        undefined,
        "int32",
      ),
      4,
    ),
  ).toBe(2);
  // What `quantize` of a float tensor gives: whole numbers, float32
  expect(entropy(tf.tensor1d([0, 1, 1, 1]), 2)).toBeCloseTo(0.811278, 6);
  expect(entropy(new Int32Array(100).fill(5), 6)).toBe(0);
  expect(entropy([], 4)).toBe(0);
  expect(entropy([0, 0], 1)).toBe(0);
});

test("entropy of any integers is that of their counted shares", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { minLength: 1 }), (symbols) => {
      const shares = [...new Set(symbols)].map((s) => symbols.filter((t) => t === s).length / symbols.length);
      expect(entropy(symbols, 10)).toBeCloseTo(-shares.reduce((sum, p) => sum + p * Math.log2(p), 0), 10);
    }),
  );
});

test("what is no index is rejected, with its place", () => {
  for (const wrong of [4, -1, 0.5, Number.NaN, 2 ** 32]) {
    expect(() => entropy([0, 1, wrong], 4)).toThrow(
      new RangeError(`indices: expected integers in 0..3, got indices[2] = ${wrong}`),
    );
  }
  for (const wrong of [0, -1, 1.5, Number.NaN]) {
    expect(() => entropy([0], wrong)).toThrow(
      new RangeError(`levelCount: expected a positive integer, got ${wrong}`),
    );
  }
});
