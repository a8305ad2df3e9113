import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codebookQuantizer, ternaryQuantizer, twnRule } from "../src/index.js";
import { bits, expectDecodedExactly, normal, onEachBackend } from "./setup.js";

const list = (x: tf.Tensor) => [...x.dataSync()];

onEachBackend(() => {
  describe("codebookQuantizer", () => {
    it("goes to the nearest center, midway to the lower one", () => {
      const q = codebookQuantizer([-1, 0, 0.25, 2]);
      const x = tf.tensor2d([-9, -0.5, -0.4, 0.125, 0.9, 1.125, 1.2, 9], [2, 4]);
      expect(list(q.quantize(x))).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
      expect(list(q.fakeQuantize(x))).toEqual([-1, -1, 0, 0, 0.25, 0.25, 2, 2]);
      expectDecodedExactly(q, x);
    });

    it("is the nearest by brute force, and leaves centers where they are", () => {
      const anyFloat = fc.float({ noNaN: true, min: -100, max: 100 });
      fc.assert(
        fc.property(
          fc.uniqueArray(fc.integer({ min: -400, max: 400 }), { minLength: 1, maxLength: 40 }),
          fc.array(anyFloat, { minLength: 1 }),
          (quarters, values) => {
            tf.tidy(() => {
              const centers = quarters.sort((a, b) => a - b).map((n) => n / 4);
              const q = codebookQuantizer(centers);
              const y = q.fakeQuantize(tf.tensor1d(values)).dataSync();
              for (const [i, v] of values.entries()) {
                const nearest = Math.min(...centers.map((c) => Math.abs(c - v)));
                expect(Math.abs(y[i] - v)).toBeCloseTo(nearest, 4);
              }
              expect(list(q.fakeQuantize(q.levels))).toEqual(centers);
              expectDecodedExactly(q, tf.tensor1d(values));
            });
          },
        ),
        { numRuns: 60 },
      );
    });

    it("passes the gradient straight through", () => {
      const q = codebookQuantizer([-1, 0, 1]);
      const dx = tf.grad(q.fakeQuantize)(tf.tensor1d([-7, 0.2, 0.6]), tf.tensor1d([1, 2, 3]));
      expect(list(dx)).toEqual([1, 2, 3]);
    });

    it("gives learned centers the sum over their members, as finite differences do", () => {
      const centers = tf.variable(tf.tensor1d([-1, 0.5, 3, 30]));
      const x = normal(64, 5, 1, 2);
      const dy = tf.tensor2d(normal(64, 6), [8, 8]);
      const loss = (c: tf.Tensor) =>
        tf.sum(
          tf.mul(codebookQuantizer(c as tf.Tensor1D).fakeQuantize(tf.tensor2d(x, [8, 8])), dy),
        ) as tf.Scalar;
      const got = list(tf.grad(loss)(centers));
      const at = list(centers);
      for (let j = 0; j < 4; j++) {
        const moved = (by: number) =>
          loss(tf.tensor1d(at.map((c, k) => (k === j ? c + by : c)))).dataSync()[0];
        expect(got[j]).toBeCloseTo((moved(1e-3) - moved(-1e-3)) / 2e-3, 1);
      }
      expect(got[3]).toBe(0); // no member
      expect(got.filter((g) => Math.abs(g) > 0.1).length).toBe(3);
      centers.dispose();
    });

    it("gives NaN to the lowest center, infinities to the outermost", () => {
      const x = tf.tensor1d([Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
      expect(list(codebookQuantizer([-1, 0, 2]).quantize(x))).toEqual([0, 0, 2]);
    });

    it("takes one center, and empty tensors", () => {
      const q = codebookQuantizer([0.5]);
      expect(list(q.fakeQuantize(tf.tensor1d([-3, 7])))).toEqual([0.5, 0.5]);
      expect(codebookQuantizer([0, 1]).fakeQuantize(tf.zeros([0, 2])).shape).toEqual([0, 2]);
    });

    it("leaves one tensor a call", () => {
      const q = codebookQuantizer([0, 1, 4]);
      const x = tf.tensor1d([1, 2, 3]);
      const before = tf.memory().numTensors;
      const indices = q.quantize(x);
      q.dequantize(indices);
      q.fakeQuantize(x);
      expect(tf.memory().numTensors).toBe(before + 3);
      tf.grad(q.fakeQuantize)(x);
      expect(tf.memory().numTensors).toBe(before + 4);
    });

    it("names the center that is wrong", () => {
      expect(() => codebookQuantizer([])).toThrow("centers: expected shape [n], n >= 1, got [0]");
      expect(() => codebookQuantizer([0, 2, 1])).toThrow(
        "centers[2]: expected more than 2 in float32, got 1",
      );
      expect(() => codebookQuantizer([1, 1])).toThrow(RangeError);
      expect(() => codebookQuantizer([0, Number.NaN])).toThrow(
        "centers[1]: expected a finite number, got NaN",
      );
      expect(() => codebookQuantizer(tf.zeros([2, 2]) as never)).toThrow(RangeError);
    });
  });

  describe("ternaryQuantizer", () => {
    const w = [0.9, -0.8, 0.1, -0.05, 0.4];

    it("follows the TWN rule on the worked example", () => {
      const rule = twnRule(w);
      expect(rule.threshold).toBeCloseTo(0.315, 6);
      expect(rule.scale).toBeCloseTo(0.7, 6);
      const q = ternaryQuantizer(rule);
      const x = tf.tensor1d(w);
      expect(list(q.quantize(x))).toEqual([2, 0, 1, 1, 2]);
      expect(bits(q.fakeQuantize(x))).toEqual(bits(tf.tensor1d([0.7, -0.7, 0, 0, 0.7])));
      expectDecodedExactly(q, x);
    });

    it("keeps values on the threshold, and both zeros, at level 0", () => {
      const q = ternaryQuantizer({ scale: 2, threshold: 0.5 });
      const x = tf.tensor1d([-0.5, 0.5, 0, -0, -0.5000001, 0.5000001]);
      expect(list(q.quantize(x))).toEqual([1, 1, 1, 1, 0, 2]);
      expectDecodedExactly(q, x);
      const zeros = ternaryQuantizer(twnRule([0, 0]));
      expect(list(zeros.quantize(tf.tensor1d([0, -0])))).toEqual([1, 1]);
    });

    it("gives NaN the lowest level, as a decoder will, and leaves it visible in the gradients", () => {
      const q = ternaryQuantizer({ scale: 1, threshold: 0.5 });
      const x = tf.tensor1d([Number.NaN, 1]);
      expect(list(q.fakeQuantize(x))).toEqual([-1, 1]);
      const f = (x: tf.Tensor, scale: tf.Tensor) =>
        ternaryQuantizer({ scale, threshold: 0.5 }).fakeQuantize(x);
      const [dx, ds] = tf.grads(f)([x, tf.scalar(1)]);
      expect(list(dx)).toEqual([Number.NaN, 1]);
      expect(list(ds)).toEqual([Number.NaN]);
    });

    it("passes the gradient straight through to x, and its signed sum to a scale a channel", () => {
      const x = tf.tensor2d([0.9, -0.8, 0.1, -0.9, -0.7, 0.6], [3, 2]);
      const dy = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
      const scale = tf.tensor1d([0.7, 0.5]);
      const f = (x: tf.Tensor, scale: tf.Tensor) =>
        ternaryQuantizer({ scale, threshold: 0.3 }).fakeQuantize(x);
      const [dx, ds] = tf.grads(f)([x, scale], dy);
      expect(list(dx)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(list(ds)).toEqual([1 - 5, -2 - 4 + 6]);
    });

    it("names the argument that is wrong", () => {
      expect(() => ternaryQuantizer({ scale: 1, threshold: -1 })).toThrow(
        "threshold: expected a finite number of at least 0, got -1",
      );
      expect(() => ternaryQuantizer({ scale: 0, threshold: 1 })).toThrow(
        "scale: expected a positive finite number, got 0",
      );
      expect(() => twnRule([])).toThrow(RangeError);
    });
  });
});
