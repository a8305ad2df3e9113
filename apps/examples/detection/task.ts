// The detector's networks: how one is fine-tuned, shipped, and judged by what arrives. Weights go through a .bitdiet file, and
// every feature map of the judged pictures through bytes; nothing in `deploy` trains.
import {
  type BitWidths,
  type FrozenScale,
  type Hooks,
  type Parameters,
  quantizingHooks,
  type Scales,
  uniformQuantizers,
} from "@bitdiet/compression-aware";
import type { VocImage } from "@bitdiet/zoo/data/voc";
import {
  allPoints,
  type FoundBox,
  type MeanAveragePrecision,
  meanAveragePrecision,
} from "@bitdiet/zoo/detection/average-precision";
import { findBoxes, markedBoxes } from "@bitdiet/zoo/detection/evaluate";
import { multiboxLoss } from "@bitdiet/zoo/detection/multibox-loss";
import { mobilenetSsd } from "@bitdiet/zoo/nets/mobilenet-ssd";
import { type CodedMaps, codeMaps, learnMapCoders } from "@bitdiet/zoo/shipping/feature-maps";
import { scalesOnGrid, shortParameters } from "@bitdiet/zoo/shipping/file-precision";
import { type WeightCosts, weightCosts } from "@bitdiet/zoo/shipping/measured";
import { arrived, ship } from "@bitdiet/zoo/shipping/ship";
import { fineTune } from "@bitdiet/zoo/training/fine-tune";
import type { Checkpoint } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import { batches, type Picture, PRIORS, SIDE, wholeInput } from "./pictures.js";

export interface Tuning extends BitWidths {
  /** Nats that a bit per value of activations is worth. */
  lambda: number;
  /** Nats that a bit per weight is worth. */
  weightLambda: number;
  steps: number;
  seed: number;
  /** Scales of activations and weights start at this multiple of those that hold the largest value. */
  rangeFactor: number;
  checkpoint: Checkpoint;
}

/** A quantized network: what is needed to run it and to ship it. */
export interface QuantizedNetwork extends BitWidths {
  parameters: Parameters;
  scales: Scales<FrozenScale>;
}

/** Batches whose largest activations the scales start from. */
const CALIBRATION_BATCHES = 4;
/** Few steps: scales move fast, by at most a factor of e each 33 steps. */
const LEARNING_RATES = { parameters: 5e-4, scales: 3e-2 };

/** Fine-tunes copies of `start`; the scales are learned along, and frozen from here on. */
export async function fineTuneDetector(
  start: Parameters,
  pictures: readonly Picture[],
  task: string,
  { lambda, weightLambda, steps, seed, rangeFactor, checkpoint, ...widths }: Tuning,
): Promise<QuantizedNetwork> {
  const batch = batches(pictures, seed + 1);
  const calibrate = (hooks: Required<Hooks>) => {
    for (let step = 0; step < CALIBRATION_BATCHES; step++) mobilenetSsd(start, batch(step).x, hooks);
  };
  const { parameters, scales } = await fineTune({
    task,
    steps,
    parameters: start,
    scales: channelScales(calibrate, widths, rangeFactor),
    quantizersOf: (learned) => uniformQuantizers(learned, widths),
    loss: (parameters, hooks, step) => {
      const { x, targets } = batch(step);
      return multiboxLoss(mobilenetSsd(parameters, x, hooks), targets);
    },
    activationRate: { lambda },
    weightRate: { lambda: weightLambda },
    learningRates: LEARNING_RATES,
    checkpoint,
  });
  return { parameters: shortParameters(parameters, scales), scales: scalesOnGrid(scales), ...widths };
}

/** Scales that just hold the largest value times a factor: one for each output channel of a filter, since folded batch norms differ; one an activation. */
export function channelScales(
  run: (hooks: Required<Hooks>) => void,
  { activationBits, weightBits }: BitWidths,
  factor: number,
): Scales<FrozenScale> {
  const scales: Scales<FrozenScale> & { activation: Record<string, number> } = { weight: {}, activation: {} };
  tf.tidy(() =>
    run({
      weight: (w, name) => {
        const largest = tf.add(tf.max(tf.abs(w), [0, 1, 2]), 1e-6); // a channel of zeros needs some step
        scales.weight[name] = tf
          .mul(largest, factor / (2 ** (weightBits - 1) - 1))
          .dataSync<"float32">()
          .slice();
        return w;
      },
      activation: (a, name) => {
        const step = (Math.max(1e-3, tf.max(a).dataSync()[0]) * factor) / (2 ** activationBits - 1);
        scales.activation[name] = Math.max(step, scales.activation[name] ?? 0);
        return a;
      },
    }),
  );
  return scales;
}

/** A trained network as it is shipped: what it costs, and what is found with what arrived. */
export interface Deployment extends BitWidths {
  /** The network in training's own terms, with fake quantization. */
  graph: MeanAveragePrecision;
  /** With weights and feature maps encoded and decoded; the same numbers, if training and bytes agree. */
  decoded: MeanAveragePrecision;
  /** Boxes of the latter. */
  found: FoundBox[];
  /** The .bitdiet file: everything that a decoder needs beside the architecture. */
  file: Uint8Array;
  weights: WeightCosts;
  maps: CodedMaps[];
}

/** The pictures that a network is judged on, and the names of their classes in the order of labels. */
export interface Judged {
  images: readonly VocImage[];
  names: readonly string[];
}

/** Boxes that a network finds, and its mean average precision by the rule of 2010 and later. */
export async function judge(
  parameters: Parameters,
  hooks: Hooks,
  { images, names }: Judged,
): Promise<{ found: FoundBox[]; precision: MeanAveragePrecision }> {
  const run = (x: tf.Tensor4D) => mobilenetSsd(parameters, x, hooks);
  const found = await findBoxes({ run, side: SIDE, priors: PRIORS, names }, images, wholeInput);
  return { found, precision: meanAveragePrecision(found, markedBoxes(images), allPoints) };
}

/** Training images whose feature maps the codes are learned from. */
const CODE_IMAGES = 16;

/** Ships the weights, codes the feature maps of all judged pictures, and evaluates on what comes back. */
export async function deploy(
  network: QuantizedNetwork,
  training: readonly VocImage[],
  judged: Judged,
): Promise<Deployment> {
  const { parameters, scales, activationBits, weightBits } = network;
  const quantizers = uniformQuantizers(scales, network);
  const { precision: graph } = await judge(parameters, quantizingHooks(quantizers), judged);
  const shipped = ship({
    parameters,
    quantizer: (name) => (name in scales.weight ? quantizers.weight(name) : undefined),
    activationScales: scales.activation,
  });
  const read = await arrived(shipped.file, scales.activation);
  const { activation } = uniformQuantizers({ weight: {}, activation: read.activationScales }, network);
  const inputs = await Promise.all(training.slice(0, CODE_IMAGES).map(wholeInput));
  const coders = learnMapCoders((hooks) => {
    const x = tf.stack(inputs.map((input) => tf.tensor3d(input, [SIDE, SIDE, 3]))) as tf.Tensor4D;
    return mobilenetSsd(read.parameters, x, hooks);
  }, activation);
  const { found, precision } = await judge(
    read.parameters,
    { activation: codeMaps(coders, activation) },
    judged,
  );
  tf.dispose(read.parameters);
  return {
    activationBits,
    weightBits,
    graph,
    decoded: precision,
    found,
    file: shipped.file,
    weights: weightCosts(shipped),
    maps: Object.values(coders).map(({ total }) => total()),
  };
}
