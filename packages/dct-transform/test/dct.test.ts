import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dct, dctTransform, idct } from "../src/dct.js";
import { dct8x8, idct8x8 } from "../src/dct8x8.js";
import { forward, inverse } from "../src/transform.js";
import { dctByDefinition, fixtures, relativeError, uniform } from "./samples.js";

/** Powers of two, three, five; other small primes; primes and prime factors that take the convolution; composites of all. */
const sizes = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 21, 22, 25, 27, 30, 31, 32, 35, 37, 49, 53, 59,
  61, 62, 64, 67, 74, 81, 96, 97, 122, 125, 127, 128, 134, 192, 201, 243, 251, 256, 320, 343, 384, 385, 509,
  512, 576, 768, 1000, 1009, 1024,
];

test("dct of a ramp and of a sparse row gives the textbook coefficients", () => {
  const ramp = [101.823376, -51.538584, 0, -5.387638, 0, -1.607223, 0, -0.405619];
  const sparse = [2.828427, 2.744599, 0.92388, 1.245319, 2.828427, 2.63613, 0.382683, -0.983452];
  const y = dct(Float32Array.of(8, 16, 24, 32, 40, 48, 56, 64, 5, 0, 0, 3, 0, 0, 0, 0), 8);
  for (const [k, value] of [...ramp, ...sparse].entries()) expect(y[k]).toBeCloseTo(value, 5);
});

test("dct equals SciPy's orthonormal DCT-II", ({ skip }) => {
  const known = fixtures();
  if (!known) return skip();
  for (const { x, y } of known.dct2_ortho) {
    expect(relativeError(dct(Float32Array.from(x), x.length), y)).toBeLessThan(1e-7);
    expect(relativeError(forward(dctTransform(x.length), Float32Array.from(x)), y)).toBeLessThan(1e-7);
    expect(relativeError(idct(Float32Array.from(y), x.length), x)).toBeLessThan(1e-7);
  }
});

describe.each(sizes)("length %i", (size) => {
  const x = uniform(3 * size, size);

  test("dct equals the definition to float32 rounding", () => {
    const y = dct(x, size);
    for (const row of [0, 1, 2]) {
      const exact = dctByDefinition(x.subarray(row * size, (row + 1) * size));
      expect(relativeError(y.subarray(row * size, (row + 1) * size), exact)).toBeLessThan(4e-8);
    }
  });

  test("idct undoes dct, and equals the transposed matrix", () => {
    expect(relativeError(idct(dct(x, size), size), x)).toBeLessThan(7e-8);
    expect(relativeError(idct(x, size), inverse(dctTransform(size), x))).toBeLessThan(1e-7);
  });

  test("dctTransform has orthonormal rows", () => {
    const { basis } = dctTransform(size);
    const some = [0, 1, size >> 1, size - 2, size - 1].filter(
      (k, i, all) => k >= 0 && all.indexOf(k) === i && k < size,
    );
    for (const k of some) {
      for (const l of some) {
        let dot = 0;
        for (let i = 0; i < size; i++) dot += basis[k * size + i] * basis[l * size + i];
        expect(Math.abs(dot - (k === l ? 1 : 0))).toBeLessThan(1e-6);
      }
    }
  });
});

test("dct of a cosine of the basis is one coefficient", () => {
  const size = 768;
  const { basis } = dctTransform(size);
  const y = dct(basis.subarray(300 * size, 301 * size), size);
  expect(y[300]).toBeCloseTo(1, 6);
  y[300] = 0;
  expect(Math.max(...y.map(Math.abs))).toBeLessThan(1e-6);
});

test("dct is linear, keeps the energy, and gives a row the same bits alone as among others", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.integer(), (size, seed) => {
      const x = uniform(2 * size, seed);
      const y = dct(x, size);
      const sum = dct(
        Float32Array.from({ length: size }, (_, i) => x[i] + x[size + i]),
        size,
      );
      expect(
        relativeError(
          Float64Array.from(sum, (_, i) => y[i] + y[size + i]),
          sum,
        ),
      ).toBeLessThan(1e-6);
      const energy = (values: Float32Array): number =>
        values.reduce((total, value) => total + value * value, 0);
      expect(Math.abs(energy(y) / energy(x) - 1)).toBeLessThan(1e-6);
      expect(dct(x.slice(size), size)).toEqual(y.slice(size));
    }),
    { numRuns: 60, seed: 1 },
  );
});

test("a NaN or a huge value stays in its row", () => {
  for (const size of [8, 9, 67]) {
    const x = uniform(3 * size, 5);
    const expected = dct(x, size);
    x[0] = Number.NaN;
    x[2 * size] = 3e38;
    const y = dct(x, size);
    expect(y.subarray(0, size).every(Number.isNaN)).toBe(true);
    expect(y.subarray(size, 2 * size)).toEqual(expected.subarray(size, 2 * size));
  }
});

test("no rows give no coefficients", () => {
  expect(dct(new Float32Array(0), 8)).toHaveLength(0);
  expect(idct8x8(new Float32Array(0))).toHaveLength(0);
});

test("dct8x8 is the dct of columns and rows, idct8x8 its inverse", () => {
  const x = uniform(64 * 5, 3);
  const y = dct8x8(x);
  for (let block = 0; block < 5; block++) {
    const at = (row: number, column: number): number => 64 * block + 8 * row + column;
    const rows = Array.from({ length: 8 }, (_, r) => dctByDefinition(x.subarray(at(r, 0), at(r, 8))));
    for (let c = 0; c < 8; c++) {
      const exact = dctByDefinition(rows.map((row) => row[c]));
      for (let k = 0; k < 8; k++) expect(Math.abs(y[at(k, c)] - exact[k])).toBeLessThan(3e-7);
    }
  }
  expect(relativeError(idct8x8(y), x)).toBeLessThan(7e-8);
  const flat = dct8x8(new Float32Array(64).fill(1));
  expect(flat[0]).toBeCloseTo(8, 6);
  expect(Math.max(...flat.subarray(1).map(Math.abs))).toBeLessThan(1e-6);
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => dct([1, 2] as unknown as Float32Array, 2)).toThrow(
    new TypeError("rows: expected a Float32Array, got Array"),
  );
  expect(() => dct(new Float32Array(7), 4)).toThrow(
    new RangeError("rows: expected a whole number of rows of 4 values, got 7 values"),
  );
  expect(() => idct(new Float32Array(4), 0)).toThrow(
    new RangeError("size: expected a positive integer, got 0"),
  );
  expect(() => dct(new Float32Array(4), 2.5)).toThrow(RangeError);
  expect(() => dct(new Float32Array(4), "4" as unknown as number)).toThrow(
    new TypeError("size: expected a number, got string 4"),
  );
  expect(() => dctTransform(-1)).toThrow(new RangeError("size: expected a positive integer, got -1"));
  expect(() => dct8x8(new Float32Array(65))).toThrow(
    new RangeError("blocks: expected a whole number of rows of 64 values, got 65 values"),
  );
  expect(() => idct8x8(null as unknown as Float32Array)).toThrow(
    new TypeError("blocks: expected a Float32Array, got null"),
  );
});
