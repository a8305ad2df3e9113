import { beforeAll, describe, expect, test, vi } from "vitest";
import { sampleElements, softEntropy, softHistogram, withSample } from "../src/index.js";
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

  test("x with a sample is x, sharing its data, and the sample of its elements", () => {
    const x = tf.tensor2d(laplace(60, 4), [5, 12]);
    const buffers = tf.memory().numDataBuffers;
    const [passed, sample] = withSample(x, 7, 3);
    expect(tf.memory().numDataBuffers).toBe(buffers + 1);
    expect(passed.shape).toEqual([5, 12]);
    expect(passed.dataSync()).toEqual(x.dataSync());
    expect(sample.dataSync()).toEqual(sampleElements(x, 7, 3).dataSync());
    tf.dispose([passed, sample]);
    expect(x.dataSync()).toEqual(laplace(60, 4));
  });

  // 400 of 1,000 and 30 of 37: some elements are drawn twice. 37 and 99 of 37: the sample is everything.
  test.each([
    [1000, 64],
    [1000, 400],
    [37, 30],
    [37, 37],
    [37, 99],
  ])("of %d elements, %d sampled, the gradient is bit for bit that of two uses", (length, size) => {
    const x = tf.tensor1d(laplace(length, 5));
    const weights = tf.tensor1d(laplace(Math.min(length, size), 6));
    const factors = tf.tensor1d(laplace(length, 7));
    const loss = (passed: tf.Tensor, sample: tf.Tensor) =>
      tf.add(tf.sum(tf.mul(passed, factors)), tf.sum(tf.mul(sample, weights)));
    for (let seed = 0; seed < 20; seed++) {
      const together = tf.grad((v) => loss(...withSample(v, size, seed)))(x);
      const apart = tf.grad((v) => loss(v, sampleElements(v, size, seed)))(x);
      expect(together.dataSync()).toEqual(apart.dataSync());
    }
  });

  test("either of the two may go unused", () => {
    const x = tf.tensor2d(laplace(40, 5), [4, 10]);
    const ofX = tf.grad((v) => tf.sum(tf.square(withSample(v, 8, 2)[0])))(x);
    expect(ofX.shape).toEqual([4, 10]);
    expect([...ofX.dataSync()]).toEqual([...x.dataSync()].map((value) => Math.fround(2 * value)));
    const ofSample = tf.grad((v) => tf.sum(tf.square(withSample(v, 8, 2)[1])))(x);
    const expected = new Float32Array(40);
    for (const index of sampleIndices(40, 8, 2)) expected[index] += 2 * x.dataSync()[index];
    expect(ofSample.dataSync()).toEqual(expected);
  });

  test("a loss on x and on the entropy of its sample has the gradient of central differences, its scale too", () => {
    const x = laplace(30, 15);
    const levels = [-2, -1, 0, 1, 2];
    const indices = [...sampleIndices(30, 12, 4)];
    const loss = (values: ArrayLike<number>, scale: number) =>
      Array.from(values).reduce((sum, value) => sum + value ** 3, 0) +
      5 *
        reference(
          indices.map((index) => values[index] / scale),
          levels,
          3,
        ).bits;
    const [byX, byScale] = tf.grads((v, scale) => {
      const [passed, sample] = withSample(v, 12, 4);
      const bits = softEntropy(sample, tf.tensor1d(levels), { sharpness: 3, scale });
      return tf.add(tf.sum(tf.pow(passed, 3)), tf.mul(bits, 5));
    })([tf.tensor1d(x), tf.scalar(0.7)]);
    const step = 1e-5;
    const differences = Array.from(x, (_, i) => {
      const moved = (by: number) =>
        loss(
          Array.from(x, (value, j) => (i === j ? value + by : value)),
          0.7,
        );
      return (moved(step) - moved(-step)) / (2 * step);
    });
    expect(difference(byX.dataSync(), differences)).toBeLessThan(1e-5);
    const ofScale = (loss(x, 0.7 + step) - loss(x, 0.7 - step)) / (2 * step);
    expect(byScale.dataSync()[0] / ofScale).toBeCloseTo(1, 4);
  });

  test("x with a sample works on a variable inside variableGrads, with other layers on top, and leaks nothing", () => {
    const w = tf.variable(tf.tensor2d(laplace(64, 3), [8, 8]));
    const scale = tf.variable(tf.scalar(0.5));
    const levels = tf.tensor1d([-1, 0, 1, 2]);
    const step = (seed: number) =>
      tf.variableGrads(() => {
        const rates: tf.Scalar[] = [];
        let h: tf.Tensor = w;
        for (let layer = 0; layer < 3; layer++) {
          const [passed, sample] = withSample(h, 20, seed + layer);
          rates.push(softEntropy(sample, levels, { scale }));
          h = tf.matMul(passed as tf.Tensor2D, passed as tf.Tensor2D);
        }
        return tf.add(tf.sum(h), tf.addN(rates)) as tf.Scalar;
      });
    const before = tf.memory();
    for (let seed = 0; seed < 3; seed++) tf.dispose(step(seed));
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
    tf.dispose([w, scale, levels]);
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
