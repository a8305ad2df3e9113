// BERT's fine-tuning run: what fine-tune.ts needs to know of this network, its data and its options.
import {
  type BitWidths,
  type FrozenScale,
  orderZeroRate,
  type Parameters,
  type Rate,
  type Scales,
} from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { batches, type EncodedData, inputOf, stepsPerEpoch } from "../data/text-batches.js";
import { type BertConfig, bert } from "../nets/bert.js";
import { bertQuantizers, initialBertScales, matricesOnly, type RangeStart } from "../nets/bert-quantizers.js";
import { scalesOnGrid, shortParameters } from "../shipping/file-precision.js";
import { fineTune, type FineTuning as GeneralFineTuning } from "./fine-tune.js";
import { type Checkpoint, linearWarmUp } from "./loop.js";
import { constant, crossEntropy, distillation } from "./losses.js";

export interface FineTuning extends BitWidths, Pick<RangeStart, "factor" | "weightFactor"> {
  /** Nats that a bit per value of activations is worth. */
  lambda: number;
  /** Nats that a bit per weight is worth. */
  weightLambda: number;
  /** Not necessarily whole. */
  epochs: number;
  /** The largest of the run, for parameters. */
  learningRate: number;
  seed: number;
  /** Whether the float start teaches: its logits' divergence counts as much as the labels' cross entropy. */
  distill: boolean;
  checkpoint?: Checkpoint;
}

/** A quantized network: what is needed to run it and to ship it. Integers follow from parameters and scales. */
export interface QuantizedBert extends BitWidths {
  parameters: Parameters;
  scales: Scales<FrozenScale>;
}

/** Share of the steps over which the learning rate rises. */
export const WARM_UP = 0.1;
const CALIBRATION_TEXTS = 128;
/** Learning rate of the scales' logarithms. */
const SCALE_LEARNING_RATE = 1e-2;

/** Elements of a tensor that its entropy is estimated from: more of a large table, so that each is looked at some time. */
const rate: Rate = (x, quantizer, context) =>
  orderZeroRate(Math.max(1024, Math.ceil(x.size / 64)))(x, quantizer, context);

/** Fine-tunes copies of `start`; the scales are learned along, and frozen from here on. */
export async function fineTuneBert(
  start: Parameters,
  config: BertConfig,
  training: EncodedData,
  task: string,
  tuning: FineTuning,
): Promise<QuantizedBert> {
  const { parameters, scales } = await fineTune({ task, ...bertRecipe(start, config, training, tuning) });
  return {
    parameters: shortParameters(parameters, scales),
    scales: scalesOnGrid(scales),
    activationBits: tuning.activationBits,
    weightBits: tuning.weightBits,
  };
}

/** All that fine-tune.ts needs to know of a run, but its name. */
export function bertRecipe(
  start: Parameters,
  config: BertConfig,
  training: EncodedData,
  tuning: FineTuning,
): Omit<GeneralFineTuning<FrozenScale>, "task"> {
  const { lambda, weightLambda, epochs, learningRate, seed, distill, checkpoint } = tuning;
  const batch = batches(training, config.numLabels, seed + 1);
  return {
    steps: Math.round(epochs * stepsPerEpoch(training)),
    schedule: linearWarmUp(WARM_UP),
    parameters: start,
    scales: calibratedScales(start, config, training, tuning),
    quantizersOf: (learned) => bertQuantizers(learned, tuning),
    loss: (parameters, hooks, step) => {
      const { input, labels } = batch(step);
      const logits = bert(parameters, config, input, hooks);
      const task = crossEntropy(labels, logits);
      if (!distill) return task;
      const teacher = constant(() => bert(start, config, input));
      return tf.add(task, distillation(teacher, logits));
    },
    activationRate: { lambda },
    weightRate: { lambda: weightLambda, rate },
    learningRates: { parameters: learningRate, scales: SCALE_LEARNING_RATE },
    checkpoint,
  };
}

/** Where a fine-tuning's scales start, from the first training texts. */
export function calibratedScales(
  start: Parameters,
  config: BertConfig,
  { texts }: EncodedData,
  {
    activationBits,
    weightBits,
    factor,
    weightFactor,
  }: BitWidths & Pick<RangeStart, "factor" | "weightFactor">,
): Scales<FrozenScale> {
  const count = Math.min(CALIBRATION_TEXTS, texts.ids.length / texts.length);
  return initialBertScales(
    (hooks) => bert(start, config, inputOf(texts, [...Array(count).keys()]), hooks),
    { activationBits, weightBits },
    { factor, weightFactor, stepPerSlice: matricesOnly },
  );
}
