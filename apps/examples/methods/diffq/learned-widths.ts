// Widths that are learned along with the weights: noise as large as a quantization step takes the place of rounding, so that a
// width has a gradient, and a price on widths is part of the loss. Coded with the widths rounded, decoded, measured.
// Example: groups of 8 weights start at 5 bits; those that the task needs little end at 2.
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
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "../deploy.js";
import { LEARNING_RATES, warmCosine } from "../quantization-aware.js";
import { type Testbed, taskLoss } from "../testbed.js";
import { deployMixed } from "./deploy-mixed.js";
import type { MixedWeight } from "./mixed-weights.js";

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
  const measured = deployMixed(testbed, parameters, weights, INTERVAL.minBits);
  tf.dispose([parameters, widths]);
  return measured;
}
