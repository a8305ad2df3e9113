import "./setup.js";
import { softEntropy } from "@bitdiet/entropy-loss";
import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { CONTEXTS, contextEntropy, contextRate, neighbourContexts } from "../src/context-rate.js";
import { orderZeroRate } from "../src/rate.js";
import { uniform } from "./setup.js";

const random = uniform(3);
const values = Float32Array.from({ length: 40 }, () => 4 * random());
const none = new Uint8Array(40);
const places = {
  contexts: Uint8Array.from({ length: 40 }, () => Math.floor(3 * random())),
  channels: Uint8Array.from({ length: 40 }, (_, i) => i % 2),
};

describe("entropy given neighbours", () => {
  test("in one context alone it is the soft entropy, with its gradients", () => {
    tf.tidy(() => {
      const x = tf.tensor1d(values);
      const step = tf.scalar(0.7);
      const levels = tf.tensor1d([0, 1, 2, 3, 4, 5, 6, 7]);
      for (const sharpness of [1, 10]) {
        const given = tf.grads((x, step) =>
          contextEntropy(x as tf.Tensor1D, step, { contexts: none, channels: none }, 8, sharpness),
        )([x, step]);
        const plain = tf.grads((x, scale) => softEntropy(x, levels, { scale, sharpness }))([x, step]);
        for (const [i, gradient] of given.entries()) {
          tf.util.assert(tf.util.arraysEqual(gradient.shape, plain[i].shape), () => "shapes differ");
          const error = tf.max(tf.abs(tf.sub(gradient, plain[i]))).dataSync()[0];
          expect(error).toBeLessThan(2e-5);
        }
      }
    });
  });

  test("its gradients are those of finite differences, by each channel's step too", () => {
    const bits = (x: Float32Array, steps: number[]) =>
      tf.tidy(() => contextEntropy(tf.tensor1d(x), tf.tensor1d(steps), places, 8, 3)).dataSync()[0];
    tf.tidy(() => {
      const [byX, bySteps] = tf.grads((x, steps) => contextEntropy(x as tf.Tensor1D, steps, places, 8, 3))([
        tf.tensor1d(values),
        tf.tensor1d([0.7, 0.5]),
      ]);
      const moved = (i: number, by: number) => values.map((value, k) => value + (k === i ? by : 0));
      for (const i of [0, 7, 31]) {
        const slope = (bits(moved(i, 0.01), [0.7, 0.5]) - bits(moved(i, -0.01), [0.7, 0.5])) / 0.02;
        expect(byX.dataSync()[i]).toBeCloseTo(slope, 3);
      }
      const first = (bits(values, [0.705, 0.5]) - bits(values, [0.695, 0.5])) / 0.01;
      const second = (bits(values, [0.7, 0.505]) - bits(values, [0.7, 0.495])) / 0.01;
      expect(bySteps.dataSync()[0]).toBeCloseTo(first, 2);
      expect(bySteps.dataSync()[1]).toBeCloseTo(second, 2);
    });
  });

  test("values that their neighbours tell cost nothing, though their histogram alone costs a bit", () => {
    tf.tidy(() => {
      const x = tf.tensor1d([0, 0, 1, 1]);
      const cost = (of: number[]) =>
        contextEntropy(x, tf.scalar(1), { contexts: of, channels: [0, 0, 0, 0] }, 2, 100).dataSync()[0];
      expect(cost([0, 0, 1, 1])).toBeCloseTo(0, 6);
      expect(cost([0, 0, 0, 0])).toBeCloseTo(1, 6);
    });
  });

  test("levels so far away that a probability underflows, and contexts without a value, cost nothing", () => {
    tf.tidy(() => {
      const x = tf.tensor1d([0, 0.1, 0.2]);
      for (const sharpness of [1, 3, 3.3, 3.36, 10]) {
        const [byX, byStep] = tf.grads((x, step) =>
          contextEntropy(x as tf.Tensor1D, step, { contexts: [0, 2, 2], channels: [0, 0, 0] }, 16, sharpness),
        )([x, tf.scalar(1)]);
        expect([...byX.dataSync(), ...byStep.dataSync()].every(Number.isFinite)).toBe(true);
      }
    });
  });

  test("contexts are the levels left, above and in the channel before, zero outside the map", () => {
    // Two maps of 2 x 2 pixels and 2 channels, levels of step 0.5.
    const levels = [1, 0, 2, 5, 0, 3, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9];
    tf.tidy(() => {
      const x = tf.tensor4d(
        levels.map((level) => 0.5 * level),
        [2, 2, 2, 2],
      );
      const at = (left: number, above: number, before: number) => left + 3 * above + 9 * before;
      const positions = [0, 1, 2, 3, 4, 7, 8, 15];
      const seen = [...neighbourContexts(x, positions, [0.5])];
      // Twice the step in the second channel halves its levels, wherever it is looked at.
      const doubled = tf.mul(x, [1, 2]);
      expect([...neighbourContexts(doubled, positions, [0.5, 1])]).toEqual(seen);
      expect(seen).toEqual([
        at(0, 0, 0),
        at(0, 0, 1),
        at(1, 0, 0),
        at(0, 0, 1),
        at(0, 1, 0),
        at(2, 2, 1),
        at(0, 0, 0),
        at(2, 2, 1),
      ]);
      expect(Math.max(...seen)).toBeLessThan(CONTEXTS);
    });
  });

  test("on a smooth map the rate is less than the order-0 rate, and leaves no tensor behind", () => {
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const x = tf.relu(
        tf.conv2d(tf.randomNormal([2, 16, 16, 4], 0, 1, "float32", 5), tf.ones([5, 5, 4, 4]), 1, "same"),
      ) as tf.Tensor4D;
      const quantizer = affineQuantizer({ bits: 4, scale: tf.scalar(3) });
      const at = { name: "x", sharpness: 10, seed: 1 };
      const [given, plain] = [contextRate(), orderZeroRate(2048)].map(
        (rate) => rate(x, quantizer, at).bits.dataSync()[0],
      );
      expect(given).toBeLessThan(0.9 * plain);
    });
    expect(tf.memory().numTensors).toBe(before);
  });
});
