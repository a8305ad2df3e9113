/**
 * Folding into a convolution what follows it, so that it costs nothing: batch normalisation, and a transform over the output
 * channels (Chmiel et al., arXiv 1905.10830). Only the inverse transform is then left to compute.
 *
 * 1 × 1 kernel [[1, 2], [−1, .5]] (in × out), gamma (2, 1), beta (.5, −1), mean (1, 2), variance (4, 1), epsilon 0: kernel
 * unchanged, bias (−.5, −3). The basis [[.8, .6], [−.6, .8]] with mean (.1, .2) makes it [[2, 1], [−.5, 1]], bias (−2.4, −2.2).
 */
import { checkFloat32, checkRows } from "./check.js";
import { forward, type Transform } from "./transform.js";

export interface Convolution {
  /** Any shape whose last axis is the output channels, as tfjs stores kernels: [height, width, in, out], or [in, out] when dense. */
  kernel: Float32Array;
  /** One value an output channel. */
  bias: Float32Array;
}

export interface BatchNorm {
  /** Scale and shift, one value an output channel. */
  gamma: Float32Array;
  beta: Float32Array;
  /** Moving statistics, one value an output channel. */
  mean: Float32Array;
  variance: Float32Array;
  /** Added to the variance; tf.layers' default is 0.001, PyTorch's 0.00001. */
  epsilon: number;
}

/**
 * One convolution that computes `batchNorm(convolution(x))` with the moving statistics.
 *
 * @throws {TypeError} where an array is no Float32Array, RangeError where the lengths do not fit or variance + epsilon is not positive
 */
export function foldBatchNorm(convolution: Convolution, batchNorm: BatchNorm): Convolution {
  const { gamma, beta, mean, variance, epsilon } = batchNorm;
  checkFloat32("convolution.bias", convolution.bias);
  const channels = convolution.bias.length;
  checkRows("convolution.kernel", convolution.kernel, channels);
  for (const [name, values] of Object.entries({ gamma, beta, mean, variance })) {
    checkFloat32(`batchNorm.${name}`, values, channels);
  }
  const gain = Float64Array.from(gamma, (scale, o) => {
    if (!(variance[o] + epsilon > 0)) {
      throw new RangeError(
        `batchNorm.variance: expected variance + epsilon > 0, got ${variance[o]} + ${epsilon} at ${o}`,
      );
    }
    return scale / Math.sqrt(variance[o] + epsilon);
  });
  return {
    kernel: convolution.kernel.map((weight, i) => weight * gain[i % channels]),
    bias: convolution.bias.map((bias, o) => gain[o] * (bias - mean[o]) + beta[o]),
  };
}

/**
 * One convolution that computes the coefficients `forward(transform, convolution(x))`, channel by channel position. It has
 * `transform.rows` output channels, fewer where the transform is truncated.
 *
 * @param transform of as many values as the convolution has output channels
 * @throws {TypeError} where an array is no Float32Array, RangeError where the lengths do not fit
 */
export function foldIntoConvolution(transform: Transform, { kernel, bias }: Convolution): Convolution {
  checkFloat32("convolution.bias", bias, transform.size);
  checkRows("convolution.kernel", kernel, transform.size);
  // Linear in the kernel, affine in the bias: the mean is taken off once.
  return { kernel: forward({ ...transform, mean: undefined }, kernel), bias: forward(transform, bias) };
}
