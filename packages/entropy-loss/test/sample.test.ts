import { beforeAll, describe, expect, test, vi } from "vitest";
import { sampleElements, softEntropy, softHistogram } from "../src/index.js";
import { sampleIndices } from "../src/sample.js";
import { backends, difference, laplace, reference, tf, uniformLevels } from "./setup.js";

describe("sampled positions", () => {
  test("are the same for the same seed, and others for another", () => {
    expect(sampleIndices(1000, 50, 7)).toEqual(sampleIndices(1000, 50, 7));
    expect(sampleIndices(1000, 50, 7)).not.toEqual(sampleIndices(1000, 50, 8));
    // Pinned: the same seed must sample the same elements in every version.
    expect([...sampleIndices(1_000_000, 5, 42)]).toEqual([43768, 383877, 414964, 754474, 824558]);
  });

  test("hold one from each stretch, in order", () => {
    for (const [length, size] of [
      [10, 4],
      [17, 16],
      [1, 1],
      [2 ** 31 - 1, 100],
    ]) {
      for (let seed = 0; seed < 50; seed++) {
        const indices = sampleIndices(length, size, seed);
        for (const [i, index] of indices.entries()) {
          expect(index).toBeGreaterThanOrEqual(Math.floor((i * length) / size));
          expect(index).toBeLessThanOrEqual(Math.min(length - 1, ((i + 1) * length) / size));
        }
      }
    }
  });

  test("are uniform over the tensor, stretches of broken length included", () => {
    const length = 23;
    const size = 5;
    const seeds = 20_000;
    const counts = new Float64Array(length);
    for (let seed = 0; seed < seeds; seed++)
      for (const index of sampleIndices(length, size, seed)) counts[index]++;
    const expected = (seeds * size) / length;
    // Jittering makes counts less variable than a multinomial's, so chi-square's 99.9 % point (22 d.f.) is an upper bound.
    expect(counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(48.3);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });
});

describe.each(backends)("on the %s backend", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test("a sample holds the elements at the positions, and sends gradients back to them alone", () => {
    const x = tf.tensor2d(laplace(60, 4), [5, 12]);
    const indices = sampleIndices(60, 7, 3);
    expect([...sampleElements(x, 7, 3).dataSync()]).toEqual([...indices].map((index) => x.dataSync()[index]));
    const weights = [1, 2, 3, 4, 5, 6, 7];
    const gradient = tf.grad((v) => tf.sum(tf.mul(sampleElements(v, 7, 3), weights)))(x);
    const expected = new Float32Array(60);
    for (const [i, index] of indices.entries()) expected[index] += weights[i];
    expect(gradient.shape).toEqual([5, 12]);
    expect(gradient.dataSync()).toEqual(expected);
  });

  test("an element drawn twice gets both gradients", () => {
    let seed = 0;
    while (new Set(sampleIndices(5, 4, seed)).size === 4) seed++;
    const byElement = tf.grad((v) => tf.sum(sampleElements(v, 4, seed)))(tf.tensor1d([1, 2, 3, 4, 5]));
    const gradient = Array.from(byElement.dataSync());
    expect(gradient.reduce((a, b) => a + b)).toBe(4);
    expect(Math.max(...gradient)).toBe(2);
  });

  test("entropy of a sample, and its gradient, are those of the sampled elements", () => {
    const x = laplace(500, 8);
    const levels = tf.tensor1d([-2, -1, 0, 1, 2]);
    const indices = [...sampleIndices(500, 100, 9)];
    const { value, grad } = tf.valueAndGrad((v) =>
      softEntropy(v, levels, { sharpness: 3, sampleSize: 100, seed: 9 }),
    )(tf.tensor1d(x));
    const exact = reference(
      indices.map((index) => x[index]),
      [-2, -1, 0, 1, 2],
      3,
    );
    expect(value.dataSync()[0]).toBeCloseTo(exact.bits, 5);
    const expected = new Float32Array(500);
    for (const [i, index] of indices.entries()) expected[index] += exact.gradient[i];
    expect(difference(grad.dataSync(), expected)).toBeLessThan(1e-5);
  });

  test("a sample of everything or more is everything", () => {
    const x = tf.tensor2d(laplace(20, 1), [4, 5]);
    const levels = uniformLevels(3);
    for (const sampleSize of [20, 21, 1e9]) {
      expect(softEntropy(x, levels, { sampleSize }).dataSync()).toEqual(softEntropy(x, levels).dataSync());
      const sampled = tf.grad((v) => softEntropy(v, levels, { sampleSize }))(x);
      expect(sampled.shape).toEqual([4, 5]);
      expect(sampled.dataSync()).toEqual(
        tf
          .grad((v) => softEntropy(v, levels))(x)
          .dataSync(),
      );
    }
  });

  test("only the sample is read", () => {
    const x = tf.tensor1d(laplace(100_000, 6));
    const levels = uniformLevels(4);
    softEntropy(x, levels);
    const reads = vi.spyOn(tf.Tensor.prototype, "dataSync");
    tf.dispose(tf.valueAndGrad((v) => softEntropy(v, levels, { sampleSize: 100, seed: 1 }))(x));
    const sizes = reads.mock.contexts.map((tensor) => (tensor as tf.Tensor).size);
    reads.mockRestore();
    expect(Math.max(...sizes)).toBe(100);
  });
});

test("histogram and gradient of samples are right on average", async () => {
  await tf.setBackend("cpu");
  const x = tf.tensor1d(laplace(203, 12));
  const levels = tf.tensor1d([-2, -1, 0, 1, 2]);
  const weights = tf.tensor1d([3, 1, -1, 2, 5]);
  const loss = (options: object) => (v: tf.Tensor) =>
    tf.sum(tf.mul(softHistogram(v, levels, { sharpness: 2, ...options }), weights));
  const exact = softHistogram(x, levels, { sharpness: 2 }).dataSync();
  const exactGradient = tf.grad(loss({}))(x).dataSync();
  const seeds = 4000;
  const mean = new Float64Array(5);
  const meanGradient = new Float64Array(203);
  for (let seed = 0; seed < seeds; seed++) {
    tf.tidy(() => {
      const options = { sampleSize: 20, seed };
      for (const [k, p] of softHistogram(x, levels, { sharpness: 2, ...options })
        .dataSync()
        .entries())
        mean[k] += p / seeds;
      for (const [i, g] of tf.grad(loss(options))(x).dataSync().entries()) meanGradient[i] += g / seeds;
    });
  }
  // Standard errors: below 0.1 / sqrt(4000) = 0.0016 of a probability; each element's gradient is 0 or 10 times the
  // exact one, so its mean is known to 3 / sqrt(4000) = 5 %: five times that is 0.25.
  for (const [k, p] of exact.entries()) expect(Math.abs(mean[k] - p)).toBeLessThan(0.006);
  for (const [i, g] of exactGradient.entries())
    expect(Math.abs(meanGradient[i] - g)).toBeLessThan(0.25 * Math.abs(g) + 1e-7);
});
