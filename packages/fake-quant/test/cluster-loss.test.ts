import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import {
  affineQuantizer,
  type Clusters,
  clusterLoss,
  codebookQuantizer,
  softClusterLoss,
  ternaryQuantizer,
  twnRule,
} from "../src/index.js";
import { normal, onEachBackend } from "./setup.js";

const list = (x: tf.Tensor) => [...x.dataSync()];
const number = (x: tf.Tensor) => x.dataSync()[0];

onEachBackend((backend) => {
  const w = [0.9, -0.8, 0.1, -0.05, 0.4];
  const ternary = (scale: number | tf.Tensor = 0.7) => ternaryQuantizer({ scale, threshold: 0.315 });

  describe("clusterLoss", () => {
    it("is 0.1525 / 5 on the worked example for p = 2, and 0.75 / 5 for p = 1", () => {
      const q = ternaryQuantizer(twnRule(w));
      expect(5 * number(clusterLoss(tf.tensor1d(w), q))).toBeCloseTo(0.1525, 6);
      expect(5 * number(clusterLoss(tf.tensor1d(w), q, 1))).toBeCloseTo(0.75, 6);
    });

    it("has the gradient [0.4, -0.2, 0.2, -0.1, -0.6] / 5 there, towards the nearest center", () => {
      const gradient = list(tf.grad((x) => clusterLoss(x, ternary()))(tf.tensor1d(w)));
      for (const [i, g] of [0.4, -0.2, 0.2, -0.1, -0.6].entries()) expect(5 * gradient[i]).toBeCloseTo(g, 5);
      const signs = list(tf.grad((x) => clusterLoss(x, ternary(), 1))(tf.tensor1d(w)));
      for (const [i, g] of [1, -1, 1, -1, -1].entries()) expect(5 * signs[i]).toBeCloseTo(g, 6);
    });

    it("is 0 with no gradient exactly where all values lie on centers", () => {
      const q = codebookQuantizer([-0.5, 0, 0.25, 3]);
      const x = tf.tensor2d([3, 0.25, 0, -0.5], [2, 2]);
      for (const power of [1, 2] as const) {
        const { value, grad } = tf.valueAndGrad((x) => clusterLoss(x, q, power))(x);
        expect(number(value)).toBe(0);
        expect(list(grad).map(Math.abs)).toEqual([0, 0, 0, 0]);
        expect(
          number(
            clusterLoss(
              tf.add(x, [
                [0, 0.01],
                [0, 0],
              ]),
              q,
              power,
            ),
          ),
        ).toBeGreaterThan(0);
      }
    });

    it("is the distance to the nearest center by brute force, for a codebook and for a scale a channel", () => {
      const centers = [-1.5, -0.2, 0.3, 2];
      const values = normal(60, 4);
      const x = tf.tensor2d(values, [20, 3]);
      const scales = [0.5, 1, 2];
      const affine = affineQuantizer({ bits: 2, signed: true, scale: tf.tensor1d(scales) });
      for (const power of [1, 2] as const) {
        const mean = (centersOf: (i: number) => number[]) =>
          values.reduce(
            (sum, v, i) => sum + Math.min(...centersOf(i).map((c) => Math.abs(v - c) ** power)),
            0,
          ) / 60;
        expect(number(clusterLoss(x, codebookQuantizer(centers), power))).toBeCloseTo(
          mean(() => centers),
          5,
        );
        const own = (i: number) => [-1, 0, 1].map((level) => level * scales[i % 3]);
        expect(number(clusterLoss(x, affine, power))).toBeCloseTo(mean(own), 5);
      }
    });

    it("gives learned scales and centers the gradient that finite differences have", () => {
      const x = tf.tensor2d(normal(60, 6), [20, 3]);
      const checks: [number[], (at: tf.Tensor1D) => Clusters][] = [
        [[0.5, 0.9, 1.3], (scale) => ternaryQuantizer({ scale, threshold: 0 })],
        [[-1.1, 0.1, 0.8], (centers) => codebookQuantizer(centers)],
      ];
      for (const [start, build] of checks) {
        for (const power of [1, 2] as const) {
          const loss = (at: tf.Tensor) => clusterLoss(x, build(at as tf.Tensor1D), power);
          const gradient = list(tf.grad(loss)(tf.tensor1d(start)));
          for (let j = 0; j < 3; j++) {
            const moved = (by: number) =>
              number(loss(tf.tensor1d(start.map((v, k) => (k === j ? v + by : v)))));
            expect(gradient[j]).toBeCloseTo((moved(1e-3) - moved(-1e-3)) / 2e-3, 2);
          }
          expect(gradient.some((g) => Math.abs(g) > 0.05)).toBe(true);
        }
      }
    });

    it("draws trained weights as near to their centers as the closed form says, nearer the higher its price", () => {
      // Descent on mean (w - t)^2 + lambda * clusterLoss(w) ends at w = (t + lambda c) / (1 + lambda).
      const target = tf.tensor1d(w);
      const nearest = ternary().fakeQuantize(target);
      const errors = [0, 0.5, 1, 4].map((lambda) => {
        const trained = tf.variable(target);
        const optimizer = tf.train.sgd(1 / (1 + lambda));
        const loss = () =>
          tf.add(
            tf.losses.meanSquaredError(target, trained),
            tf.mul(clusterLoss(trained, ternary()), lambda),
          ) as tf.Scalar;
        for (let step = 0; step < 40; step++) optimizer.minimize(loss, false, [trained]);
        const error = number(clusterLoss(trained, ternary()));
        const ends = list(tf.div(tf.add(target, tf.mul(nearest, lambda)), 1 + lambda));
        for (const [i, v] of list(trained).entries()) expect(v).toBeCloseTo(ends[i], 4);
        trained.dispose();
        optimizer.dispose();
        return error;
      });
      expect(errors).toEqual([...errors].sort((a, b) => b - a));
      expect(errors[3]).toBeCloseTo(0.0305 / 25, 5);
    });
  });

  describe("softClusterLoss", () => {
    /** The definition, in float64. */
    function direct(values: ArrayLike<number>, centers: number[], sharpness: number, power: number): number {
      const spacing = (centers[centers.length - 1] - centers[0]) / (centers.length - 1);
      let sum = 0;
      for (const v of Array.from(values)) {
        const q = centers.map((c) => Math.exp(-sharpness * ((v - c) / spacing) ** 2));
        const total = q.reduce((a, b) => a + b, 0);
        sum += centers.reduce((s, c, j) => s + (q[j] / total) * Math.abs(v - c) ** power, 0);
      }
      return sum / values.length;
    }

    it("is the distance weighted by the soft assignment, as its definition says in float64", () => {
      const x = normal(40, 8);
      for (const sharpness of [0.5, 3, 10]) {
        for (const power of [1, 2] as const) {
          const q = codebookQuantizer([-1, 0.1, 0.9]);
          expect(number(softClusterLoss(tf.tensor1d(x), q, { sharpness, power }))).toBeCloseTo(
            direct(x, [-1, 0.1, 0.9], sharpness, power),
            5,
          );
          expect(
            number(softClusterLoss(tf.tensor2d(x, [8, 5]), ternary(), { sharpness, power })),
          ).toBeCloseTo(direct(x, [-0.7, 0, 0.7], sharpness, power), 5);
        }
      }
    });

    it("has the gradient of finite differences, to x, the scale and the centers", () => {
      const start = [0.9, -0.8, 0.1, 0.34, 0.4];
      const losses: [number[], (at: tf.Tensor) => tf.Scalar][] = [
        [start, (x) => softClusterLoss(x, ternary(), { sharpness: 4 })],
        [start, (x) => softClusterLoss(x, ternary(), { sharpness: 4, power: 1 })],
        [[0.7], (scale) => softClusterLoss(tf.tensor1d(w), ternary(scale), { sharpness: 4 })],
        [[0.7], (scale) => softClusterLoss(tf.tensor1d(w), ternary(scale), { sharpness: 4, power: 1 })],
      ];
      for (const [at, loss] of losses) {
        const gradient = list(tf.grad(loss)(tf.tensor1d(at)));
        for (let i = 0; i < at.length; i++) {
          const moved = (by: number) => number(loss(tf.tensor1d(at.map((v, k) => (k === i ? v + by : v)))));
          expect(gradient[i]).toBeCloseTo((moved(5e-3) - moved(-5e-3)) / 1e-2, 2);
        }
      }
    });

    it("comes down to the hard loss as sharpness grows, and is flat midway between two centers", () => {
      const x = tf.tensor1d(w);
      const hard = number(clusterLoss(x, ternary()));
      const gaps = [2, 10, 50, 1000].map(
        (sharpness) => number(softClusterLoss(x, ternary(), { sharpness })) - hard,
      );
      expect(gaps).toEqual([...gaps].sort((a, b) => b - a));
      expect(Math.abs(gaps[3])).toBeLessThan(1e-6);
      const midway = tf.grad((x) => softClusterLoss(x, ternary(), { sharpness: 10 }))(tf.tensor1d([0.35]));
      expect(Math.abs(number(midway))).toBeLessThan(1e-5);
    });

    it("means the same sharpness at every scale", () => {
      const at = (factor: number) =>
        number(
          softClusterLoss(tf.mul(tf.tensor1d(w), factor), codebookQuantizer([-factor, 0, factor]), {
            sharpness: 3,
          }),
        );
      expect(at(8) / at(1)).toBeCloseTo(64, 3);
    });

    it("takes a single center", () => {
      const q = codebookQuantizer([0.5]);
      expect(number(softClusterLoss(tf.tensor1d([0, 2]), q, { sharpness: 10 }))).toBeCloseTo(
        (0.25 + 2.25) / 2,
        6,
      );
    });
  });

  it("leaves one tensor a call", () => {
    const q = ternary();
    const x = tf.tensor1d(w);
    const before = tf.memory().numTensors;
    clusterLoss(x, q);
    clusterLoss(x, q, 1);
    softClusterLoss(x, q, { sharpness: 10 });
    expect(tf.memory().numTensors).toBe(before + 3);
    tf.grad((x) => clusterLoss(x, q))(x);
    tf.grad((x) => softClusterLoss(x, q, { sharpness: 10 }))(x);
    expect(tf.memory().numTensors).toBe(before + 5);
  });

  if (backend === "cpu") {
    it("names the argument that is wrong", () => {
      const x = tf.tensor1d(w);
      expect(() => clusterLoss(tf.zeros([0]), ternary())).toThrow("x: expected at least one value, got none");
      expect(() => clusterLoss(x, ternary(), 3 as never)).toThrow("power: expected 1 or 2, got 3");
      expect(() => softClusterLoss(x, ternary(), { sharpness: -10 })).toThrow(
        "sharpness: expected a positive finite number, got -10",
      );
    });
  }
});
