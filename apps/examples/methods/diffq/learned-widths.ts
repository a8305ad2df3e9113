// Widths that are learned along with the weights: noise as large as a quantization step takes the place of rounding, so that a
// width has a gradient, and a price on widths is part of the loss. Shipped with the widths rounded, and judged by what arrives.
// Example: groups of 8 weights start at 5 bits; those that the task needs little end at 2.

import type { Parameters } from "@bitdiet/compression-aware";
import {
  bitsFromLogits,
  logitsFromBits,
  minMaxRange,
  noiseQuantizer,
  roundedBits,
  uniformNoise,
} from "@bitdiet/fake-quant";
import { namedSeed } from "@bitdiet/zoo/nets/named-seed";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { brotliBytes } from "@bitdiet/zoo/shipping/baselines";
import { exactTensor, written } from "@bitdiet/zoo/shipping/ship";
import * as tf from "@tensorflow/tfjs-core";
import { judgeWeights } from "../judge.js";
import { LEARNING_RATES, warmCosine } from "../quantization-aware.js";
import type { Measured } from "../recipe.js";
import { biasesOf } from "../retrain.js";
import { type Testbed, taskLoss } from "../testbed.js";
import { type MixedWeight, mixedIntegers, packMixed } from "./mixed-weights.js";

export const INTERVAL = { minBits: 2, maxBits: 8 };
const FIRST_BITS = 5;

export interface Widths {
  groupSize: (w: tf.Tensor) => number;
  /** What one tensor at these widths adds to the loss, of a network of so many weights. */
  price: (w: tf.Tensor, bits: tf.Tensor1D, values: number) => tf.Scalar;
}

export async function learnWidths(testbed: Testbed, { groupSize, price }: Widths): Promise<Measured> {
  const parameters = variables(testbed.start);
  const names = Object.keys(parameters).filter((name) => name.endsWith(".weight"));
  const values = names.reduce((sum, name) => sum + parameters[name].size, 0);
  const widths = names.map((name) => {
    const groups = parameters[name].size / groupSize(parameters[name]);
    return tf.tidy(() => tf.variable(logitsFromBits(new Array(groups).fill(FIRST_BITS), INTERVAL)));
  });
  const quantizerOf = (name: string, noise?: ReturnType<typeof uniformNoise>) => {
    const bits = bitsFromLogits(widths[names.indexOf(name)] as unknown as tf.Tensor1D, INTERVAL);
    return { bits, ...noiseQuantizer({ bits, groupSize: groupSize(parameters[name]), noise }) };
  };
  const loss = taskLoss(testbed);
  await testbed.trainOn({
    task: "learning widths",
    steps: testbed.steps,
    schedule: warmCosine,
    groups: [
      { variables: Object.values(parameters), learningRate: LEARNING_RATES.parameters },
      { variables: widths, learningRate: 5e-2 },
    ],
    loss: (step) => {
      const prices: tf.Scalar[] = [];
      const weight = <T extends tf.Tensor>(w: T, name: string): T => {
        const noise = uniformNoise(namedSeed(name, testbed.seed * 1_000_003 + step));
        const { bits, fakeQuantize } = quantizerOf(name, noise);
        prices.push(price(w, bits, values));
        return fakeQuantize(w);
      };
      return tf.addN([loss(parameters, { weight }, step), ...prices]);
    },
  });
  const weights = names.map((name): MixedWeight => {
    const range = minMaxRange(parameters[name]);
    const { bits, quantize } = quantizerOf(name);
    const [rounded, indices] = [roundedBits(bits), quantize(parameters[name], range)];
    const levels = { bits: rounded.dataSync<"int32">(), indices: indices.dataSync<"int32">() };
    tf.dispose([bits, rounded, indices]);
    return { name, shape: parameters[name].shape, range, ...levels };
  });
  const measured = await judged(testbed, parameters, weights);
  tf.dispose([parameters, widths]);
  return measured;
}

/** Ships the integers and biases, and answers the test images with what arrives; the published packing in columns. */
async function judged(testbed: Testbed, parameters: Parameters, weights: MixedWeight[]): Promise<Measured> {
  const tensors = new Map(
    weights.map((weight) => [
      weight.name,
      mixedIntegers(parameters[weight.name].dataSync<"float32">(), weight),
    ]),
  );
  const biases = Object.entries(biasesOf(parameters));
  const exact = biases.map(([name, bias]) => exactTensor(name, bias.shape, bias.dataSync<"float32">()));
  const { accuracy, weights: costs } = await judgeWeights(testbed, written(tensors, exact), (arrived) =>
    Object.fromEntries(
      Object.entries(arrived).map(([name, tensor]) => [name, tf.reshape(tensor, parameters[name].shape)]),
    ),
  );
  const packed = weights.map((weight) => packMixed(weight, INTERVAL.minBits));
  const side = 4 * biases.reduce((sum, [, { size }]) => sum + size, 0);
  const packedBytes = packed.reduce((sum, { length }) => sum + length, side);
  const values = weights.reduce((sum, { indices }) => sum + indices.length, 0);
  return {
    accuracy,
    weights: {
      ...costs!,
      fixedWidth: (8 * packedBytes) / values,
      packedBrotli: (8 * (brotliBytes(packed) + side)) / values,
    },
    notes: { "bytes, packed as published": packedBytes },
  };
}
