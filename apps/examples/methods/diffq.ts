// DiffQ: weights get noise as large as their quantization step instead of being rounded, and the bit width of each group
// of eight is learned with them, under a price on the model's size in MB. Beside it, trained as long, plain
// quantization-aware training at fixed widths.
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
import type { Parameters } from "../models/hooks.js";
import { namedSeed } from "../models/named-seed.js";
import { variables } from "../models/parameters.js";
import { cifarResnet } from "../models/resnet.js";
import type { Measured } from "./deploy.js";
import { accuracy, type Ground, taskLoss } from "./ground.js";
import { decodeMixed, encodeMixed, type MixedWeight } from "./mixed-weights.js";
import { LEARNING_RATES, quantizationAware, warmCosine } from "./quantization-aware.js";
import type { Recipe } from "./recipe.js";

const GROUP = 8;
const INTERVAL = { minBits: 2, maxBits: 8 };
const FIRST_BITS = 5;
const MEGABYTE = 8 * 2 ** 20;

/** @param penalty nats a megabyte */
async function learnWidths(ground: Ground, penalty: number): Promise<Measured> {
  const parameters = variables(ground.start);
  const names = Object.keys(parameters).filter((name) => name.endsWith(".weight"));
  const logits = variables(
    Object.fromEntries(
      names.map((name) => {
        const groups = new Array(parameters[name].size / GROUP).fill(FIRST_BITS);
        return [name, logitsFromBits(groups, INTERVAL)];
      }),
    ),
  );
  const bitsOf = (name: string) => bitsFromLogits(logits[name] as tf.Tensor1D, INTERVAL);
  const loss = taskLoss(ground);
  await ground.trainOn({
    task: "pseudo-quantization noise",
    steps: ground.steps,
    schedule: warmCosine,
    groups: [
      { variables: Object.values(parameters), learningRate: LEARNING_RATES.parameters },
      { variables: Object.values(logits), learningRate: 5e-2 },
    ],
    loss: (step, _progress, show) => {
      const bits = Object.fromEntries(names.map((name) => [name, bitsOf(name)]));
      const size = tf.addN(names.map((name) => modelBits(bits[name], GROUP, INTERVAL.minBits)));
      show("kB", tf.div(size, 8000));
      const weight = <T extends tf.Tensor>(w: T, name: string): T => {
        const noise = uniformNoise(namedSeed(name, ground.seed * 1_000_003 + step));
        return noiseQuantizer({ bits: bits[name], groupSize: GROUP, noise }).fakeQuantize(w);
      };
      return tf.add(loss(parameters, { weight }, step), tf.mul(size, penalty / MEGABYTE));
    },
  });
  const weights = names.map((name): MixedWeight => {
    const range = minMaxRange(parameters[name]);
    const [bits, indices] = tf.tidy(() => {
      const bits = roundedBits(bitsOf(name));
      return [bits, noiseQuantizer({ bits, groupSize: GROUP }).quantize(parameters[name], range)];
    });
    const weight = { bits: bits.dataSync<"int32">(), indices: indices.dataSync<"int32">() };
    tf.dispose([bits, indices]);
    return { name, shape: parameters[name].shape, range, ...weight };
  });
  const measured = deployMixed(ground, parameters, weights);
  tf.dispose([parameters, logits]);
  return measured;
}

/** Codes and decodes weights of mixed widths; activations stay float. */
function deployMixed(ground: Ground, parameters: Parameters, weights: MixedWeight[]): Measured {
  const coded = encodeMixed(weights, INTERVAL.minBits);
  const shapes = weights.map(({ indices, bits }) => ({ size: indices.length, groups: bits.length }));
  const decoded: Parameters = { ...parameters };
  const tensors = decodeMixed(coded, shapes).map(({ bits, indices }, i) => {
    const { name, shape, range } = weights[i];
    decoded[name] = tf.tidy(() =>
      noiseQuantizer({ bits: tf.tensor1d(bits), groupSize: GROUP }).dequantize(
        tf.tensor(indices, shape, "int32"),
        range,
      ),
    );
    return decoded[name];
  });
  const right = accuracy(ground.test, (x) => cifarResnet(decoded, x));
  tf.dispose(tensors);
  const values = shapes.reduce((sum, { size }) => sum + size, 0);
  const biases = Object.entries(parameters).filter(([name]) => name.endsWith(".bias"));
  const side = 4 * biases.reduce((sum, [, { size }]) => sum + size, 0);
  const perWeight = (bytes: number) => (8 * (bytes + side)) / values;
  return {
    accuracy: right,
    weights: {
      fixedWidth: perWeight(coded.packedBytes),
      entropy: coded.entropy,
      coded: perWeight(coded.codedBytes),
      packedBrotli: perWeight(coded.packedBytes),
      bytes: coded.codedBytes + side,
      layers: [],
    },
    notes: { "bytes packed as published": coded.packedBytes + side },
  };
}

const noise = [10, 40].map((penalty) => ({
  id: `noise-${penalty}`,
  title: `learned widths, ${penalty} nats/MB`,
  curve: "pseudo-quantization noise",
  of: "weights" as const,
  trains: true,
  measure: (ground: Ground) => learnWidths(ground, penalty),
}));

const fixed = [3, 4].map((weightBits) => ({
  id: `fixed-${weightBits}`,
  title: `fixed width, ${weightBits} bits`,
  curve: "fixed-width training",
  of: "weights" as const,
  trains: true,
  measure: (ground: Ground) => quantizationAware(ground, { bits: "float", weightBits }),
}));

export const diffq: Recipe = {
  name: "diffq",
  paper: "DiffQ (Défossez, Adi, Synnaeve, arXiv 2104.09987, 2021)",
  published:
    "DeiT, ImageNet: under 4 bit/weight at −0.3 points; WikiText-103 transformer: 8 × smaller, +0.5 perplexity",
  runs: [...noise, ...fixed],
};
