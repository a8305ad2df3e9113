import { beforeAll, describe, expect, test } from "vitest";
import { l1OverL2, sparsityProxy } from "../src/index.js";
import { backends, difference, laplace, tf } from "./setup.js";

describe.each(backends)("on the %s backend", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test("the ratios have the closed forms", () => {
    expect(l1OverL2(tf.tensor1d([3, 0, 4, 0])).dataSync()[0]).toBeCloseTo(1.4, 6);
    expect(l1OverL2(tf.fill([4], -7)).dataSync()[0]).toBeCloseTo(2, 6);
    expect(
      sparsityProxy(
        tf.tensor2d([
          [3, 0],
          [4, 0],
        ]),
      ).dataSync()[0],
    ).toBeCloseTo(0.7, 6);
    expect(sparsityProxy(tf.fill([300], 0.1)).dataSync()[0]).toBeCloseTo(1, 5);
    expect(
      sparsityProxy(tf.tensor1d(Array.from({ length: 100 }, (_, i) => (i === 3 ? -5 : 0)))).dataSync()[0],
    ).toBeCloseTo(0.1, 6);
  });

  test("the gradients agree with central differences, and leave zeros alone", () => {
    const values = Array.from(laplace(20, 14), (v, i) => (i % 4 ? v : 0));
    const ratio = (x: number[]) => x.reduce((sum, v) => sum + Math.abs(v), 0) / Math.hypot(...x);
    const differences = values.map((value, i) => {
      const moved = (by: number) => ratio(values.map((x, j) => (i === j ? x + by : x)));
      return value === 0 ? 0 : (moved(1e-6) - moved(-1e-6)) / 2e-6;
    });
    expect(difference(tf.grad(l1OverL2)(tf.tensor1d(values)).dataSync(), differences)).toBeLessThan(1e-5);
    const scaled = differences.map((d) => d / Math.sqrt(20));
    expect(difference(tf.grad(sparsityProxy)(tf.tensor1d(values)).dataSync(), scaled)).toBeLessThan(1e-5);
  });

  test("an all-zero tensor gives 0 and no gradient, and NaN gives NaN", () => {
    for (const proxy of [l1OverL2, sparsityProxy]) {
      const { value, grad } = tf.valueAndGrad(proxy)(tf.zeros([5]));
      expect(value.dataSync()[0]).toBe(0);
      expect([...grad.dataSync()].map(Math.abs)).toEqual([0, 0, 0, 0, 0]);
      expect(proxy(tf.tensor1d([1, Number.NaN])).dataSync()[0]).toBeNaN();
    }
  });

  test("no tensor leaks", () => {
    const x = tf.tensor1d(laplace(20, 1));
    const before = tf.memory().numTensors;
    tf.dispose(tf.valueAndGrad(sparsityProxy)(x));
    l1OverL2(x).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

test("wrong input is named", () => {
  expect(() => l1OverL2(tf.tensor1d([]))).toThrow(
    new RangeError("x: expected at least one element, got shape [0]"),
  );
  expect(() => sparsityProxy(3 as never)).toThrow(new TypeError("x: expected a float32 tensor, got number"));
});
