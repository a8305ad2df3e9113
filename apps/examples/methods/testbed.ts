// The common testbed of all methods: ResNet-20 on CIFAR-10 from one float start, batch norm folded away (so that nothing
// goes stale), the same batches for the same seed, and one test set. Example: 400 steps of 64 are half an epoch.

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import {
  augmentedBatch,
  IMAGE_SIZE,
  type LabeledImages,
  loadCifar10,
  normalizedBatch,
} from "@bitdiet/zoo/data/cifar10";
import { shuffled } from "@bitdiet/zoo/data/random";
import { wholeBatches } from "@bitdiet/zoo/data/whole-batches";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { namedSeed } from "@bitdiet/zoo/nets/named-seed";
import { parametersFromPyTorch } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import type { Share } from "@bitdiet/zoo/training/data-parallel";
import { type TrainOn, trainHere } from "@bitdiet/zoo/training/fine-tune";
import { constant, crossEntropy, distillation } from "@bitdiet/zoo/training/losses";
import * as tf from "@tensorflow/tfjs-core";

export interface Testbed {
  /** Folded: filters, matrices and biases. */
  start: Parameters;
  train: LabeledImages;
  test: LabeledImages;
  /** Test images whose feature maps are written as bytes and read back; all others are known to give the same values. */
  codedImages: number;
  /** Steps of each fine-tuning run, and images of a step. */
  steps: number;
  batch: number;
  seed: number;
  /** Weight of the float network's answers in the loss, 0 .. 1; the labels have the rest. */
  distill: number;
  /** The part of each batch that this thread sees: all of it, but on a worker. */
  share: Share;
  /** Trains on a loss: on this thread, or on workers. */
  trainOn: TrainOn;
}

/** What a testbed is loaded from: plain data. */
export interface TestbedSource extends Pick<Testbed, "steps" | "batch" | "seed" | "distill" | "codedImages"> {
  /** Folder of CIFAR-10 in its official binary layout. */
  data: string;
  /** The float start: safetensors. */
  checkpoint: string;
  /** Only the first so many test images. */
  testImages: number;
}

const CLASSES = 10;

/** Reads checkpoint and data. The caller disposes of `start`. */
export async function loadTestbed({
  data,
  checkpoint,
  testImages,
  ...options
}: TestbedSource): Promise<Testbed> {
  const { train, test } = await loadCifar10(data);
  const { tensors } = await readCheckpoint(checkpoint);
  const parameters = parametersFromPyTorch(tensors);
  const start = foldBatchNorm(parameters);
  tf.dispose(parameters);
  const here = { share: { index: 0, count: 1 }, trainOn: trainHere };
  return { start, train, test: imagesFrom(test, 0, testImages), ...here, ...options };
}

/** The batch of a step: an order an epoch, the last partial batch dropped; crops and flips depend on the step. */
export function batchOf({
  train,
  seed,
  batch: size,
  share,
}: Pick<Testbed, "train" | "seed" | "batch" | "share">): (step: number) => {
  x: tf.Tensor4D;
  labels: tf.Tensor2D;
} {
  const stepsPerEpoch = wholeBatches(train.labels.length, size);
  const all = Array.from(train.labels, (_, index) => index);
  const part = size / share.count;
  const from = share.index * part;
  let order: number[] = [];
  let orderEpoch = -1;
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== orderEpoch) order = shuffled(all, namedSeed("epoch", seed + epoch));
    orderEpoch = epoch;
    const indices = order.slice((step % stepsPerEpoch) * size, ((step % stepsPerEpoch) + 1) * size);
    // The whole batch, so that crops and flips don't depend on the share.
    const pixels = augmentedBatch(train, indices, namedSeed("augment", seed * 1_000_003 + step));
    const own = indices.slice(from, from + part);
    const labels = Uint8Array.from(own, (index) => train.labels[index]);
    return {
      x: tf.tensor4d(pixels.subarray(from * IMAGE_SIZE, (from + part) * IMAGE_SIZE), [part, 32, 32, 3]),
      labels: tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), CLASSES), "float32") as tf.Tensor2D,
    };
  };
}

/**
 * Temperature of distillation. The float network is sure of most of its answers: at temperature 1 they are little more than labels.
 */
const TEMPERATURE = 4;

/** The task's loss of every fine-tuned method: cross entropy, and the distance from the float network's answers. */
export function taskLoss(
  testbed: Testbed,
): (parameters: Parameters, hooks: Hooks, step: number) => tf.Scalar {
  const batch = batchOf(testbed);
  const { start, distill } = testbed;
  return (parameters, hooks, step) => {
    const { x, labels } = batch(step);
    const teacher = distill > 0 ? constant(() => cifarResnet(start, x)) : undefined;
    const logits = cifarResnet(parameters, x, hooks);
    const onLabels = crossEntropy(labels, logits);
    if (!teacher) return onLabels;
    const onAnswers = distillation(teacher, logits, TEMPERATURE);
    return tf.add(tf.mul(onLabels, 1 - distill), tf.mul(onAnswers, distill));
  };
}

/** Training images as they are, [count, 32, 32, 3], for calibration and to learn codes from; not those of a test. */
export function calibrationImages({ train }: Pick<Testbed, "train">, count: number, from = 0): tf.Tensor4D {
  const indices = Array.from({ length: count }, (_, i) => from + i);
  return tf.tensor4d(normalizedBatch(train, indices), [count, 32, 32, 3]);
}

/** Share of right answers, 0 .. 1. */
export function accuracy(images: LabeledImages, model: (x: tf.Tensor4D) => tf.Tensor2D): number {
  let right = 0;
  for (let from = 0; from < images.labels.length; from += TEST_BATCH) {
    const labels = images.labels.subarray(from, from + TEST_BATCH);
    const indices = Array.from(labels, (_, i) => from + i);
    right += tf.tidy(() => {
      const x = tf.tensor4d(normalizedBatch(images, indices), [labels.length, 32, 32, 3]);
      const predicted = tf.argMax(model(x), 1).dataSync();
      return labels.reduce((count, label, i) => count + Number(label === predicted[i]), 0);
    });
  }
  return right / images.labels.length;
}

/** Images `from` (inclusive) to `to` (exclusive), sharing the pixels. */
export function imagesFrom(
  { pixels, labels }: LabeledImages,
  from: number,
  to = labels.length,
): LabeledImages {
  return {
    pixels: pixels.subarray(from * IMAGE_SIZE, to * IMAGE_SIZE),
    labels: labels.subarray(from, to),
  };
}

/** Divides 5,000 and 10,000: the wasm backend wants fixed shapes. */
const TEST_BATCH = 100;
