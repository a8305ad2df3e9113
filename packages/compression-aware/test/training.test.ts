import "./setup.js";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import {
  type CompressionAwareOptions,
  compressionAwareTraining,
  type FrozenScale,
  type Hooks,
  quantizingHooks,
  type Rate,
  type RateWeight,
  type Scales,
  uniformQuantizers,
} from "../src/index.js";

const widths = { activationBits: 4, weightBits: 4 };

/** One matrix and a ReLU, whose mean with a bias is to be 3. */
const target = (parameters: Record<string, tf.Tensor>, hooks: Required<Hooks>) => {
  const w = hooks.weight(parameters["w"] as tf.Tensor2D, "w");
  const a = hooks.activation(tf.relu(tf.matMul(tf.ones([4, 2]), w)), "a");
  return tf.square(tf.sub(tf.mean(tf.add(a, parameters["b"])), 3)) as tf.Scalar;
};

const options = <S extends FrozenScale>(
  parameters: Record<string, tf.Tensor>,
  scales: Scales<S>,
  changes: Partial<CompressionAwareOptions<S>> = {},
): CompressionAwareOptions<S> => ({
  parameters,
  scales,
  quantizersOf: (learned) => uniformQuantizers(learned, widths),
  loss: target,
  ...changes,
});

/** Trains with tfjs's Adam. */
function trained<S extends FrozenScale>(given: CompressionAwareOptions<S>, steps = 60) {
  const training = compressionAwareTraining(given);
  const optimizer = tf.train.adam(0.05);
  const variables = [
    ...Object.values(training.parameters).filter(({ trainable }) => trainable),
    ...training.logScales,
  ];
  for (let step = 0; step < steps; step++)
    optimizer.minimize(() => training.loss(step, step / steps), false, variables);
  optimizer.dispose();
  return training.result();
}

const startOf = () => ({ w: tf.tensor2d([0.3, 0.6, 0.1, 0.2], [2, 2]), b: tf.tensor1d([0, 0]) });
const scales = () => ({ weight: { w: 0.1 }, activation: { a: 0.1 } });

describe("training", () => {
  test("learns parameters and scales, freezes the scales, and leaves the start and no other tensor behind", () => {
    const start = startOf();
    const before = tf.memory().numTensors;
    const { parameters, scales: learned } = trained(options(start, scales()));
    expect(tf.memory().numTensors).toBe(before + 2);
    expect([...start.w.dataSync()].map((value) => value.toFixed(1))).toEqual(["0.3", "0.6", "0.1", "0.2"]);
    // The largest activation that 15 steps of 0.1 can hold is half of the target: the scale had to grow.
    expect(learned.activation["a"]).toBeGreaterThan(0.1);
    const quantizers = uniformQuantizers(learned, widths);
    const loss = tf.tidy(() => target(parameters, quantizingHooks(quantizers)).dataSync()[0]);
    expect(loss).toBeLessThan(0.05);
    tf.dispose([start, parameters]);
  });

  test("freezes the very scales that the last step would use", () => {
    const start = startOf();
    const training = compressionAwareTraining(options(start, scales()));
    training.logScales[0].assign(tf.scalar(-2.34567));
    const [before] = tf.exp(training.logScales[0]).dataSync();
    expect(training.result().scales.weight["w"]).toBe(before);
    tf.dispose([start, training.parameters]);
  });

  test("gives scales of one per channel back as arrays", () => {
    const start = startOf();
    const perChannel = {
      weight: { w: Float32Array.of(0.1, 0.05) },
      activation: { a: Float32Array.of(0.1, 0.08) },
    };
    const { parameters, scales: learned } = trained(options(start, perChannel), 3);
    expect(learned.weight["w"]).toBeInstanceOf(Float32Array);
    expect(learned.activation["a"].length).toBe(2);
    expect(learned.activation["a"]).not.toEqual(perChannel.activation.a);
    tf.dispose([start, parameters]);
  });

  test("leaves parameters alone that are not to be trained", () => {
    const start = startOf();
    const { parameters } = trained(options(start, scales(), { trainable: (name) => name === "b" }));
    expect(parameters["w"].dataSync()).toEqual(start.w.dataSync());
    expect(parameters["b"].dataSync()).not.toEqual(start.b.dataSync());
    tf.dispose([start, parameters]);
  });

  test("builds each quantizer once a step, whether bits are priced or not", () => {
    const start = startOf();
    const built: string[] = [];
    const counting = options(start, scales(), {
      quantizersOf: (learned) => {
        const { weight, activation } = uniformQuantizers(learned, widths);
        const counted = (of: typeof weight) => (name: string) => {
          built.push(name);
          return of(name);
        };
        return { weight: counted(weight), activation: counted(activation) };
      },
      activationRate: { lambda: 1 },
      weightRate: { lambda: 1 },
    });
    tf.tidy(() => void compressionAwareTraining(counting).loss(0, 0));
    expect(built.sort()).toEqual(["a", "w"]);
  });

  test("weighs bits by lambda and by the layer's factor, raises both over the warm-up, and logs the bits", () => {
    const start = startOf();
    const seen: { name: string; sharpness: number }[] = [];
    const logged: Record<string, number> = {};
    const rate: Rate = (x, _, { name, sharpness }) => {
      seen.push({ name, sharpness });
      return { x, bits: tf.scalar(2) };
    };
    const priceAt = (progress: number, weight: Partial<RateWeight>, warmUp?: number) => {
      const activationRate = { lambda: 0.5, rate, ...weight };
      const priced = compressionAwareTraining(options(start, scales(), { activationRate, warmUp }));
      const plain = compressionAwareTraining(options(start, scales()));
      return tf.tidy(() => {
        const log = (name: string, value: tf.Scalar) => (logged[name] = value.dataSync()[0]);
        const [a, b] = [priced, plain].map(({ loss }) => loss(0, progress, log).dataSync()[0]);
        return a - b;
      });
    };
    expect(priceAt(0.5, {})).toBeCloseTo(1, 5);
    expect(logged).toEqual({ "activation bits": 2 });
    expect(priceAt(0.5, { layer: () => 3 })).toBeCloseTo(3, 5);
    expect(priceAt(0.1, {}, 0.4)).toBeCloseTo(0.25, 5);
    expect(priceAt(0.8, {}, 0.4)).toBeCloseTo(1, 5);
    // Sharpness goes from 1 to 10 in equal ratios.
    expect(seen[0].name).toBe("a");
    expect(seen[0].sharpness).toBeCloseTo(Math.sqrt(10), 6);
  });

  test("refuses what makes no sense, naming it", () => {
    const wrong = (changes: Partial<CompressionAwareOptions<number>>) => () =>
      compressionAwareTraining(options(startOf(), scales(), changes));
    expect(wrong({ activationRate: { lambda: -1 } })).toThrow(
      "activationRate.lambda: expected a number of at least 0, got -1",
    );
    expect(wrong({ warmUp: 2 })).toThrow("warmUp: expected 0 to 1, got 2");
    expect(wrong({ sharpness: { first: 0, last: 10 } })).toThrow(
      "sharpness.first: expected a number above 0",
    );
    expect(wrong({ scales: { weight: { w: 0 }, activation: {} } })).toThrow(
      'scales: expected numbers above 0, got 0 for "w"',
    );
    const training = compressionAwareTraining(options(startOf(), { weight: { w: 1 }, activation: {} }));
    expect(() => tf.tidy(() => training.loss(0, 0))).toThrow('scales.activation: expected one for "a"');
  });
});
