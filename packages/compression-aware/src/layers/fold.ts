/**
 * Batch norm folded into the layer before it: with factor = gamma / sqrt(variance + epsilon),
 *
 *     kernel' = kernel factor,   bias' = (bias - mean) factor + beta
 *
 * The network gives what it gave in evaluation, has no statistics that could become stale, and four floats per channel less to ship.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayerVariable } from "@tensorflow/tfjs-layers";

/** The last matrix of a layer and its bias, as TF.js's layers call them. */
export interface MatrixLayer {
  kernel?: LayerVariable;
  depthwiseKernel?: LayerVariable;
  pointwiseKernel?: LayerVariable;
  bias?: LayerVariable | null;
  getClassName(): string;
}

/** What is read of a BatchNormalization. */
export interface NormLayer {
  gamma?: LayerVariable | null;
  beta?: LayerVariable | null;
  movingMean: LayerVariable;
  movingVariance: LayerVariable;
  epsilon: number;
}

/** Shape in which a factor per output channel meets the kernel of a layer of this class. */
const factorShapes: Record<string, (kernel: number[]) => number[]> = {
  Dense: ([, out]) => [out],
  Conv1D: (kernel) => kernel.slice(-1),
  Conv2D: (kernel) => kernel.slice(-1),
  Conv3D: (kernel) => kernel.slice(-1),
  SeparableConv2D: (kernel) => kernel.slice(-1),
  // [height, width, in, multiplier], and [height, width, out, in]
  DepthwiseConv2D: (kernel) => kernel.slice(-2),
  Conv2DTranspose: ([, , out]) => [out, 1],
};

/** Whether a norm behind a layer of this class can be folded into it. */
export const isFoldable = (className: string): boolean => className in factorShapes;

/** Writes the kernels and the bias of `from`, with the norm behind it folded in, into `to`, which has a bias. */
export function writeFolded(from: MatrixLayer, norm: NormLayer, to: MatrixLayer): void {
  tf.tidy(() => {
    const key = from.pointwiseKernel
      ? "pointwiseKernel"
      : from.depthwiseKernel
        ? "depthwiseKernel"
        : "kernel";
    const kernel = from[key]!.read();
    const deviation = tf.sqrt(tf.add(norm.movingVariance.read(), norm.epsilon));
    const factor = tf.div(norm.gamma?.read() ?? 1, deviation);
    const shape = factorShapes[from.getClassName()](kernel.shape);
    to[key]!.write(tf.mul(kernel, tf.reshape(factor, shape)));
    if (from.pointwiseKernel) to.depthwiseKernel!.write(from.depthwiseKernel!.read());
    const centred = tf.sub(from.bias?.read() ?? 0, norm.movingMean.read());
    to.bias!.write(tf.add(tf.mul(centred, factor), norm.beta?.read() ?? 0));
  });
}
