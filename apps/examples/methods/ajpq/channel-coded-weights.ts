// A network whose channels have widths of their own, 0 being a pruned one: allocated under a budget, trained on or its means
// matched, written as one file, read back and evaluated. Whoever allocates is given.
// Example: at 4 bits a weight the file is 8 times smaller than float32.

import type { Parameters } from "@bitdiet/compression-aware";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { type Progress, startProgress } from "@bitdiet/zoo/runner/progress";
import { ship } from "@bitdiet/zoo/shipping/ship";
import * as tf from "@tensorflow/tfjs-core";
import { judgeWeights } from "../judge.js";
import { matchedBiases } from "../match-means.js";
import type { Measured } from "../recipe.js";
import { retrain } from "../retrain.js";
import { calibrationImages, type Testbed } from "../testbed.js";
import { sizesOf, withPublishedPacking } from "../transform-quantization/published-packing.js";
import { type Allocation, type Evaluate, evaluations } from "./channel-allocation.js";
import {
  type ChannelLayer,
  channelLayers,
  channelMask,
  channelQuantizer,
  multiplications,
  storedChannels,
  trainableChannels,
  type Widths,
  withoutPruned,
  withWeights,
} from "./channel-network.js";

/** Training images that an allocation is judged by. */
const IMAGES = 64;

export interface ChannelCoding {
  /** Bits a weight packed as published, everything counted. */
  bits: number;
  allocation: Allocation;
  /** Whether what is left is trained on once the widths are fixed. */
  retrains: boolean;
}

/** Allocates, trains on or matches means, ships, judges. */
export async function channelCodedWeights(
  testbed: Testbed,
  { bits, allocation, retrains }: ChannelCoding,
): Promise<Measured> {
  const layers = channelLayers(testbed);
  const sizes = sizesOf(testbed);
  const x = calibrationImages(testbed, IMAGES);
  const exact = tf.tidy(() => cifarResnet(testbed.start, x));
  let progress: Progress | undefined;
  let evaluated = 0;
  const evaluate: Evaluate = (widths) => {
    const error = tf.tidy(() => {
      const network = trainableChannels(layers, widths, testbed.start);
      return tf.div(tf.sum(tf.squaredDifference(cifarResnet(network, x), exact)), IMAGES).dataSync()[0];
    });
    progress ??= startProgress("evaluating widths", evaluations(layers));
    progress.update(++evaluated, `error ${error.toFixed(3)}`);
    return -error;
  };
  const widths = await allocation(layers, bits * sizes.weights - 32 * sizes.floats, evaluate, testbed.seed);
  progress?.finish();
  tf.dispose([x, exact]);
  const trained = retrains
    ? await retrain(testbed, testbed.start, (now) => trainableChannels(layers, widths, now))
    : undefined;
  const floats = trained ?? meansMatched(testbed, layers, widths);
  const blocks = Object.values(
    storedChannels(trained ? withWeights(layers, trained) : layers, widths),
  ).flat();
  const measured = await judged(testbed, layers, widths, { ...testbed.start, ...floats });
  tf.dispose(floats);
  const full = layers.map(({ channels }) => new Uint8Array(channels.length).fill(1));
  return {
    ...withPublishedPacking(measured, blocks, sizes),
    notes: {
      "channels pruned": blocks.filter(({ grid }) => grid.bits === 0).length,
      "multiplications left": `${((100 * multiplications(layers, widths)) / multiplications(layers, full)).toFixed(1)} %`,
      evaluations: evaluated,
    },
  };
}

/** Ships what is left of a network, and answers the test images with what arrives. */
async function judged(
  testbed: Testbed,
  layers: ChannelLayer[],
  widths: Widths,
  network: Parameters,
): Promise<Measured> {
  const parameters = tf.tidy(() => withoutPruned(layers, widths, network));
  const shipped = ship({
    parameters,
    quantizer: (name) => {
      const l = layers.findIndex((layer) => layer.name === name);
      return l < 0 ? undefined : channelQuantizer(layers[l], widths[l]);
    },
  });
  const measured = await judgeWeights(testbed, shipped);
  tf.dispose(
    Object.entries(parameters).flatMap(([name, tensor]) => (tensor === network[name] ? [] : [tensor])),
  );
  return measured;
}

/** Biases that give the channels that are left their means back. */
function meansMatched(testbed: Testbed, layers: ChannelLayer[], widths: Widths): Parameters {
  const filters = tf.tidy(() => trainableChannels(layers, widths, testbed.start));
  const biases = matchedBiases(testbed, filters, (convolution) => {
    const l = layers.findIndex(({ name }) => name === `${convolution}.weight`);
    return channelMask(layers, l, widths[l]);
  });
  tf.dispose(filters);
  return biases;
}
