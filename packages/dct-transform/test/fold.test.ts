import { expect, test } from "vitest";
import { foldBatchNorm, foldIntoConvolution } from "../src/fold.js";
import { forward, inverse, keep, type Transform } from "../src/transform.js";
import { relativeError, uniform } from "./samples.js";

/** W = [[1, −1], [2, .5]] (out × in), stored with the output channels last. */
const convolution = { kernel: Float32Array.of(1, 2, -1, 0.5), bias: new Float32Array(2) };
const batchNorm = {
  gamma: Float32Array.of(2, 1),
  beta: Float32Array.of(0.5, -1),
  mean: Float32Array.of(1, 2),
  variance: Float32Array.of(4, 1),
  epsilon: 0,
};
const rotation: Transform = {
  basis: Float32Array.of(0.8, 0.6, -0.6, 0.8),
  rows: 2,
  size: 2,
  mean: Float32Array.of(0.1, 0.2),
};

/** A 1 × 1 convolution of one pixel. */
function apply(
  { kernel, bias }: { kernel: Float32Array; bias: Float32Array },
  x: readonly number[],
): Float32Array {
  return bias.map((b, o) => x.reduce((sum, value, i) => sum + value * kernel[i * bias.length + o], b));
}

test("foldBatchNorm and foldIntoConvolution of the worked example", () => {
  const folded = foldBatchNorm(convolution, batchNorm);
  expect([...folded.kernel]).toEqual([1, 2, -1, 0.5]);
  expect([...folded.bias]).toEqual([-0.5, -3]);
  const rotated = foldIntoConvolution(rotation, folded);
  expect(relativeError(rotated.kernel, [2, 1, -0.5, 1])).toBeLessThan(1e-7);
  expect(relativeError(rotated.bias, [-2.4, -2.2])).toBeLessThan(1e-7);
  const coefficients = apply(rotated, [1, 2]);
  expect(relativeError(coefficients, [-1.4, 0.8])).toBeLessThan(1e-6);
  const rebuilt = inverse(rotation, coefficients);
  expect(rebuilt[0]).toBeCloseTo(-1.5, 6);
  expect(rebuilt[1]).toBeCloseTo(0, 6);
});

test("the folded kernel equals convolution, batch norm and forward one after the other, truncated too", () => {
  const [inputs, outputs] = [6, 5];
  const layer = { kernel: uniform(inputs * outputs, 1), bias: uniform(outputs, 2) };
  const norm = {
    gamma: uniform(outputs, 3),
    beta: uniform(outputs, 4),
    mean: uniform(outputs, 5),
    variance: uniform(outputs, 6).map((v) => 1 + v),
    epsilon: 1e-3,
  };
  const whole: Transform = {
    basis: uniform(outputs * outputs, 7),
    rows: outputs,
    size: outputs,
    mean: uniform(outputs, 8),
  };
  for (const transform of [whole, keep(whole, 3)]) {
    const folded = foldIntoConvolution(transform, foldBatchNorm(layer, norm));
    expect(folded.bias).toHaveLength(transform.rows);
    const x = [...uniform(inputs, 9)];
    const normed = apply(layer, x).map(
      (value, o) =>
        ((value - norm.mean[o]) / Math.sqrt(norm.variance[o] + 1e-3)) * norm.gamma[o] + norm.beta[o],
    );
    expect(relativeError(apply(folded, x), forward(transform, normed))).toBeLessThan(1e-6);
  }
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => foldBatchNorm({ ...convolution, kernel: new Float32Array(3) }, batchNorm)).toThrow(
    new RangeError("convolution.kernel: expected a whole number of rows of 2 values, got 3 values"),
  );
  expect(() => foldBatchNorm(convolution, { ...batchNorm, beta: new Float32Array(1) })).toThrow(
    new RangeError("batchNorm.beta: expected 2 values, got 1"),
  );
  expect(() => foldBatchNorm(convolution, { ...batchNorm, variance: Float32Array.of(1, 0) })).toThrow(
    new RangeError("batchNorm.variance: expected variance + epsilon > 0, got 0 + 0 at 1"),
  );
  expect(() => foldIntoConvolution({ ...rotation, rows: 1 }, convolution)).toThrow(RangeError);
  expect(() =>
    foldIntoConvolution(rotation, { kernel: new Float32Array(2), bias: new Float32Array(3) }),
  ).toThrow(new RangeError("convolution.bias: expected 2 values, got 3"));
});
