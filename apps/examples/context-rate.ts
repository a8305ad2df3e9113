// Entropy of a feature map's values given their neighbours: what a coder with contexts spends, as a differentiable rate.
// The published term prices the histogram of a whole map; but where the neighbours are zero, a zero is nearly free, and
// anything else is dear. Contexts are hard and get no gradient; within each, the histogram is soft as in CAT:
//
//     H = sum_c (n_c / N) H_c,   p_cj = mean of q_ij over the values i in context c,   q_ij = softmax_j(-T (y_i - j)^2)
//     dH / dy_i = -(2 T / N) sum_j q_ij (j - mean of j under q_i) log2 p_cj
//
// Example, T large: values 0 0 1 1 with contexts 0 0 1 1 cost 0 bits, though their histogram alone costs 1 bit a value.
import { sampleElements, withSample } from "@bitdiet/entropy-loss";
import * as tf from "@tensorflow/tfjs-core";
import type { Rate } from "./rates.js";

/** Classes of a neighbour's level: 0, 1, 2 and more. */
const CLASSES = 3;
/** Left, above and (only zero or not) the channel before. */
export const CONTEXTS = CLASSES * CLASSES * 2;

/** The rate for maps [batch, height, width, channels] after a ReLU, whose levels are 0, 1, 2, … */
export function contextRate(sampleSize = 2048): Rate {
  return (x, { scale, levels }, { sharpness, seed }) => {
    const [same, sample] = withSample(x, sampleSize, seed);
    const contexts = tf.tidy(() => {
      const positions = sampleElements(tf.range(0, x.size, 1, "float32"), sampleSize, seed).dataSync();
      return neighbourContexts(x, positions, scale.dataSync()[0]);
    });
    return { x: same, bits: contextEntropy(sample, scale, contexts, levels.size, sharpness) };
  };
}

/** Contexts of the elements at these positions (in memory order); outside a map everything is zero. */
export function neighbourContexts(x: tf.Tensor, positions: ArrayLike<number>, step: number): Uint8Array {
  const [, height, width, channels] = x.shape;
  const offsets: { distance: number; isInside: (position: number) => boolean }[] = [
    { distance: channels, isInside: (at) => Math.floor(at / channels) % width > 0 },
    { distance: width * channels, isInside: (at) => Math.floor(at / (channels * width)) % height > 0 },
    { distance: 1, isInside: (at) => at % channels > 0 },
  ];
  const flat = tf.reshape(x, [-1]);
  const [left, above, before] = offsets.map(({ distance, isInside }) => {
    const from = Int32Array.from(positions, (at) => (isInside(at) ? at - distance : at));
    const values = tf.gatherND(flat, tf.tensor2d(from, [from.length, 1], "int32")).dataSync();
    return values.map((value, i) => (isInside(positions[i]) ? Math.max(0, Math.round(value / step)) : 0));
  });
  return Uint8Array.from(
    positions,
    (_, i) =>
      Math.min(left[i], CLASSES - 1) +
      CLASSES * (Math.min(above[i], CLASSES - 1) + CLASSES * Math.min(before[i], 1)),
  );
}

/**
 * Soft entropy given contexts, bits per element. Differentiable in x and in `scale`, the step of levels 0 .. levels - 1.
 *
 * @param x [elements], @param contexts one a value, below `CONTEXTS`
 */
export function contextEntropy(
  x: tf.Tensor1D,
  scale: tf.Tensor,
  contexts: Uint8Array,
  levels: number,
  sharpness: number,
): tf.Scalar {
  return tf.customGrad<tf.Scalar>(() => {
    const step = scale.dataSync()[0];
    const y = Float64Array.from(x.dataSync(), (value) =>
      Math.min(Math.max(value / step, -FAR), levels - 1 + FAR),
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
      const factor = (dy.dataSync()[0] * 2 * sharpness) / (y.length * step);
      const byX = new Float32Array(y.length);
      let byScale = 0;
      for (let i = 0; i < y.length; i++) {
        byX[i] = factor * covariance(assigned, i * levels, bits, contexts[i] * levels, levels);
        byScale -= byX[i] * y[i];
      }
      return [tf.tensor1d(byX), tf.scalar(byScale)];
    };
    return { value: tf.scalar(entropy), gradFunc };
  })(x, scale);
}

/** So far beyond the outermost level a value belongs to it alone. */
const FAR = 1e3;
/** In place of the probability of a level that next to nothing reaches, in a context that may be empty. */
const TINY = 2 ** -126;

/** q: [values, levels]. */
function softAssignments(y: Float64Array, levels: number, sharpness: number): Float64Array {
  const q = new Float64Array(y.length * levels);
  for (let i = 0; i < y.length; i++) {
    const nearest = Math.min(Math.max(Math.round(y[i]), 0), levels - 1);
    const least = (y[i] - nearest) ** 2;
    let total = 0;
    for (let j = 0; j < levels; j++) {
      total += q[i * levels + j] = Math.exp(sharpness * (least - (y[i] - j) ** 2));
    }
    for (let j = 0; j < levels; j++) q[i * levels + j] /= total;
  }
  return q;
}

/** Of the level and its bits, under one value's assignment. */
function covariance(q: Float64Array, from: number, bits: Float64Array, at: number, levels: number): number {
  let [meanLevel, meanBits, meanBoth] = [0, 0, 0];
  for (let j = 0; j < levels; j++) {
    meanLevel += q[from + j] * j;
    meanBits += q[from + j] * bits[at + j];
    meanBoth += q[from + j] * j * bits[at + j];
  }
  return meanBoth - meanLevel * meanBits;
}
