// Layer normalization (Ba, Kiros & Hinton 2016) over the last axis: y = gamma (x - mean) / sqrt(variance + epsilon) +
// beta, mean and variance of each row. Example: the row (1, 3) with gamma 1, beta 0, epsilon 0 becomes (-1, 1).
import * as tf from "@tensorflow/tfjs-core";

/**
 * Layer normalization with its own gradient: with n = (x - mean) / deviation and g = dy gamma,
 * dx = (g - mean(g) - n mean(g n)) / deviation.
 *
 * @param x [rows, size], float32
 * @param gamma @param beta [size]
 * @param epsilon added to the variance; BERT's is 1e-12
 */
export function layerNorm(
  x: tf.Tensor2D,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  epsilon: number,
): tf.Tensor2D {
  const differentiable = tf.customGrad((...inputs) => {
    const [x, gamma, beta, save] = inputs as unknown as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const [normalized, inverseDeviation] = tf.tidy(() => {
      const centered = tf.sub(x, tf.mean(x, -1, true));
      const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), epsilon));
      return [tf.mul(centered, inverse), inverse];
    });
    save([normalized, inverseDeviation, gamma]);
    return {
      value: tf.add(tf.mul(normalized, gamma), beta),
      gradFunc: (dy, saved) => {
        const [normalized, inverseDeviation, gamma] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const dyNormalized = tf.mul(dy, normalized);
        const g = tf.mul(dy, gamma);
        const along = tf.mul(normalized, tf.mean(tf.mul(dyNormalized, gamma), -1, true));
        const dx = tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), inverseDeviation);
        return [dx, tf.sum(dyNormalized, 0), tf.sum(dy, 0)];
      },
    };
  });
  return differentiable(x, gamma, beta) as tf.Tensor2D;
}
