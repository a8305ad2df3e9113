import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { useBackend } from "../../src/training/backend.js";
import { type FineTuning, fineTune, fineTuning } from "../../src/training/fine-tune.js";
import type { FrozenRange, Ranges } from "../../src/training/quantized.js";
import { calibrate, quantize, quantizersOf } from "../../src/training/quantized.js";
import type { Pressure, Rate } from "../../src/training/rates.js";

beforeAll(() => useBackend("cpu"));

/** One matrix and a ReLU, whose sum is to be 3; the names are those of hooks. */
const target = (parameters: Record<string, tf.Tensor>, hooks: Parameters<FineTuning<number>["loss"]>[1]) => {
  const w = hooks.weight(parameters["w"] as tf.Tensor2D, "w");
  const a = hooks.activation(tf.relu(tf.matMul(tf.ones([4, 2]), w)), "a");
  return tf.square(tf.sub(tf.mean(tf.add(a, parameters["b"])), 3)) as tf.Scalar;
};

const tuning = <R extends FrozenRange>(
  start: Record<string, tf.Tensor>,
  ranges: Ranges<R>,
  changes: Partial<FineTuning<R>> = {},
): FineTuning<R> => ({
  task: "test",
  steps: 60,
  start,
  ranges,
  quantizersOf: (learned) => quantizersOf(learned, { bits: 4, weightBits: 4 }),
  loss: target,
  learningRates: { parameters: 0.05, ranges: 0.02 },
  ...changes,
});

const startOf = () => ({ w: tf.tensor2d([0.3, 0.6, 0.1, 0.2], [2, 2]), b: tf.tensor1d([0, 0]) });
const ranges = () => ({ weight: { w: Math.log(0.1) }, activation: { a: Math.log(0.1) } });

describe("fine-tuning", () => {
  test("learns parameters and ranges, freezes the ranges, and leaves the start and no other tensor behind", async () => {
    const start = startOf();
    const before = tf.memory().numTensors;
    const { parameters, ranges: learned } = await fineTune(tuning(start, ranges()));
    expect(tf.memory().numTensors).toBe(before + 2);
    expect([...start.w.dataSync()].map((value) => value.toFixed(1))).toEqual(["0.3", "0.6", "0.1", "0.2"]);
    expect(typeof learned.activation["a"]).toBe("number");
    // The largest activation that 15 steps of 0.1 can hold is half of the target: the range had to grow.
    expect(learned.activation["a"]).toBeGreaterThan(Math.log(0.1));
    const quantizers = quantizersOf(learned, { bits: 4, weightBits: 4 });
    const loss = tf.tidy(() => target(parameters, quantize(quantizers)).dataSync()[0]);
    expect(loss).toBeLessThan(0.05);
    tf.dispose([start, parameters]);
  });

  test("gives ranges of one a channel back as arrays", async () => {
    const start = startOf();
    const perChannel = {
      weight: { w: Float32Array.of(-2, -3) },
      activation: { a: Float32Array.of(-2, -2.5) },
    };
    const { parameters, ranges: learned } = await fineTune(tuning(start, perChannel, { steps: 3 }));
    expect(learned.weight["w"]).toBeInstanceOf(Float32Array);
    expect(learned.activation["a"].length).toBe(2);
    expect(learned.activation["a"]).not.toEqual(perChannel.activation.a);
    tf.dispose([start, parameters]);
  });

  test("leaves parameters alone that are not to be trained", async () => {
    const start = startOf();
    const { parameters } = await fineTune(tuning(start, ranges(), { trainable: (name) => name === "b" }));
    expect(parameters["w"].dataSync()).toEqual(start.w.dataSync());
    expect(parameters["b"].dataSync()).not.toEqual(start.b.dataSync());
    tf.dispose([start, parameters]);
  });

  test("a price on bits is weighed by lambda, by the layer's factor, and rises over the warm-up", () => {
    const start = startOf();
    const seen: { name: string; sharpness: number }[] = [];
    const rate: Rate = (x, _, { name, sharpness }) => {
      seen.push({ name, sharpness });
      return { x, bits: tf.scalar(2) };
    };
    const priceAt = (progress: number, pressure: Partial<Pressure>, warmUp?: number) => {
      const activationPressure = { lambda: 0.5, rate, ...pressure };
      const priced = fineTuning(tuning(start, ranges(), { activationPressure, warmUp }));
      const plain = fineTuning(tuning(start, ranges()));
      return tf.tidy(() => {
        const [a, b] = [priced, plain].map(({ loss }) => loss(0, progress, () => {}).dataSync()[0]);
        return a - b;
      });
    };
    expect(priceAt(0.5, {})).toBeCloseTo(1, 5);
    expect(priceAt(0.5, { layer: () => 3 })).toBeCloseTo(3, 5);
    expect(priceAt(0.1, {}, 0.4)).toBeCloseTo(0.25, 5);
    expect(priceAt(0.8, {}, 0.4)).toBeCloseTo(1, 5);
    // Sharpness goes from 1 to 10 in equal ratios.
    expect(seen[0].name).toBe("a");
    expect(seen[0].sharpness).toBeCloseTo(Math.sqrt(10), 6);
  });

  test("calibration finds ln(step) of the largest value, and a factor widens activations alone", () => {
    const found = calibrate(
      ({ weight, activation }) => {
        weight(tf.tensor1d([0.7, -1.4]), "w");
        activation(tf.tensor1d([0, 3]), "a");
      },
      { bits: 4, weightBits: 4 },
      2,
    );
    expect(Math.exp(found.weight["w"])).toBeCloseTo(0.2, 6);
    expect(Math.exp(found.activation["a"])).toBeCloseTo(0.4, 6);
    tf.tidy(() => {
      const { scale } = affineQuantizer({ bits: 4, scale: tf.exp(found.activation["a"]) });
      expect(scale.dataSync()[0]).toBeCloseTo(0.4, 6);
    });
  });
});
