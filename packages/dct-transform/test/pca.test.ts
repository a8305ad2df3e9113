import fc from "fast-check";
import { expect, test } from "vitest";
import { codingGain } from "../src/coding-gain.js";
import { componentsForEnergy, pcaTransform, sampleMean, secondMoment } from "../src/pca.js";
import { forward, identityTransform, inverse, keep } from "../src/transform.js";
import { relativeError, uniform } from "./samples.js";

/** The worked example of two channels and four positions: rows are positions. */
const example = Float32Array.of(1, 1.1, 2, 1.9, 3, 3.2, 4, 3.8);

test("pcaTransform of the worked example: mean, covariance, variances, components", () => {
  const t = pcaTransform(example, 2);
  expect(relativeError(t.mean, [2.5, 2.5])).toBeLessThan(1e-7);
  expect(
    relativeError(secondMoment(example, 2, sampleMean(example, 2)), [1.25, 1.175, 1.175, 1.125]),
  ).toBeLessThan(1e-7);
  expect(t.variances[0]).toBeCloseTo(2.364161, 6);
  expect(t.variances[1]).toBeCloseTo(0.010839, 6);
  expect(relativeError(t.basis, [0.725643, 0.688071, -0.688071, 0.725643])).toBeLessThan(1e-6);
});

test("one step size for all components of the worked example gives the published levels and error", () => {
  const t = pcaTransform(example, 2);
  // Signs are free, and the published one of the second component decides how its halves round.
  for (const i of [2, 3]) t.basis[i] *= -1;
  const y = forward(t, example);
  const low = Math.min(...y);
  const step = (Math.max(...y) - low) / 14;
  expect(step).toBeCloseTo(0.288194, 6);
  const levels = y.map((value) => Math.round((value - low) / step));
  expect([levels[0], levels[2], levels[4], levels[6]]).toEqual([0, 4, 10, 14]);
  expect([levels[1], levels[3], levels[5], levels[7]]).toEqual([7, 7, 7, 7]);
  const rebuilt = inverse(
    t,
    levels.map((level) => level * step + low),
  );
  const error = rebuilt.reduce((sum, value, i) => sum + (value - example[i]) ** 2, 0) / 8;
  expect(error).toBeCloseTo(0.00793786, 6);
});

test("coefficients are uncorrelated, of the given variances, and rebuild the samples", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 90 }),
      fc.integer(),
      (size, count, seed) => {
        // Mixing the columns makes them correlated.
        const x = uniform(size * count, seed);
        for (let i = 1; i < x.length; i++) if (i % size) x[i] += 0.9 * x[i - 1] + 3;
        const t = pcaTransform(x, size);
        const y = forward(t, x);
        const covariance = secondMoment(y, size, sampleMean(y, size));
        const scale = t.variances[0] + 1e-12;
        for (let i = 0; i < size; i++) {
          for (let j = 0; j < size; j++) {
            expect(Math.abs(covariance[i * size + j] - (i === j ? t.variances[i] : 0)) / scale).toBeLessThan(
              3e-6,
            );
          }
        }
        expect(relativeError(inverse(t, y), x)).toBeLessThan(1e-6);
      },
    ),
    { numRuns: 60, seed: 1 },
  );
});

test("secondMoment equals the definition whatever the number of samples and columns", () => {
  for (const [count, size] of [
    [1, 1],
    [3, 5],
    [64, 6],
    [65, 7],
    [200, 9],
  ]) {
    const x = uniform(count * size, count);
    const mean = uniform(size, 2);
    for (const centre of [undefined, mean]) {
      const exact = new Float64Array(size * size);
      for (let n = 0; n < count; n++) {
        for (let i = 0; i < size; i++) {
          for (let j = 0; j < size; j++) {
            exact[i * size + j] +=
              ((x[n * size + i] - (centre?.[i] ?? 0)) * (x[n * size + j] - (centre?.[j] ?? 0))) / count;
          }
        }
      }
      expect(relativeError(secondMoment(x, size, centre), exact)).toBeLessThan(1e-14);
    }
  }
});

test("a variance far below the squared mean is exact: nothing is lost to cancellation", () => {
  const x = Float32Array.of(4096, 4096.0009765625, 4096, 4096.0009765625);
  expect(pcaTransform(x, 1).variances[0]).toBe((0.0009765625 / 2) ** 2);
});

test("constant samples have no variance and come back whole", () => {
  const t = pcaTransform(Float32Array.of(3, 1, 3, 1), 2);
  expect([...t.variances]).toEqual([0, 0]);
  expect([...inverse(t, forward(t, Float32Array.of(3, 1)))]).toEqual([3, 1]);
});

test("componentsForEnergy keeps the component that reaches the share, not one less", () => {
  expect(componentsForEnergy([6, 3, 0.8, 0.2], 0.95)).toBe(3);
  expect(componentsForEnergy([6, 3, 0.8, 0.2], 0.6)).toBe(1);
  expect(componentsForEnergy([6, 3, 0.8, 0.2], 0.61)).toBe(2);
  expect(componentsForEnergy([6, 3, 0.8, 0.2], 1)).toBe(4);
  expect(componentsForEnergy([1, 0, 0], 1)).toBe(3);
  expect(componentsForEnergy([1, 0, 0], 0.999)).toBe(1);
  expect(componentsForEnergy([0, 0], 0.5)).toBe(1);
});

test("the relative error of a truncated PCA is the share of the variance that was dropped", () => {
  const size = 6;
  const x = uniform(size * 500, 8);
  for (let i = 0; i < x.length; i++) x[i] *= 1 + (i % size);
  const t = pcaTransform(x, size);
  const kept = componentsForEnergy(t.variances, 0.8);
  const truncated = keep(t, kept);
  const y = inverse(truncated, forward(truncated, x));
  const mean = sampleMean(x, size);
  let dropped = 0;
  let total = 0;
  for (let i = 0; i < x.length; i++) {
    dropped += (x[i] - y[i]) ** 2;
    total += (x[i] - mean[i % size]) ** 2;
  }
  expect(dropped / total).toBeLessThanOrEqual(0.2);
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  expect(dropped / total).toBeCloseTo(sum(t.variances.subarray(kept)) / sum(t.variances), 6);
});

test("no orthonormal basis has a larger coding gain than the PCA", () => {
  const size = 5;
  const x = uniform(size * 300, 2);
  for (let i = 1; i < x.length; i++) if (i % size) x[i] += 0.95 * x[i - 1];
  const covariance = secondMoment(x, size, sampleMean(x, size));
  const best = codingGain(pcaTransform(x, size), covariance);
  expect(codingGain(identityTransform(size), covariance)).toBeCloseTo(1, 12);
  expect(best).toBeGreaterThan(1.5);
  for (let seed = 0; seed < 20; seed++) {
    const other = pcaTransform(uniform(size * 50, seed), size);
    expect(codingGain(other, covariance)).toBeLessThan(best);
  }
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => pcaTransform(new Float32Array(0), 2)).toThrow(
    new RangeError("samples: expected at least one row, got none"),
  );
  expect(() => pcaTransform(new Float32Array(3), 2)).toThrow(RangeError);
  expect(() => pcaTransform(Float32Array.of(1, Number.NaN), 2)).toThrow(
    new RangeError("samples: expected finite values, got one that is not in column 1"),
  );
  expect(() => secondMoment(new Float32Array(2), 2, [1])).toThrow(
    new RangeError("mean: expected 2 values, got 1"),
  );
  expect(() => componentsForEnergy([1], 0)).toThrow(
    new RangeError("energy: expected a share in (0, 1], got 0"),
  );
  expect(() => componentsForEnergy([1], Number.NaN)).toThrow(RangeError);
  expect(() => componentsForEnergy([1, 2], 0.5)).toThrow(
    new RangeError("variances: expected numbers ≥ 0 in descending order, got 2 at 1"),
  );
  expect(() => componentsForEnergy([], 0.5)).toThrow(
    new RangeError("variances: expected at least one variance, got none"),
  );
});
