// BERT's fine-tuning run: what fine-tune.ts needs to know of this network, its data and its options.
import * as tf from "@tensorflow/tfjs-core";
import { batches, type EncodedData, inputOf, stepsPerEpoch } from "../data/text-batches.js";
import { type BertConfig, bert } from "../nets/bert.js";
import {
  bertQuantizers,
  calibrateBert,
  matricesOnly,
  type RangeStart,
  rangesOnGrid,
} from "../nets/bert-quantizers.js";
import type { Parameters } from "../nets/hooks.js";
import { toBfloat16 } from "../shipping/weights.js";
import { fineTune, type FineTuning as GeneralFineTuning } from "./fine-tune.js";
import { type Checkpoint, linearWarmUp } from "./loop.js";
import { constant, crossEntropy, distillation } from "./losses.js";
import type { BitWidths, FrozenRange, Ranges } from "./quantized.js";
import { orderZeroRate, type Rate } from "./rates.js";

export interface FineTuning extends BitWidths, Pick<RangeStart, "factor" | "weightFactor"> {
  /** Weight of the activations' mean entropy (bits per value) in the loss (nats). */
  lambda: number;
  /** Weight of the weights' mean entropy in the loss. */
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

/** A quantized network: what is needed to run it and to encode it. Integers follow from parameters and ranges. */
export interface QuantizedBert extends BitWidths {
  parameters: Parameters;
  ranges: Ranges<FrozenRange>;
}

/** Share of the steps over which the learning rate rises. */
export const WARM_UP = 0.1;
const CALIBRATION_TEXTS = 128;
/** Of Adam, for ln(step). */
const RANGE_LEARNING_RATE = 1e-2;

/** Elements of a tensor that its entropy is estimated from: more of a large table, so that each is looked at some time. */
const rate: Rate = (x, quantizer, context) =>
  orderZeroRate(Math.max(1024, Math.ceil(x.size / 64)))(x, quantizer, context);

/** Fine-tunes copies of `start`; the ranges are learned along, and frozen from here on. */
export async function fineTuneBert(
  start: Parameters,
  config: BertConfig,
  training: EncodedData,
  task: string,
  tuning: FineTuning,
): Promise<QuantizedBert> {
  const { parameters, ranges } = await fineTune({ task, ...bertRecipe(start, config, training, tuning) });
  return {
    parameters: shippedParameters(parameters, ranges),
    ranges: rangesOnGrid(ranges),
    bits: tuning.bits,
    weightBits: tuning.weightBits,
  };
}

/** All that fine-tune.ts needs to know of a run, but its name. */
export function bertRecipe(
  start: Parameters,
  config: BertConfig,
  training: EncodedData,
  tuning: FineTuning,
): Omit<GeneralFineTuning<FrozenRange>, "task"> {
  const { lambda, weightLambda, epochs, learningRate, seed, bits, weightBits, distill, checkpoint } = tuning;
  const batch = batches(training, config.numLabels, seed + 1);
  return {
    steps: Math.round(epochs * stepsPerEpoch(training)),
    schedule: linearWarmUp(WARM_UP),
    start,
    ranges: calibratedRanges(start, config, training, tuning),
    quantizersOf: (learned) => bertQuantizers(learned, { bits, weightBits }),
    loss: (parameters, hooks, step) => {
      const { input, labels } = batch(step);
      const logits = bert(parameters, config, input, hooks);
      const task = crossEntropy(labels, logits);
      if (!distill) return task;
      const teacher = constant(() => bert(start, config, input));
      return tf.add(task, distillation(teacher, logits));
    },
    activationPressure: { lambda },
    weightPressure: { lambda: weightLambda, rate },
    learningRates: { parameters: learningRate, ranges: RANGE_LEARNING_RATE },
    checkpoint,
  };
}

/** Training's last act: what is not quantized becomes what a file holds. Disposes of the variables where it differs. */
function shippedParameters(parameters: Parameters, { weight }: Ranges<FrozenRange>): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, variable]) => {
      if (name in weight) return [name, variable];
      const shipped = tf.tensor(toBfloat16(variable.dataSync<"float32">()), variable.shape);
      variable.dispose();
      return [name, shipped];
    }),
  );
}

/** Where a fine-tuning's ranges start, from the first training texts. */
export function calibratedRanges(
  start: Parameters,
  config: BertConfig,
  { texts }: EncodedData,
  { bits, weightBits, factor, weightFactor }: BitWidths & Pick<RangeStart, "factor" | "weightFactor">,
): Ranges<FrozenRange> {
  const count = Math.min(CALIBRATION_TEXTS, texts.ids.length / texts.length);
  return calibrateBert(
    (hooks) => bert(start, config, inputOf(texts, [...Array(count).keys()]), hooks),
    { bits, weightBits },
    { factor, weightFactor, stepPerSlice: matricesOnly },
  );
}
