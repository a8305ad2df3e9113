// The digits' networks: how one is fine-tuned, shipped, and judged by what arrives. Nothing in `deploy` trains: weights go
// through a .bitdiet file, and every feature map of the test digits through bytes.

import {
  type BitWidths,
  initialScales,
  type Parameters,
  quantizingHooks,
  type Scales,
  uniformQuantizers,
} from "@bitdiet/compression-aware";
import { type Digits, loadDigits } from "@bitdiet/zoo/data/mnist";
import { wholeBatches } from "@bitdiet/zoo/data/whole-batches";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import type { Work } from "@bitdiet/zoo/runner/job";
import { type CodedMaps, codeMaps, learnMapCoders } from "@bitdiet/zoo/shipping/feature-maps";
import { type WeightCosts, weightCosts } from "@bitdiet/zoo/shipping/measured";
import { arrived, ship } from "@bitdiet/zoo/shipping/ship";
import { fineTune } from "@bitdiet/zoo/training/fine-tune";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import * as tf from "@tensorflow/tfjs-core";
import { accuracy, BATCH, batches, imagesOf } from "./float.js";

export interface Tuning extends BitWidths {
  /** Nats that a bit per value of activations is worth. */
  lambda: number;
  /** Nats that a bit per weight is worth. */
  weightLambda: number;
  epochs: number;
  seed: number;
  /** Activation scales start at this multiple of those that hold the largest calibration value. */
  rangeFactor: number;
}

/** A quantized network: what is needed to run it and to ship it. */
export interface QuantizedNetwork extends BitWidths {
  parameters: Parameters;
  scales: Scales<number>;
}

const CALIBRATION_IMAGES = 512;

/** Fine-tunes copies of `start`; the scales are learned along, and frozen from here on. */
export async function fineTuneDigits(
  start: Parameters,
  training: Digits,
  task: string,
  { lambda, weightLambda, epochs, seed, activationBits, weightBits, rangeFactor }: Tuning,
): Promise<QuantizedNetwork> {
  const widths = { activationBits, weightBits };
  const images = imagesOf(training, 0, CALIBRATION_IMAGES);
  const scales = initialScales((hooks) => digitCnn(start, images, hooks), widths, rangeFactor);
  images.dispose();
  const batch = batches(training, seed + 1);
  const network = await fineTune({
    task,
    steps: epochs * wholeBatches(training.count, BATCH),
    parameters: start,
    scales,
    quantizersOf: (learned) => uniformQuantizers(learned, widths),
    loss: (parameters, hooks, step) => {
      const { x, labels } = batch(step);
      return crossEntropy(labels, digitCnn(parameters, x, hooks));
    },
    activationRate: { lambda },
    weightRate: { lambda: weightLambda },
  });
  return { ...network, ...widths };
}

/** A trained network as it is shipped: what it costs, and how well it does on what arrived. */
export interface Deployment extends BitWidths {
  /** The network in training's own terms, with fake quantization; 0 .. 1. */
  graphAccuracy: number;
  /** With weights and feature maps encoded and decoded; the same number, if training and bytes agree. */
  decodedAccuracy: number;
  /** The .bitdiet file: everything that a decoder needs beside the architecture. */
  file: Uint8Array;
  weights: WeightCosts;
  maps: CodedMaps[];
  activationScales: Scales<number>["activation"];
}

/** Training images whose feature maps the codes are learned from. */
const CODE_IMAGES = 1000;

/** Ships the weights, codes the feature maps of all test images, and evaluates on what comes back. */
export async function deploy(network: QuantizedNetwork, training: Digits, test: Digits): Promise<Deployment> {
  const { parameters, scales, activationBits, weightBits } = network;
  const quantizers = uniformQuantizers(scales, network);
  const hooks = quantizingHooks(quantizers);
  const graphAccuracy = accuracy(test, (x) => digitCnn(parameters, x, hooks));

  const shipped = ship({
    parameters,
    quantizer: (name) => (name in scales.weight ? quantizers.weight(name) : undefined),
    activationScales: scales.activation,
  });
  const decoded = await arrived(shipped.file, scales.activation);
  const { activation } = uniformQuantizers({ weight: {}, activation: decoded.activationScales }, network);
  const images = imagesOf(training, 0, CODE_IMAGES);
  const coders = learnMapCoders((hooks) => digitCnn(decoded.parameters, images, hooks), activation);
  images.dispose();
  const coded = { activation: codeMaps(coders, activation) };
  const decodedAccuracy = accuracy(test, (x) => digitCnn(decoded.parameters, x, coded));
  tf.dispose(decoded.parameters);
  return {
    activationBits,
    weightBits,
    graphAccuracy,
    decodedAccuracy,
    file: shipped.file,
    weights: weightCosts(shipped),
    maps: Object.values(coders).map(({ total }) => total()),
    activationScales: scales.activation,
  };
}

/** A thread's work; every thread has the digits. */
export const work: Work<null, Tuning, Deployment, QuantizedNetwork> = () => {
  const { training, test } = loadDigits();
  return {
    fineTune: (start, tuning, title) => fineTuneDigits(start, training, title, tuning),
    deploy: (network) => deploy(network, training, test),
  };
};
