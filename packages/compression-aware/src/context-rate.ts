/**
 * Entropy of a feature map's values given their neighbours: what a coder with contexts spends, as a differentiable rate.
 * The published term prices the histogram of a whole map; but where the neighbours are zero, a zero is nearly free, and
 * anything else is dear. Contexts are hard and get no gradient; within each, the histogram is soft as in CAT:
 *
 *     H = sum_c (n_c / N) H_c,   p_cj = mean of q_ij over the values i in context c,   q_ij = softmax_j(-T (y_i - j)^2)
 *     dH / dy_i = -(2 T / N) sum_j q_ij (j - mean of j under q_i) log2 p_cj
 *
 * Example, T large: values 0 0 1 1 with contexts 0 0 1 1 cost 0 bits, though their histogram alone costs 1 bit a value.
 */
import { sampleIndices, withSample } from "@bitdiet/entropy-loss";
import * as tf from "@tensorflow/tfjs-core";
import type { Rate } from "./rate.js";

/** Classes of a neighbour's level: 0, 1, 2 and more. */
const CLASSES = 3;
/** Left, above and (only zero or not) the channel before. */
export const CONTEXTS = CLASSES * CLASSES * 2;

/** The rate for maps [batch, height, width, channels] after a ReLU, whose levels are 0, 1, 2, …, with one step or one a channel. */
export function contextRate(sampleSize = 2048): Rate {
  return (x, { scale, levels }, { sharpness, seed }) => {
    const [same, sample] = withSample(x, sampleSize, seed);
    const positions = sampleIndices(x.size, Math.min(sampleSize, x.size), seed);
    const contexts = neighbourContexts(x, positions, scale.dataSync());
    const channels = positions.map((at) => at % scale.size);
    return { x: same, bits: contextEntropy(sample, scale, { contexts, channels }, levels.size, sharpness) };
  };
}

/**
 * Contexts of the elements at these positions (in memory order); outside a map everything is zero.
 *
 * @param steps one, or one a channel
 */
export function neighbourContexts(
  x: tf.Tensor,
  positions: ArrayLike<number>,
  steps: ArrayLike<number>,
): Uint8Array {
  const [, height, width, channels] = x.shape;
  const neighbours: { distance: number; isInside: (position: number) => boolean }[] = [
    { distance: channels, isInside: (at) => Math.floor(at / channels) % width > 0 },
    { distance: width * channels, isInside: (at) => Math.floor(at / (channels * width)) % height > 0 },
    { distance: 1, isInside: (at) => at % channels > 0 },
  ];
  const [left, above, before] = neighbours.map(({ distance, isInside }) => {
    const from = Int32Array.from(positions, (at) => (isInside(at) ? at - distance : at));
    const values = tf.tidy(() =>
      tf.gatherND(tf.reshape(x, [-1]), tf.tensor2d(from, [from.length, 1], "int32")),
    );
    const levels = values
      .dataSync()
      .map((value, i) => (isInside(positions[i]) ? Math.round(value / steps[from[i] % steps.length]) : 0));
    values.dispose();
    return levels;
  });
  return Uint8Array.from(
    left,
    (_, i) =>
      Math.min(left[i], CLASSES - 1) +
      CLASSES * (Math.min(above[i], CLASSES - 1) + CLASSES * Math.min(before[i], 1)),
  );
}

/** What is known of each element: its context, below `CONTEXTS`, and which of the steps is its own. */
export interface Places {
  contexts: ArrayLike<number>;
  channels: ArrayLike<number>;
}

/**
 * Soft entropy given contexts, bits per element. Differentiable in x and in `scale`.
 *
 * @param x [elements]
 * @param scale the step of levels 0 .. levels - 1: [] or [channels]
 */
export function contextEntropy(
  x: tf.Tensor1D,
  scale: tf.Tensor,
  { contexts, channels }: Places,
  levels: number,
  sharpness: number,
): tf.Scalar {
  return tf.customGrad<tf.Scalar>(() => {
    const steps = scale.dataSync();
    const y = Float64Array.from(x.dataSync(), (value, i) =>
      Math.min(Math.max(value / steps[channels[i]], -FAR), levels - 1 + FAR),
    );
    const assigned = softAssignments(y, levels, sharpness);
    const counts = new Float64Array(CONTEXTS);
    const sums = new Float64Array(CONTEXTS * levels);
    for (let i = 0; i < y.length; i++) {
      counts[contexts[i]]++;
      for (let j = 0; j < levels; j++) sums[contexts[i] * levels + j] += assigned[i * levels + j];
    }
    // Bits of each level in each context, and their mean over all values.
    const bits = sums.map(
      (sum, at) => -Math.log2(Math.max(sum / counts[Math.floor(at / levels)], TINY) || TINY),
    );
    const entropy = sums.reduce((total, sum, at) => total + sum * bits[at], 0) / y.length;

    const gradFunc = (dy: tf.Scalar) => {
      const factor = (dy.dataSync()[0] * 2 * sharpness) / y.length;
      const byX = new Float32Array(y.length);
      const byStep = new Float32Array(steps.length);
      for (let i = 0; i < y.length; i++) {
        const step = steps[channels[i]];
        byX[i] = (factor / step) * covariance(assigned, i * levels, bits, contexts[i] * levels, levels);
        byStep[channels[i]] -= byX[i] * y[i];
      }
      return [tf.tensor1d(byX), tf.tensor(byStep, scale.shape)];
    };
    return { value: tf.scalar(entropy), gradFunc };
  })(x, scale);
}

/** So far beyond the outermost level a value belongs to it alone. */
const FAR = 1e3;
/** In place of the probability of a level that next to nothing reaches, in a context that may be empty. */
const TINY = 2 ** -126;

/** q: [values, levels]; what is too far from a value to matter is left out. */
function softAssignments(y: Float64Array, levels: number, sharpness: number): Float64Array {
  const radius = Math.ceil(Math.sqrt(NEGLIGIBLE / sharpness) + 0.5);
  const q = new Float64Array(y.length * levels);
  for (let i = 0; i < y.length; i++) {
    const nearest = Math.min(Math.max(Math.round(y[i]), 0), levels - 1);
    const [first, last] = [Math.max(0, nearest - radius), Math.min(levels - 1, nearest + radius)];
    const least = (y[i] - nearest) ** 2;
    let total = 0;
    for (let j = first; j <= last; j++) {
      total += q[i * levels + j] = Math.exp(sharpness * (least - (y[i] - j) ** 2));
    }
    for (let j = first; j <= last; j++) q[i * levels + j] /= total;
  }
  return q;
}

/** Weights below exp(-25) of the largest. */
const NEGLIGIBLE = 25;

/** Covariance of the level and its bits, under one value's assignment. */
function covariance(q: Float64Array, from: number, bits: Float64Array, at: number, levels: number): number {
  let [meanLevel, meanBits, meanBoth] = [0, 0, 0];
  for (let j = 0; j < levels; j++) {
    meanLevel += q[from + j] * j;
    meanBits += q[from + j] * bits[at + j];
    meanBoth += q[from + j] * j * bits[at + j];
  }
  return meanBoth - meanLevel * meanBits;
}
