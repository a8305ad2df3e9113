import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { denseGradient, denseHistogram } from "../src/dense.js";
import { softEntropy, withSample } from "../src/index.js";
import { levelGrid } from "../src/levels.js";
import { windowGradient, windowHistogram, windowRadius } from "../src/window.js";
import { backends, difference, laplace, reference, tf } from "./setup.js";

const levelSets = {
  even: Array.from({ length: 16 }, (_, k) => (k - 8) / 4),
  uneven: [-3, -1.1, -0.4, -0.1, 0, 0.15, 0.5, 1.3, 4],
  two: [-1, 1],
  many: Array.from({ length: 256 }, (_, k) => (k - 128) / 32),
};
const x = Float32Array.from([...laplace(400, 21), -9, 9], (v) => v + 0.4);

describe.each(backends)("on the %s backend", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  describe.each(Object.entries(levelSets))("with %s levels", (_, levels) => {
    test.each([0.3, 1, 2, 5, 10, 50, 1000])(
      "window and dense form are the same at sharpness %d",
      (sharpness) => {
        tf.tidy(() => {
          const grid = levelGrid(tf.tensor1d(levels));
          const values = tf.tensor1d(x);
          const exact = reference(x, Array.from(grid.values), sharpness);
          const byHistogram = tf.tensor1d(exact.histogram.map((p) => -Math.log2(Math.max(p, 1e-38))));
          const window = windowHistogram(values.dataSync<"float32">(), grid, sharpness);
          // 3,000 elements a chunk: several chunks, the last of them not full
          const dense = denseHistogram(values, grid, sharpness, 3000).dataSync();
          expect(difference(window, exact.histogram)).toBeLessThan(1e-6);
          const byWindow = windowGradient(
            values.dataSync<"float32">(),
            grid,
            sharpness,
            byHistogram.dataSync(),
          );
          expect(difference(byWindow, exact.gradient)).toBeLessThan(2e-6);
          // The dense form's coordinates are float32: they are off by up to half an ulp, the logits by 2 T times that.
          const rounding = 2e-6 + 2 * sharpness * levels.length * 2 ** -24;
          expect(difference(dense, exact.histogram)).toBeLessThan(rounding);
          const byDense = denseGradient(values, grid, sharpness, byHistogram, 3000).dataSync();
          expect(difference(byDense, exact.gradient)).toBeLessThan(8 * rounding);
        });
      },
    );
  });

  test("the chunks of the dense form don't show", () => {
    const grid = levelGrid(tf.tensor1d(levelSets.uneven));
    const values = tf.tensor2d(x, [2, 201]);
    const v = tf.tensor1d(levelSets.uneven);
    const whole = denseGradient(values, grid, 4, v);
    expect(whole.shape).toEqual([2, 201]);
    for (const chunkElements of [1, 9, 100, 9018]) {
      expect(denseGradient(values, grid, 4, v, chunkElements).dataSync()).toEqual(whole.dataSync());
      const sums = denseHistogram(values, grid, 4, chunkElements).dataSync();
      expect(difference(sums, denseHistogram(values, grid, 4).dataSync())).toBeLessThan(1e-5);
    }
  });
});

describe("on a backend whose data is not at hand", () => {
  // The cpu backend again, under a name that the library doesn't know: to it, one more GPU.
  beforeAll(() => {
    tf.registerBackend("elsewhere", () => new MathBackendCPU());
    tf.copyRegisteredKernels("cpu", "elsewhere");
  });

  afterAll(async () => {
    await tf.setBackend("cpu");
    tf.removeBackend("elsewhere");
  });

  const inputs = {
    "plain values": [0.2, 1.4, 2.6, 3],
    "infinite values": [Number.NEGATIVE_INFINITY, 0.4, 5.9e37, Number.POSITIVE_INFINITY],
    NaN: [0, 3, Number.NaN, 2],
  };
  const both = Object.entries(inputs).flatMap(([name, values]) => [
    { name, values, levels: [0, 1, 2, 3] },
    { name: `${name} and uneven levels`, values, levels: [0, 1, 2, 4] },
  ]);
  test.each(both)(
    "$name give what they give elsewhere, and nothing but the levels is read",
    async ({ values, levels }) => {
      const results = [];
      for (const backend of ["cpu", "elsewhere"]) {
        await tf.setBackend(backend);
        const reads = vi.spyOn(tf.Tensor.prototype, "dataSync");
        const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, tf.tensor1d(levels)))(
          tf.tensor1d(values),
        );
        const read = reads.mock.contexts.length;
        reads.mockRestore();
        if (backend === "elsewhere") expect(read).toBe(1);
        results.push([...value.dataSync(), ...grad.dataSync()]);
      }
      for (const [i, expected] of results[0].entries()) {
        if (Number.isNaN(expected)) expect(results[1][i]).toBeNaN();
        else expect(results[1][i]).toBeCloseTo(expected, 5);
      }
    },
  );

  test("x with a sample and a learned scale give the gradients they give elsewhere", async () => {
    const results = [];
    for (const backend of ["cpu", "elsewhere"]) {
      await tf.setBackend(backend);
      const gradients = tf.grads((v, scale) => {
        const [passed, sample] = withSample(v, 250, 1);
        return tf.add(
          tf.sum(tf.square(passed)),
          tf.mul(softEntropy(sample, tf.tensor1d([-1, 0, 1, 3]), { scale, sharpness: 2 }), 100),
        );
      })([tf.tensor1d(x), tf.scalar(0.5)]);
      results.push(gradients.map((gradient) => gradient.dataSync()));
    }
    expect(difference(results[1][0], results[0][0])).toBeLessThan(1e-5);
    expect(difference(results[1][1], results[0][1])).toBeLessThan(1e-5);
  });
});

test("the window is the least that neglects less than 1e-8", () => {
  expect([0.1, 1, 2, 5, 9, 10, 1000].map(windowRadius)).toEqual([14, 4, 3, 2, 2, 1, 1]);
  for (const sharpness of [0.01, 0.7, 3, 9.3]) {
    const radius = windowRadius(sharpness);
    expect(Math.exp(-sharpness * radius * (radius + 1))).toBeLessThan(1e-8);
    expect(Math.exp(-sharpness * radius * (radius - 1))).toBeGreaterThan(1e-8);
  }
});
