import fc from "fast-check";
import { expect, test } from "vitest";
import { codingGain } from "../src/coding-gain.js";
import { symmetricEigen } from "../src/eigen.js";
import { eltTransform } from "../src/elt.js";
import { forward, identityTransform, inverse, type Transform } from "../src/transform.js";
import {
  fixtures,
  identity,
  positiveDefinite,
  product,
  relativeError,
  transpose,
  uniform,
} from "./samples.js";

const ct = [2, 1, 1, 2];
const cg = [1, 0.5, 0.5, 3];

function klt(covariance: ArrayLike<number>, size: number): Transform {
  return { basis: Float32Array.from(symmetricEigen(covariance, size).vectors), rows: size, size };
}

/** A row may carry either sign. */
function toFirstPositive(row: ArrayLike<number>): number[] {
  return Array.from(row, (value) => value * Math.sign(row[0]));
}

test("eltTransform of the worked example: Λ, U, U⁻ᵀ and the transformed weights", () => {
  const t = eltTransform(ct, cg, { damping: 0 });
  expect(t.variances[0]).toBeCloseTo(7.964102, 6);
  expect(t.variances[1]).toBeCloseTo(1.035898, 6);
  const columns = [
    { u: [0.596374, 1.629325], s: [0.354349, 0.48405], coefficients: [0.596374, 2.822074, -1.629325] },
    { u: [0.802706, -0.587622], s: [0.98252, -0.359627], coefficients: [0.802706, 1.017791, 0.587622] },
  ];
  // The columns of Θ = [[1, 2, 0], [0, 1, −1]] are its weight vectors.
  const weights = Float32Array.of(1, 0, 2, 1, 0, -1);
  const coefficients = forward(t, weights);
  for (const [k, column] of columns.entries()) {
    expect(relativeError(toFirstPositive(t.basis.subarray(2 * k, 2 * k + 2)), column.u)).toBeLessThan(1e-6);
    expect(relativeError(toFirstPositive(t.synthesis.subarray(2 * k, 2 * k + 2)), column.s)).toBeLessThan(
      2e-6,
    );
    const row = toFirstPositive([coefficients[k], coefficients[2 + k], coefficients[4 + k]]);
    expect(relativeError(row, column.coefficients)).toBeLessThan(1e-6);
  }
  expect(relativeError(inverse(t, coefficients), weights)).toBeLessThan(2e-7);
});

test("coding gains of the worked example: KLT 1.032796, ELT 1.206045, the largest there is", () => {
  expect(codingGain(identityTransform(2), ct, cg)).toBeCloseTo(1, 12);
  expect(codingGain(klt(ct, 2), ct, cg)).toBeCloseTo(1.032796, 6);
  expect(codingGain(eltTransform(ct, cg, { damping: 0 }), ct, cg)).toBeCloseTo(1.206045, 6);
  // √(Π diagonals / det(Cg Ct)) = √(12 / 8.25).
  expect(codingGain(eltTransform(ct, cg, { damping: 0 }), ct, cg)).toBeCloseTo(Math.sqrt(12 / 8.25), 6);
  // Without a sensitivity it is the classic gain: arithmetic over geometric mean for equal variances.
  expect(codingGain(klt(ct, 2), ct)).toBeCloseTo(2 / Math.sqrt(3), 6);
  expect(codingGain(klt([1, 1, 1, 1], 2), [1, 1, 1, 1])).toBeGreaterThan(1e3);
});

test("eltTransform's variances equal SciPy's generalised eigenvalues", ({ skip }) => {
  const known = fixtures();
  if (!known) return skip();
  const { weight_covariance, sensitivity, generalised_eigenvalues_descending } = known.elt;
  const t = eltTransform(weight_covariance.flat(), sensitivity.flat(), { damping: 0 });
  expect(relativeError(t.variances, generalised_eigenvalues_descending)).toBeLessThan(1e-11);
});

test("UᵀCtU = Λ, UᵀCg⁻¹U = I, and synthesis · basisᵀ = I for random pairs", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer(), (size, seed) => {
      const weight = positiveDefinite(size, seed);
      const sensitivity = positiveDefinite(size, seed + 1);
      const t = eltTransform(weight, sensitivity, { damping: 0 });
      const lambda = product(product(t.basis, weight, size), transpose(t.basis, size), size);
      for (let k = 0; k < size; k++) lambda[k * (size + 1)] -= t.variances[k];
      expect(Math.max(...lambda.map(Math.abs)) / t.variances[0]).toBeLessThan(2e-6);
      expect(
        relativeError(product(t.synthesis, transpose(t.basis, size), size), identity(size)),
      ).toBeLessThan(5e-6);
      // UᵀCg⁻¹U = I is SᵀCgS = I with S = U⁻ᵀ, which needs no inverse.
      const unit = product(product(t.synthesis, sensitivity, size), transpose(t.synthesis, size), size);
      expect(relativeError(unit, identity(size))).toBeLessThan(5e-6);
      const best = codingGain(t, weight, sensitivity);
      expect(best).toBeGreaterThanOrEqual(codingGain(klt(weight, size), weight, sensitivity) * (1 - 1e-5));
      const x = uniform(4 * size, seed);
      expect(relativeError(inverse(t, forward(t, x)), x)).toBeLessThan(5e-6);
    }),
    { numRuns: 60, seed: 1 },
  );
});

test("with a sensitivity of I the ELT is the KLT", () => {
  const covariance = positiveDefinite(6, 3);
  const t = eltTransform(covariance, identity(6), { damping: 0 });
  expect(relativeError(t.basis, klt(covariance, 6).basis)).toBeLessThan(1e-6);
  expect(relativeError(t.synthesis, t.basis)).toBeLessThan(1e-6);
});

test("damping adds its share of the Frobenius norm to the diagonal, and makes a singular sensitivity usable", () => {
  const norm = Math.sqrt(1 + 0.25 + 0.25 + 9);
  const damped = [1 + 0.1 * norm, 0.5, 0.5, 3 + 0.1 * norm];
  const direct = eltTransform(ct, damped, { damping: 0 });
  expect(relativeError(eltTransform(ct, cg, { damping: 0.1 }).variances, direct.variances)).toBeLessThan(
    1e-14,
  );
  expect(
    relativeError(eltTransform(ct, cg).variances, eltTransform(ct, cg, { damping: 0.001 }).variances),
  ).toBe(0);
  const singular = [1, 1, 1, 1];
  expect(() => eltTransform(ct, singular, { damping: 0 })).toThrow(
    /^sensitivity: expected a positive definite matrix/,
  );
  expect(eltTransform(ct, singular).variances[1]).toBeGreaterThan(0);
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => eltTransform([1, 2, 3], cg)).toThrow(
    new RangeError("weightCovariance: expected 4 values, got 3"),
  );
  expect(() => eltTransform(ct, [1])).toThrow(new RangeError("sensitivity: expected 4 values, got 1"));
  expect(() => eltTransform(ct, [1, 0.5, 0, 3])).toThrow(
    new RangeError("sensitivity: expected a symmetric matrix, got 0 at (1, 0) and 0.5 at (0, 1)"),
  );
  expect(() => eltTransform([2, 1, 0, 2], cg)).toThrow(
    new RangeError("weightCovariance: expected a symmetric matrix, got 0 at (1, 0) and 1 at (0, 1)"),
  );
  expect(() => eltTransform(ct, cg, { damping: -1 })).toThrow(
    new RangeError("damping: expected a number ≥ 0, got -1"),
  );
  expect(() => codingGain({ ...identityTransform(2), rows: 1, basis: Float32Array.of(1, 0) }, ct)).toThrow(
    new RangeError("transform: expected 2 rows (a complete transform), got 1"),
  );
  expect(() => codingGain(identityTransform(2), [1])).toThrow(
    new RangeError("covariance: expected 4 values, got 1"),
  );
});
