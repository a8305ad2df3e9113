// A network whose channels have widths of their own, 0 being a pruned one: allocated under a budget, trained on or its means
// matched, written as one file, read back and evaluated. Whoever allocates is given.
// Example: at 4 bits a weight the file is 8 times smaller than float32.

import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { type Progress, startProgress } from "@bitdiet/zoo/runner/progress";
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "../deploy.js";
import { matchedBiases } from "../match-means.js";
import { retrain } from "../retrain.js";
import { accuracy, calibrationImages, type Testbed } from "../testbed.js";
import { measuredFile, sizesOf } from "../transform-quantization/block-file.js";
import { codeBlocks, decodeBlocks } from "../transform-quantization/blocks.js";
import { type Allocation, type Evaluate, evaluations } from "./channel-allocation.js";
import {
  type ChannelLayer,
  channelLayers,
  channelMask,
  channelSizes,
  multiplications,
  quantizedChannels,
  restoredChannels,
  storedChannels,
  trainableChannels,
  type Widths,
  withWeights,
} from "./channel-network.js";

/** Training images that an allocation is judged by. */
const IMAGES = 64;

export interface ChannelCoding {
  /** Bits a weight of the file without entropy coding, everything counted. */
  bits: number;
  allocation: Allocation;
  /** Whether what is left is trained on once the widths are fixed. */
  retrains: boolean;
}

/** Allocates, trains on or matches means, writes, reads, evaluates. */
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
    const network = quantizedChannels(testbed, layers, widths);
    const error = tf.tidy(
      () => tf.div(tf.sum(tf.squaredDifference(cifarResnet(network, x), exact)), IMAGES).dataSync()[0],
    );
    tf.dispose(network);
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
  const final = trained ? withWeights(layers, trained) : layers;
  const blocks = storedChannels(final, widths);
  const all = Object.values(blocks).flat();
  const read = decodeBlocks(codeBlocks(all), all.length, (grids) => channelSizes(layers, grids));
  const floats = trained ?? meansMatched(testbed, layers, widths);
  const network = restoredChannels(layers, read, { ...testbed.start, ...floats });
  const right = accuracy(testbed.test, (images) => cifarResnet(network, images));
  tf.dispose([network, floats]);
  const full = layers.map(({ channels }) => new Uint8Array(channels.length).fill(1));
  return {
    accuracy: right,
    weights: measuredFile(blocks, sizes),
    notes: {
      "channels pruned": all.filter(({ grid }) => grid.bits === 0).length,
      "multiplications left": `${((100 * multiplications(layers, widths)) / multiplications(layers, full)).toFixed(1)} %`,
      evaluations: evaluated,
    },
  };
}

/** Biases that give the channels that are left their means back. */
function meansMatched(testbed: Testbed, layers: ChannelLayer[], widths: Widths): Parameters {
  const filters = quantizedChannels(testbed, layers, widths);
  const biases = matchedBiases(testbed, filters, (convolution) => {
    const l = layers.findIndex(({ name }) => name === `${convolution}.weight`);
    return channelMask(layers, l, widths[l]);
  });
  tf.dispose(filters);
  return biases;
}
