import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { batchNorm, gelu, layerNorm, registerTrainingKernels } from "../src/index.js";
import { expectSameOnCpu, randomSource, randomTensor } from "./backends.js";

beforeAll(() => registerTrainingKernels());

/** Largest difference between the gradient of Σ weights · f(inputs) and central differences, in units of its size. */
function differenceError(
  f: (inputs: tf.Tensor[]) => tf.Tensor,
  inputs: tf.Tensor[],
  weights: tf.Tensor,
): number {
  const loss = (tensors: tf.Tensor[]) => tf.tidy(() => tf.sum(tf.mul(f(tensors), weights)));
  const gradients = tf.grads((...tensors) => loss(tensors))(inputs);
  let error = 0;
  let scale = 0;
  for (const [index, gradient] of gradients.entries()) {
    const values = inputs[index].dataSync();
    for (let i = 0; i < values.length; i += 3) {
      const shifted = [1e-2, -1e-2].map((shift) => {
        const moved = Float32Array.from(values);
        moved[i] += shift;
        const tensors = inputs.map((input, other) =>
          other === index ? tf.tensor(moved, input.shape) : input,
        );
        return loss(tensors).dataSync()[0];
      });
      const expected = (shifted[0] - shifted[1]) / 2e-2;
      error = Math.max(error, Math.abs(expected - gradient.dataSync()[i]));
      scale = Math.max(scale, Math.abs(expected));
    }
  }
  return error / scale;
}

describe("batchNorm", () => {
  // 1, 3, 5: single floats; 16, 20: whole vectors; 2 images of 9 × 9: more rows than a block of sums.
  for (const channels of [1, 3, 5, 8, 16, 20]) {
    it(`equals the composed operations on the cpu backend, with ${channels} channels`, async () => {
      await expectSameOnCpu(() => {
        const random = randomSource(channels);
        const x = tf.add(randomTensor<tf.Rank.R4>([2, 9, 9, channels], random), 3) as tf.Tensor4D;
        const [gamma, beta] = [
          randomTensor<tf.Rank.R1>([channels], random),
          randomTensor<tf.Rank.R1>([channels], random),
        ];
        const dy = randomTensor(x.shape, random);
        const { output, mean, variance } = batchNorm(x, gamma, beta, 1e-5);
        const normalise = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
          batchNorm(a as tf.Tensor4D, b as tf.Tensor1D, c as tf.Tensor1D, 1e-5).output;
        return [output, mean, variance, ...tf.grads(normalise)([x, gamma, beta], dy)];
      }, 2e-5);
    });
  }

  it("agrees with finite differences", async () => {
    await tf.setBackend("wasm");
    const random = randomSource(3);
    const inputs = [randomTensor([2, 3, 3, 4], random), randomTensor([4], random), randomTensor([4], random)];
    const f = ([x, gamma, beta]: tf.Tensor[]) =>
      batchNorm(x as tf.Tensor4D, gamma as tf.Tensor1D, beta as tf.Tensor1D, 1e-3).output;
    expect(differenceError(f, inputs, randomTensor([2, 3, 3, 4], random))).toBeLessThan(5e-3);
  });

  it("keeps its digits where the mean is far larger than the deviation", async () => {
    await tf.setBackend("wasm");
    const values = Float32Array.from({ length: 4000 }, (_, i) => 4096 + (i % 2));
    const x = tf.tensor4d(values, [10, 10, 40, 1]);
    const { mean, variance } = batchNorm(x, tf.ones([1]), tf.zeros([1]), 0);
    expect(mean.dataSync()[0]).toBe(4096.5);
    expect(variance.dataSync()[0]).toBe(0.25);
  });

  it("says which argument does not fit", () => {
    const x = tf.ones([1, 2, 2, 3]) as tf.Tensor4D;
    const [three, two] = [tf.ones([3]) as tf.Tensor1D, tf.ones([2]) as tf.Tensor1D];
    expect(() => batchNorm(tf.ones([2, 3]) as unknown as tf.Tensor4D, three, three, 1e-5)).toThrow(
      /^x: expected/,
    );
    expect(() => batchNorm(x, two, three, 1e-5)).toThrow(/gamma: expected shape \[3\].* got \[2\]/);
    expect(() => batchNorm(x, three, two, 1e-5)).toThrow(/^beta: /);
    expect(() => batchNorm(x, three, three, -1)).toThrow(RangeError);
    expect(() => batchNorm(x, three, three, Number.NaN)).toThrow(/^epsilon: /);
  });
});

describe("layerNorm", () => {
  for (const shape of [
    [7, 1],
    [40, 5],
    [2, 33, 16],
    [3, 130],
  ]) {
    it(`equals the composed operations on the cpu backend, for [${shape}]`, async () => {
      await expectSameOnCpu(() => {
        const random = randomSource(shape[1]);
        const size = shape[shape.length - 1];
        const x = randomTensor(shape, random);
        const [gamma, beta] = [
          randomTensor<tf.Rank.R1>([size], random),
          randomTensor<tf.Rank.R1>([size], random),
        ];
        const normalise = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
          layerNorm(a, b as tf.Tensor1D, c as tf.Tensor1D, 1e-3);
        return [
          normalise(x, gamma, beta),
          ...tf.grads(normalise)([x, gamma, beta], randomTensor(shape, random)),
        ];
      }, 2e-5);
    });
  }

  it("agrees with finite differences", async () => {
    await tf.setBackend("wasm");
    const random = randomSource(4);
    const inputs = [randomTensor([5, 6], random), randomTensor([6], random), randomTensor([6], random)];
    const f = ([x, gamma, beta]: tf.Tensor[]) =>
      layerNorm(x, gamma as tf.Tensor1D, beta as tf.Tensor1D, 1e-3);
    expect(differenceError(f, inputs, randomTensor([5, 6], random))).toBeLessThan(5e-3);
  });

  it("says which argument does not fit", () => {
    const three = tf.ones([3]) as tf.Tensor1D;
    expect(() => layerNorm(tf.ones([2, 4]), three, three, 0)).toThrow(/gamma: expected shape \[4\]/);
    expect(() => layerNorm(tf.scalar(1), three, three, 0)).toThrow(/^x: /);
    expect(() => layerNorm(tf.ones([2, 3]), three, three, -1)).toThrow(/^epsilon: /);
  });
});

describe("gelu", () => {
  it("and its derivative are x Φ(x) and Φ(x) + x φ(x), on both backends", async () => {
    // Φ by its series: Σ (−1)^k x^(2k+1) / (k! 2^k (2k+1)).
    const phi = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    const cumulative = (x: number) => {
      let term = x;
      let sum = x;
      for (let k = 1; k < 120; k++) {
        term *= (-x * x) / (2 * k);
        sum += term / (2 * k + 1);
      }
      return 0.5 + sum / Math.sqrt(2 * Math.PI);
    };
    const xs = Array.from({ length: 81 }, (_, i) => (i - 40) / 10);
    for (const backend of ["wasm", "cpu"]) {
      await tf.setBackend(backend);
      const y = gelu(tf.tensor1d(xs)).dataSync();
      const slope = tf
        .grad((x) => gelu(x))(tf.tensor1d(xs))
        .dataSync();
      for (const [i, x] of xs.entries()) {
        expect(Math.abs(y[i] - x * cumulative(x)), `${backend} gelu(${x})`).toBeLessThan(2e-6);
        expect(Math.abs(slope[i] - cumulative(x) - x * phi(x)), `${backend} gelu'(${x})`).toBeLessThan(2e-6);
      }
    }
  });
});
