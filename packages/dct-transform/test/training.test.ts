import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { dctTransform } from "../src/dct.js";
import { eltTransform } from "../src/elt.js";
import { pcaTransform } from "../src/pca.js";
import * as training from "../src/training.js";
import { forward, identityTransform, inverse, keep, type Transform } from "../src/transform.js";
import { positiveDefinite, relativeError, uniform } from "./samples.js";

const x = uniform(2 * 3 * 5 * 6, 1);
const transforms: Record<string, Transform> = {
  identity: identityTransform(6),
  DCT: dctTransform(6),
  "truncated PCA with a mean": keep(pcaTransform(x, 6), 4),
  ELT: eltTransform(positiveDefinite(6, 1), positiveDefinite(6, 2)),
};

describe.each(["cpu", "wasm"])("on the %s backend", (backend) => {
  test.each(Object.keys(transforms))(
    "%s: values equal the typed-array functions, no tensor leaks",
    async (name) => {
      await tf.setBackend(backend);
      const t = transforms[name];
      const input = tf.tensor(x, [2, 3, 5, 6]);
      const before = tf.memory().numTensors;
      const y = training.forward(t, input);
      expect(y.shape).toEqual([2, 3, 5, t.rows]);
      expect(relativeError(await y.data<"float32">(), forward(t, x))).toBeLessThan(1e-6);
      const back = training.inverse(t, y);
      expect(back.shape).toEqual([2, 3, 5, 6]);
      expect(relativeError(await back.data<"float32">(), inverse(t, forward(t, x)))).toBeLessThan(1e-6);
      expect(tf.memory().numTensors).toBe(before + 2);
      tf.dispose([input, y, back]);
    },
  );
});

test.each(Object.keys(transforms))(
  "%s: the gradient of a weighted sum is the transposed matrix times the weights",
  async (name) => {
    await tf.setBackend("cpu");
    const t = transforms[name];
    const before = tf.memory().numTensors;
    const weights = uniform(5 * t.rows, 2);
    const gradient = tf.tidy(() =>
      tf.grad((input) => tf.sum(tf.mul(training.forward(t, input), tf.tensor2d(weights, [5, t.rows]))))(
        tf.tensor2d(x.subarray(0, 30), [5, 6]),
      ),
    );
    const exact = inverse({ ...t, mean: undefined, synthesis: undefined }, weights);
    expect(relativeError(await gradient.data(), exact)).toBeLessThan(1e-6);
    gradient.dispose();

    const weightsBack = uniform(5 * 6, 3);
    const gradientBack = tf.tidy(() =>
      tf.grad((input) => tf.sum(tf.mul(training.inverse(t, input), tf.tensor2d(weightsBack, [5, 6]))))(
        tf.tensor2d(uniform(5 * t.rows, 4), [5, t.rows]),
      ),
    );
    const exactBack = forward({ ...t, basis: t.synthesis ?? t.basis, mean: undefined }, weightsBack);
    expect(relativeError(await gradientBack.data(), exactBack)).toBeLessThan(1e-6);
    gradientBack.dispose();
    expect(tf.memory().numTensors).toBe(before);
  },
);

test("a vector is transformed as one row, and no rows as none", async () => {
  await tf.setBackend("cpu");
  const t = dctTransform(4);
  const y = training.forward(t, tf.tensor1d([1, 1, 1, 1]));
  expect(y.shape).toEqual([4]);
  expect(y.dataSync()[0]).toBeCloseTo(2, 6);
  expect(training.forward(t, tf.zeros([0, 4])).shape).toEqual([0, 4]);
});

test("wrong arguments are named with what was expected and what came", () => {
  const t = keep(dctTransform(4), 3);
  const before = tf.memory().numTensors;
  const wrong = tf.zeros([2, 5]);
  expect(() => training.forward(t, wrong)).toThrow(
    new RangeError("x: expected 4 values on the last axis, got shape [2,5]"),
  );
  expect(() => training.inverse(t, wrong)).toThrow(
    new RangeError("coefficients: expected 3 values on the last axis, got shape [2,5]"),
  );
  expect(() => training.forward(t, [1, 2] as unknown as tf.Tensor)).toThrow(
    new TypeError("x: expected a tensor, got object"),
  );
  expect(() => training.forward({ ...t, rows: 2 }, wrong)).toThrow(RangeError);
  wrong.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
