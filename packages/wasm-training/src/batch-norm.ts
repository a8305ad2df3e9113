/**
 * Batch normalisation with the statistics of the batch (Ioffe & Szegedy, 2015): per channel c over batch, rows and
 * columns, output = γ_c (x − mean_c) / √(variance_c + ε) + β_c. E.g. the channel (1, 3) with γ = 1, β = 0, ε = 0 has
 * mean 2 and variance 1, and becomes (−1, 1).
 */
import type { Tensor1D, Tensor4D } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";

/**
 * Normalises each channel of a batch, differentiable in x, gamma and beta on every backend.
 *
 * @param x [batch, height, width, channels], float32
 * @param gamma [channels], the scale
 * @param beta [channels], the shift
 * @param epsilon added to the variance, e.g. 1e-5
 * @returns output of x's shape; mean and (biased) variance [channels] of this batch, for running averages
 * @throws RangeError if the shapes do not fit or epsilon is negative
 */
export function batchNorm(
  x: Tensor4D,
  gamma: Tensor1D,
  beta: Tensor1D,
  epsilon: number,
): { output: Tensor4D; mean: Tensor1D; variance: Tensor1D } {
  if (x.rank !== 4) throw new RangeError(`x: expected [batch, height, width, channels], got shape [${x.shape}]`);
  for (const [name, tensor] of Object.entries({ gamma, beta })) {
    if (tensor.rank !== 1 || tensor.size !== x.shape[3]) {
      throw new RangeError(`${name}: expected shape [${x.shape[3]}] as x has channels, got [${tensor.shape}]`);
    }
  }
  if (!(epsilon >= 0)) throw new RangeError(`epsilon: expected a number >= 0, got ${epsilon}`);
  return composed(x, gamma, beta, epsilon);
}

function composed(x: Tensor4D, gamma: Tensor1D, beta: Tensor1D, epsilon: number) {
  return tf.tidy(() => {
    const { mean, variance } = tf.moments(x, [0, 1, 2]) as { mean: Tensor1D; variance: Tensor1D };
    const scale = tf.mul(gamma, tf.rsqrt(tf.add(variance, epsilon)));
    const output: Tensor4D = tf.add(tf.mul(tf.sub(x, mean), scale), beta);
    return { output, mean, variance };
  });
}
