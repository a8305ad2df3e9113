// The float start of everything: the digit CNN trained with batch norm, which is then folded away.

import type { Parameters } from "@bitdiet/compression-aware";
import { batchNorm } from "@bitdiet/wasm-training";
import { augmentedBatch, CLASSES, type Digits, SIDE } from "@bitdiet/zoo/data/mnist";
import { shuffled, uniform } from "@bitdiet/zoo/data/random";
import { wholeBatches } from "@bitdiet/zoo/data/whole-batches";
import {
  CONVOLUTIONS,
  digitCnn,
  foldBatchNorm,
  initialParameters,
  type Statistics,
} from "@bitdiet/zoo/nets/digit-cnn";
import { gradientsOf, train } from "@bitdiet/zoo/training/loop";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import * as tf from "@tensorflow/tfjs-core";

/** Small, so that an epoch has many steps; fixed, since the wasm backend wants fixed shapes. */
export const BATCH = 64;
const EPSILON = 1e-5;

/**
 * An endless stream of augmented batches: every epoch in a new order, the last partial batch dropped. Step n of one
 * seed is the same batch in every run, so runs are compared on the same data.
 */
export function batches(
  digits: Digits,
  seed: number,
): (step: number) => { x: tf.Tensor4D; labels: tf.Tensor2D } {
  const stepsPerEpoch = wholeBatches(digits.count, BATCH);
  const indices = Array.from({ length: digits.count }, (_, index) => index);
  let order: number[] = [];
  let orderEpoch = -1;
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== orderEpoch) {
      order = shuffled(indices, seed * 1000 + epoch);
      orderEpoch = epoch;
    }
    const at = (step % stepsPerEpoch) * BATCH;
    const batch = augmentedBatch(digits, order.slice(at, at + BATCH), uniform(seed * 1_000_003 + step));
    return {
      x: tf.tensor4d(batch.images, [BATCH, SIDE, SIDE, 1]),
      labels: tf.cast(tf.oneHot(tf.tensor1d(batch.labels, "int32"), CLASSES), "float32") as tf.Tensor2D,
    };
  };
}

/** Trains from scratch and folds batch norm; the returned parameters are kernels and biases. */
export async function trainFloat(
  training: Digits,
  { epochs, seed }: { epochs: number; seed: number },
): Promise<Parameters> {
  const parameters = initialParameters(seed);
  const batch = batches(training, seed);
  const normalize = (y: tf.Tensor4D, layer: string) =>
    batchNorm(
      y,
      parameters[`${layer}.gamma`] as tf.Tensor1D,
      parameters[`${layer}.beta`] as tf.Tensor1D,
      EPSILON,
    );
  await train({
    task: "float",
    steps: epochs * wholeBatches(training.count, BATCH),
    groups: [{ variables: Object.values(parameters), learningRate: 4e-3 }],
    gradients: gradientsOf((step) => {
      const { x, labels } = batch(step);
      return crossEntropy(
        labels,
        digitCnn(parameters, x, {}, (y, layer) => normalize(y, layer).output),
      );
    }),
  });

  // Exact statistics of the final network, over training data: mean and variance of the layers' batch means and
  // variances, layer by layer with the batch's own normalization, as training saw it.
  const sums = Object.fromEntries(
    CONVOLUTIONS.map(({ name }) => [name, [] as { mean: tf.Tensor; variance: tf.Tensor }[]]),
  );
  for (let step = 0; step < 32; step++) {
    tf.tidy(() => {
      const { x } = batch(step);
      digitCnn(parameters, x, {}, (y, layer) => {
        const { output, mean, variance } = normalize(y, layer);
        sums[layer].push({ mean: tf.keep(mean), variance: tf.keep(variance) });
        return output;
      });
    });
  }
  const statistics: Statistics = Object.fromEntries(
    Object.entries(sums).map(([layer, all]) => [
      layer,
      tf.tidy(() => {
        const mean = tf.mean(tf.stack(all.map((one) => one.mean)), 0);
        const second = tf.mean(tf.stack(all.map((one) => tf.add(one.variance, tf.square(one.mean)))), 0);
        return { mean, variance: tf.sub(second, tf.square(mean)) };
      }),
    ]),
  );
  const folded = foldBatchNorm(parameters, statistics, EPSILON);
  tf.dispose([parameters, statistics, sums]);
  return folded;
}

/** Share of right answers over `digits`, 0 .. 1, with a model given as a function of images. */
export function accuracy(digits: Digits, model: (x: tf.Tensor4D) => tf.Tensor2D, batchSize = 250): number {
  let right = 0;
  for (let at = 0; at < digits.count; at += batchSize) {
    right += tf.tidy(() => {
      const labels = digits.labels.subarray(at, at + batchSize);
      const predicted = tf.argMax(model(imagesOf(digits, at, at + batchSize)), 1).dataSync();
      return labels.reduce((count, label, i) => count + Number(label === predicted[i]), 0);
    });
  }
  return right / digits.count;
}

/** Pictures `from` (inclusive) to `to` (exclusive, cut at the end) as a tensor. */
export function imagesOf({ images, count }: Digits, from: number, to: number): tf.Tensor4D {
  const end = Math.min(to, count);
  return tf.tensor4d(images.subarray(from * SIDE * SIDE, end * SIDE * SIDE), [end - from, SIDE, SIDE, 1]);
}
