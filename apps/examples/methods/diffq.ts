// DiffQ: weights get noise as large as their quantization step instead of being rounded, and the bit width of each group
// of eight is learned with them, under a price on the model's size in MB. Beside it the same with a price on entropy, which
// an entropy coder pays in place of bits, one width a tensor; and, trained as long, plain fixed widths.
import { softEntropy } from "@bitdiet/entropy-loss";
import {
  bitsFromLogits,
  logitsFromBits,
  minMaxRange,
  modelBits,
  noiseQuantizer,
  roundedBits,
  uniformNoise,
} from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { namedSeed } from "../models/named-seed.js";
import { variables } from "../models/parameters.js";
import type { Measured } from "./deploy.js";
import { deployMixed } from "./deploy-mixed.js";
import { type Ground, taskLoss } from "./ground.js";
import type { MixedWeight } from "./mixed-weights.js";
import { LEARNING_RATES, quantizationAware, warmCosine } from "./quantization-aware.js";
import type { Recipe } from "./recipe.js";

const INTERVAL = { minBits: 2, maxBits: 8 };
const FIRST_BITS = 5;
const MEGABYTE = 8 * 2 ** 20;

interface Widths {
  groupSize: (w: tf.Tensor) => number;
  /** What one tensor at these widths adds to the loss, of a network of so many weights. */
  price: (w: tf.Tensor, bits: tf.Tensor1D, values: number) => tf.Scalar;
}

async function learnWidths(ground: Ground, { groupSize, price }: Widths): Promise<Measured> {
  const parameters = variables(ground.start);
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
  const loss = taskLoss(ground);
  await ground.trainOn({
    task: "learning widths",
    steps: ground.steps,
    schedule: warmCosine,
    groups: [
      { variables: Object.values(parameters), learningRate: LEARNING_RATES.parameters },
      { variables: widths, learningRate: 5e-2 },
    ],
    loss: (step) => {
      const prices: tf.Scalar[] = [];
      const weight = <T extends tf.Tensor>(w: T, name: string): T => {
        const noise = uniformNoise(namedSeed(name, ground.seed * 1_000_003 + step));
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
  const measured = deployMixed(ground, parameters, weights, INTERVAL.minBits);
  tf.dispose([parameters, widths]);
  return measured;
}

/** @param penalty nats a megabyte */
const bySize = (penalty: number): Widths => ({
  groupSize: () => 8,
  price: (_, bits) => tf.mul(modelBits(bits, 8, INTERVAL.minBits), penalty / MEGABYTE),
});

/** @param lambda nats for a bit a weight */
const byEntropy = (lambda: number): Widths => ({
  groupSize: (w) => w.size,
  price: (w, bits, values) => {
    const low = tf.min(w);
    const step = tf.div(tf.sub(tf.max(w), low), tf.sub(tf.pow(2, tf.reshape(bits, [])), 1)) as tf.Scalar;
    const levels = tf.range(0, 2 ** INTERVAL.maxBits);
    const entropy = softEntropy(tf.sub(w, low), levels, { scale: step, sampleSize: 1024 });
    return tf.mul(entropy, (lambda * w.size) / values);
  },
});

const run = (id: string, title: string, curve: string, measure: (ground: Ground) => Promise<Measured>) => ({
  ...{ id, title, curve, measure },
  of: "weights" as const,
  trains: true,
});

export const diffq: Recipe = {
  name: "diffq",
  paper: "DiffQ (Défossez, Adi, Synnaeve, arXiv 2104.09987, 2021)",
  published:
    "DeiT, ImageNet: under 4 bit/weight at −0.3 points; 16-layer transformer, WikiText-103: an eighth, +0.5 perplexity",
  runs: [
    ...[10, 40].map((penalty) =>
      run(`noise-${penalty}`, `widths at ${penalty} nats/MB`, "price on size", (ground) =>
        learnWidths(ground, bySize(penalty)),
      ),
    ),
    run("entropy-0.1", "widths at λ 0.1 of entropy", "price on entropy", (ground) =>
      learnWidths(ground, byEntropy(0.1)),
    ),
    ...[3, 4].map((weightBits) =>
      run(`fixed-${weightBits}`, `fixed ${weightBits} bits`, "fixed width", (ground) =>
        quantizationAware(ground, { bits: "float", weightBits }),
      ),
    ),
  ],
};
