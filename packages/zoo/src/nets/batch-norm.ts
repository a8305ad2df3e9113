// Batch normalization (Ioffe & Szegedy 2015): y = gamma (x - mean) / sqrt(variance + epsilon) + beta, per channel.
// Inference takes running statistics, training those of the batch; folded parameters need neither. Example, one
// channel with mean 2, variance 4, gamma 3, beta 1: y = 1.5 x - 2, so a filter is scaled by 1.5 and its bias is -2.

import type { Parameters } from "@bitdiet/compression-aware";
import { batchNorm } from "@bitdiet/wasm-training";
import * as tf from "@tensorflow/tfjs-core";
import { parameter } from "./parameters.js";

/** PyTorch's default. */
export const EPSILON = 1e-5;

/** How the output of the convolution called `convolution` ([batch, height, width, channels]) is normalized. */
export type Normalize = (x: tf.Tensor4D, convolution: string) => tf.Tensor4D;

/** Statistics of one batch in one layer: per channel mean and (biased) variance over `count` values. */
export interface BatchStatistics {
  mean: tf.Tensor1D;
  variance: tf.Tensor1D;
  count: number;
}

/** Normalizes with the running statistics; or, where batch norm is folded away, adds the bias. */
export function normalizeByRunningStatistics(parameters: Parameters): Normalize {
  return (x, convolution) => {
    const bias = parameters[`${convolution}.bias`];
    if (bias !== undefined) return tf.add(x, bias);
    return tf.tidy(() => {
      const { gain, offset } = runningAffine(parameters, normOf(convolution));
      return tf.add(tf.mul(x, gain), offset);
    });
  };
}

/**
 * Normalizes with the statistics of the batch, differentiably, and leaves them in `statistics` under the name of
 * the norm; give them to `updateRunningStatistics` after the step. Statistics already there are replaced.
 */
export function normalizeByBatchStatistics(
  parameters: Parameters,
  statistics: Record<string, BatchStatistics>,
): Normalize {
  return (x, convolution) => {
    const norm = normOf(convolution);
    const gamma = parameter<tf.Tensor1D>(parameters, `${norm}.weight`);
    const beta = parameter<tf.Tensor1D>(parameters, `${norm}.bias`);
    const { output, mean, variance } = batchNorm(x, gamma, beta, EPSILON);
    tf.dispose(statistics[norm] ? [statistics[norm].mean, statistics[norm].variance] : []);
    statistics[norm] = { mean: tf.keep(mean), variance: tf.keep(variance), count: x.size / x.shape[3] };
    return output;
  };
}

/**
 * Moves the running statistics towards those of a batch, as PyTorch does: `r += momentum (s - r)`, with the unbiased
 * variance. Disposes of the statistics and empties the record.
 *
 * @param parameters must hold variables named NORM.running_mean and NORM.running_var
 */
export function updateRunningStatistics(
  parameters: Parameters,
  statistics: Record<string, BatchStatistics>,
  momentum = 0.1,
): void {
  for (const [norm, { mean, variance, count }] of Object.entries(statistics)) {
    tf.tidy(() => {
      const unbiased = tf.mul(variance, count / Math.max(1, count - 1));
      move(parameter(parameters, `${norm}.running_mean`), mean, momentum);
      move(parameter(parameters, `${norm}.running_var`), unbiased, momentum);
    });
    tf.dispose([mean, variance]);
    delete statistics[norm];
  }
}

/**
 * The same network without batch norm: each filter is scaled, each convolution gets a bias. The new tensors belong
 * to the caller; the originals stay.
 */
export function foldBatchNorm(parameters: Parameters): Parameters {
  const folded: Parameters = {};
  const norms = Object.keys(parameters).filter((name) => name.endsWith(".running_mean"));
  const normNames = new Set(norms.map((name) => name.replace(/\.running_mean$/, "")));
  for (const [name, tensor] of Object.entries(parameters)) {
    const layer = name.slice(0, name.lastIndexOf("."));
    if (normNames.has(layer)) continue;
    const norm = normOf(layer);
    if (!name.endsWith(".weight") || !normNames.has(norm)) {
      folded[name] = tensor.clone();
      continue;
    }
    const [filter, bias] = tf.tidy(() => {
      const { gain, offset } = runningAffine(parameters, norm);
      return [tf.mul(tensor, gain), offset];
    });
    folded[name] = filter;
    folded[`${layer}.bias`] = bias;
  }
  return folded;
}

// The norm that follows a convolution, in torchvision's naming: conv1 -> bn1; elsewhere the next module of the
// sequence, downsample.0 -> downsample.1.
function normOf(convolution: string): string {
  const renamed = convolution.replace(/(^|\.)conv(\d+)$/, "$1bn$2");
  if (renamed !== convolution) return renamed;
  return convolution.replace(/\d+$/, (index) => String(Number(index) + 1));
}

function runningAffine(parameters: Parameters, norm: string) {
  const deviation = tf.sqrt(tf.add(parameter(parameters, `${norm}.running_var`), EPSILON));
  const gain = tf.div(parameter(parameters, `${norm}.weight`), deviation);
  const mean = parameter(parameters, `${norm}.running_mean`);
  return { gain, offset: tf.sub(parameter(parameters, `${norm}.bias`), tf.mul(mean, gain)) };
}

function move(running: tf.Variable, target: tf.Tensor, momentum: number): void {
  running.assign(tf.add(running, tf.mul(tf.sub(target, running), momentum)));
}
