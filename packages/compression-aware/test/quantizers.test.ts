import "./setup.js";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { initialScales, uniformQuantizers } from "../src/index.js";

describe("initial scales", () => {
  test("just hold the largest value, and a factor widens activations alone", () => {
    const before = tf.memory().numTensors;
    const found = initialScales(
      ({ weight, activation }) => {
        weight(tf.tensor1d([0.7, -1.4]), "w");
        activation(tf.tensor1d([0, 3]), "a");
      },
      { activationBits: 4, weightBits: 4 },
      2,
    );
    expect(found.weight["w"]).toBeCloseTo(0.2, 6);
    expect(found.activation["a"]).toBeCloseTo(0.4, 6);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("of activations that are never negative start at 0, not at the smallest of them", () => {
    const { activation } = initialScales(({ activation }) => activation(tf.tensor1d([2, 3]), "a"), {
      activationBits: 1,
      weightBits: 2,
    });
    expect(activation["a"]).toBeCloseTo(3, 6);
  });
});

describe("uniform quantizers", () => {
  test("are signed for weights, unsigned for activations, with scales that are numbers, arrays or tensors", () => {
    tf.tidy(() => {
      const { weight, activation } = uniformQuantizers(
        { weight: { w: Float32Array.of(0.5, 0.25) }, activation: { a: tf.scalar(1) } },
        { activationBits: 2, weightBits: 3 },
      );
      expect([...weight("w").levels.dataSync()]).toEqual([-3, -2, -1, 0, 1, 2, 3]);
      expect([
        ...weight("w")
          .fakeQuantize(tf.tensor2d([[0.6, 0.6]]))
          .dataSync(),
      ]).toEqual([0.5, 0.5]);
      expect([
        ...weight("w")
          .fakeQuantize(tf.tensor2d([[9, -9]]))
          .dataSync(),
      ]).toEqual([1.5, -0.75]);
      expect([
        ...activation("a")
          .fakeQuantize(tf.tensor1d([-1, 1.2, 9]))
          .dataSync(),
      ]).toEqual([0, 1, 3]);
      expect(() => weight("v")).toThrow('scales.weight: expected one for "v", got 1 others');
    });
  });
});
