import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { symmetricEigen } from "../src/eigen.js";
import { fixtures, identity, relativeError, uniform } from "./samples.js";

function symmetric(size: number, entry: (i: number, j: number) => number): Float64Array {
  const a = new Float64Array(size * size);
  for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) a[i * size + j] = a[j * size + i] = entry(i, j);
  return a;
}

function randomSymmetric(size: number, seed: number): Float64Array {
  const values = uniform(size * size, seed);
  return symmetric(size, (i, j) => values[i * size + j]);
}

/** Largest entry of A v − λ v over the largest of A, and of V Vᵀ − I. */
function residuals(a: Float64Array, size: number): { equation: number; orthonormality: number } {
  const { values, vectors } = symmetricEigen(a, size);
  const norm = a.reduce((most, value) => Math.max(most, Math.abs(value)), Number.MIN_VALUE);
  let equation = 0;
  let orthonormality = 0;
  for (let k = 0; k < size; k++) {
    const v = vectors.subarray(k * size, (k + 1) * size);
    for (let i = 0; i < size; i++) {
      let sum = -values[k] * v[i];
      for (let j = 0; j < size; j++) sum += a[i * size + j] * v[j];
      equation = Math.max(equation, Math.abs(sum) / norm);
    }
    for (let l = 0; l <= k; l++) {
      let dot = l === k ? -1 : 0;
      for (let i = 0; i < size; i++) dot += vectors[l * size + i] * v[i];
      orthonormality = Math.max(orthonormality, Math.abs(dot));
    }
  }
  return { equation, orthonormality };
}

test("symmetricEigen of [[2, 1], [1, 2]] is 3 and 1 with the diagonals", () => {
  const { values, vectors } = symmetricEigen([2, 1, 1, 2], 2);
  expect(relativeError(values, [3, 1])).toBeLessThan(1e-15);
  const r = Math.SQRT1_2;
  expect(relativeError(vectors, [r, r, r, -r])).toBeLessThan(1e-15);
});

test("symmetricEigen equals LAPACK's eigenvalues", ({ skip }) => {
  const known = fixtures();
  if (!known) return skip();
  const { matrix, eigenvalues_descending } = known.symmetric_eigen;
  expect(
    relativeError(symmetricEigen(matrix.flat(), matrix.length).values, eigenvalues_descending),
  ).toBeLessThan(1e-14);
});

test("the second-difference matrix has the eigenvalues 2 − 2 cos(πk/(n + 1))", () => {
  for (const n of [2, 3, 10, 100]) {
    const { values } = symmetricEigen(
      symmetric(n, (i, j) => (i === j ? 2 : i - j === 1 ? -1 : 0)),
      n,
    );
    const exact = Float64Array.from({ length: n }, (_, i) => 2 - 2 * Math.cos((Math.PI * (n - i)) / (n + 1)));
    expect(relativeError(values, exact)).toBeLessThan(1e-14);
  }
});

describe.each([1, 2, 3, 4, 5, 8, 17, 64, 130])("size %i", (size) => {
  const cases: Record<string, Float64Array> = {
    random: randomSymmetric(size, size),
    "all ones (one eigenvalue n, the others zero)": symmetric(size, () => 1),
    "twice the identity": symmetric(size, (i, j) => (i === j ? 2 : 0)),
    zero: new Float64Array(size * size),
    diagonal: symmetric(size, (i, j) => (i === j ? (i * 7) % 5 : 0)),
    "two equal blocks (every eigenvalue twice)": (() => {
      const half = randomSymmetric(size, 3);
      return symmetric(size, (i, j) => ((i ^ j) & 1 ? 0 : half[(i >> 1) * size + (j >> 1)]));
    })(),
    "strongly correlated": symmetric(size, (i, j) => 0.999 ** (i - j)),
    graded: symmetric(size, (i, j) => 2 ** (-4 * (i + j))),
    "near the overflow": symmetric(size, (i, j) => 1e300 * Math.cos(i * j)),
    "near the underflow": symmetric(size, (i, j) => 1e-300 * Math.cos(i * j)),
  };
  test.each(Object.keys(cases))("%s: A v = λ v, orthonormal, descending, trace kept", (name) => {
    const a = cases[name];
    const { equation, orthonormality } = residuals(a, size);
    expect(equation).toBeLessThan(1e-15 * size + 1e-15);
    expect(orthonormality).toBeLessThan(1e-15 * size + 1e-15);
    const { values } = symmetricEigen(a, size);
    expect([...values]).toEqual([...values].sort((x, y) => y - x));
    const largest = Math.max(...values.map(Math.abs), Number.MIN_VALUE);
    let trace = 0;
    for (let i = 0; i < size; i++) trace += (a[i * (size + 1)] - values[i]) / largest;
    expect(Math.abs(trace)).toBeLessThan(1e-14 * size);
  });
});

test("the eigenvalues of a diagonal matrix are its entries, exactly", () => {
  const { values, vectors } = symmetricEigen([1, 0, 0, 0, 5, 0, 0, 0, -2], 3);
  expect([...values]).toEqual([5, 1, -2]);
  expect([...vectors].map((v) => v + 0)).toEqual([0, 1, 0, 1, 0, 0, 0, 0, 1]);
  expect(symmetricEigen([-3], 1)).toEqual({ values: Float64Array.of(-3), vectors: Float64Array.of(1) });
});

test("the component of largest magnitude is positive, also after the matrix is disturbed a little", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 30 }), fc.integer(), (size, seed) => {
      const { vectors } = symmetricEigen(randomSymmetric(size, seed), size);
      for (let k = 0; k < size; k++) {
        const v = [...vectors.subarray(k * size, (k + 1) * size)];
        expect(Math.max(...v)).toBeGreaterThanOrEqual(Math.max(...v.map(Math.abs)) * (1 - 1e-11));
      }
    }),
    { numRuns: 40, seed: 1 },
  );
  // Both components agree in magnitude, so a rounding decides which is larger: the first must stay positive.
  for (const off of [0, 1e-15, -1e-15]) {
    const { vectors } = symmetricEigen([1 + off, 1, 1, 1], 2);
    expect(vectors[0]).toBeGreaterThan(0);
    expect(vectors[2]).toBeGreaterThan(0);
  }
});

test("the same matrix gives the same bits, and a scaled one the scaled values", () => {
  const a = randomSymmetric(40, 9);
  expect(symmetricEigen(a, 40)).toEqual(symmetricEigen(a, 40));
  const scaled = symmetricEigen(
    a.map((value) => value * 1024),
    40,
  );
  expect(scaled.values).toEqual(symmetricEigen(a, 40).values.map((value) => value * 1024));
  expect(scaled.vectors).toEqual(symmetricEigen(a, 40).vectors);
});

test("the identity's vectors are the identity's rows", () => {
  expect(symmetricEigen(identity(5), 5).vectors).toEqual(identity(5));
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => symmetricEigen([1, 2, 3], 2)).toThrow(new RangeError("matrix: expected 4 values, got 3"));
  expect(() => symmetricEigen([1, 2, 3, 4], 2)).toThrow(
    new RangeError("matrix: expected a symmetric matrix, got 3 at (1, 0) and 2 at (0, 1)"),
  );
  expect(() => symmetricEigen([1, Number.NaN, 0, 1], 2)).toThrow(
    new RangeError("matrix: expected finite numbers, got NaN at 1"),
  );
  expect(() => symmetricEigen("1" as unknown as number[], 1)).toThrow(
    new TypeError("matrix: expected an array of numbers, got string 1"),
  );
  expect(() => symmetricEigen([], 0)).toThrow(RangeError);
});
