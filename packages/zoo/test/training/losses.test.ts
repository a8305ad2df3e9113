import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { useBackend } from "../../src/training/backend.js";
import { constant, distillation } from "../../src/training/losses.js";

beforeAll(() => useBackend("wasm"));

describe("distillation", () => {
  test("is 0 for equal answers, the KL divergence otherwise, and sends no gradient to a constant teacher", () => {
    tf.tidy(() => {
      const weight = tf.variable(tf.tensor2d([[1, 2]]));
      const x = tf.tensor2d([[1]]);
      const teacher = () => tf.matMul<tf.Tensor2D>(x, weight);
      expect(distillation(teacher(), teacher()).dataSync()[0]).toBeCloseTo(0, 6);
      const [p, q] = [Math.E / (1 + Math.E), 0.5];
      const divergence = p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / q);
      expect(distillation(teacher(), tf.zeros([1, 2])).dataSync()[0]).toBeCloseTo(divergence, 5);
      const { grads } = tf.variableGrads(
        () =>
          tf.add(distillation(constant(teacher), tf.zeros([1, 2])), tf.mul(0, tf.sum(weight))) as tf.Scalar,
      );
      expect([...grads[weight.name].dataSync()]).toEqual([0, 0]);
      weight.dispose();
    });
  });
});
