// The float network: trained from scratch or fine-tuned from a checkpoint, and its answers.

import type { Parameters } from "@bitdiet/compression-aware";
import {
  batches,
  type EncodedData,
  inputOf,
  stepsPerEpoch,
  tokenCounts,
} from "@bitdiet/zoo/data/text-batches";
import type { BertConfig, BertInput } from "@bitdiet/zoo/nets/bert";
import { bert } from "@bitdiet/zoo/nets/bert";
import { seededDropout } from "@bitdiet/zoo/nets/dropout";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { WARM_UP } from "@bitdiet/zoo/training/bert";
import {
  type Checkpoint,
  gradientsOf,
  linearWarmUp,
  train,
  type VariableGroup,
} from "@bitdiet/zoo/training/loop";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import { adam } from "@bitdiet/zoo/training/optimizers";
import * as tf from "@tensorflow/tfjs-core";

export interface FloatTraining {
  epochs: number;
  /** The largest of the run: about 1e-3 from scratch, 2e-5 to 5e-5 from a pretrained checkpoint. */
  learningRate: number;
  dropout: number;
  seed: number;
  checkpoint?: Checkpoint;
}

/** Trains copies of `start`. */
export async function trainFloat(
  start: Parameters,
  config: BertConfig,
  training: EncodedData,
  { epochs, learningRate, dropout, seed, checkpoint }: FloatTraining,
): Promise<Parameters> {
  const parameters = variables(start);
  const batch = batches(training, config.numLabels, seed);
  await train({
    task: "float",
    steps: epochs * stepsPerEpoch(training),
    groups: decayedGroups(parameters, learningRate),
    schedule: linearWarmUp(WARM_UP),
    gradients: gradientsOf((step) => {
      const { input, labels } = batch(step);
      return crossEntropy(
        labels,
        bert(parameters, config, input, {}, seededDropout(dropout, seed * 1_000_003 + step)),
      );
    }),
    checkpoint,
  });
  return parameters;
}

/** Matrices and tables with AdamW's weight decay, biases and LayerNorm without, as BERT was trained. */
function decayedGroups(parameters: Record<string, tf.Variable>, learningRate: number): VariableGroup[] {
  const [matrices, vectors] = [true, false].map((isMatrix) =>
    Object.values(parameters).filter(({ rank }) => rank > 1 === isMatrix),
  );
  return [
    { variables: matrices, learningRate, optimizer: adam({ weightDecay: 0.01 }) },
    { variables: vectors, learningRate, optimizer: adam() },
  ];
}

/** Texts of a batch when nothing is trained; the shapes are few because texts of like length go together. */
const EVALUATED = 50;

/**
 * The class that `model` gives the highest logit, for every text. Texts go through it in order of their length, so
 * that batches hold little padding.
 */
export function predict({ texts }: EncodedData, model: (input: BertInput) => tf.Tensor2D): Int32Array {
  const counts = tokenCounts(texts);
  const order = [...counts.keys()].sort((a, b) => counts[a] - counts[b] || a - b);
  const predicted = new Int32Array(order.length);
  for (let at = 0; at < order.length; at += EVALUATED) {
    const rows = order.slice(at, at + EVALUATED);
    const classes = tf.tidy(() => tf.argMax(model(inputOf(texts, rows)), 1).dataSync());
    for (const [i, row] of rows.entries()) predicted[row] = classes[i];
  }
  return predicted;
}
