/**
 * Batch normalisation with the statistics of the batch (Ioffe & Szegedy, 2015): per channel c over batch, rows and
 * columns, output = γ_c (x − mean_c) / √(variance_c + ε) + β_c. E.g. the channel (1, 3) with γ = 1, β = 0, ε = 0 has
 * mean 2 and variance 1, and becomes (−1, 1).
 */
import type { GradConfig, Tensor, Tensor1D, Tensor4D, TensorInfo } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { asTensor, type TrainingKernel } from "./kernel.js";

/** Kernels of our own, known to the wasm backend once they are registered. */
const FORWARD = "BatchNormTraining";
const GRADIENT = "BatchNormTrainingGrad";

/**
 * Normalises each channel of a batch, differentiable in x, gamma and beta on every backend.
 *
 * @param x [batch, height, width, channels], float32
 * @param gamma [channels], the scale
 * @param beta [channels], the shift
 * @param epsilon added to the variance, e.g. 1e-5
 * @returns output of x's shape; mean and (biased) variance [channels] of this batch, for running averages: they are
 *   plain results that pass no gradient on
 * @throws {RangeError} if the shapes do not fit or epsilon is negative
 */
export function batchNorm(
  x: Tensor4D,
  gamma: Tensor1D,
  beta: Tensor1D,
  epsilon: number,
): { output: Tensor4D; mean: Tensor1D; variance: Tensor1D } {
  if (x.rank !== 4)
    throw new RangeError(`x: expected [batch, height, width, channels], got shape [${x.shape}]`);
  for (const [name, tensor] of Object.entries({ gamma, beta })) {
    if (tensor.rank !== 1 || tensor.size !== x.shape[3]) {
      throw new RangeError(
        `${name}: expected shape [${x.shape[3]}] as x has channels, got [${tensor.shape}]`,
      );
    }
  }
  if (!(epsilon >= 0)) throw new RangeError(`epsilon: expected a number >= 0, got ${epsilon}`);
  if (!tf.getKernel(FORWARD, tf.getBackend())) return composed(x, gamma, beta, epsilon);
  const outputs = tf.engine().runKernel(FORWARD, { x, gamma, beta }, { epsilon }) as unknown as Tensor[];
  const [output, mean, variance] = outputs as [Tensor4D, Tensor1D, Tensor1D];
  return { output, mean, variance };
}

function composed(x: Tensor4D, gamma: Tensor1D, beta: Tensor1D, epsilon: number) {
  return tf.tidy(() => {
    const { mean, variance } = tf.moments(x, [0, 1, 2]) as { mean: Tensor1D; variance: Tensor1D };
    const scale = tf.mul(gamma, tf.rsqrt(tf.add(variance, epsilon)));
    const output: Tensor4D = tf.add(tf.mul(tf.sub(x, mean), scale), beta);
    return { output, mean, variance };
  });
}

function matrixOf(x: TensorInfo): { rows: number; columns: number } {
  const columns = x.shape[3];
  return { rows: tf.util.sizeFromShape(x.shape) / columns, columns };
}

export const batchNormForward: TrainingKernel = {
  name: FORWARD,
  onHeap(heap, call) {
    const { x, gamma, beta } = call.inputs;
    const { rows, columns } = matrixOf(x);
    const output = heap.allocate(x.shape);
    const mean = heap.allocate([columns]);
    const variance = heap.allocate([columns]);
    const { kernels, address } = heap;
    heap.scratch(kernels.batchNormScratch(columns), (scratch) => {
      kernels.columnMoments(address(x), rows, columns, address(mean), address(variance), scratch);
      kernels.batchNormApply(
        address(x),
        rows,
        columns,
        address(mean),
        address(variance),
        address(gamma),
        address(beta),
        call.attrs.epsilon as number,
        address(output),
        scratch,
      );
    });
    return [output, mean, variance];
  },
  composed({ inputs: { x, gamma, beta }, attrs }) {
    const result = composed(asTensor(x), asTensor(gamma), asTensor(beta), attrs.epsilon as number);
    return [result.output, result.mean, result.variance];
  },
};

export const batchNormBackward: TrainingKernel = {
  name: GRADIENT,
  onHeap(heap, call) {
    const { dy, x, gamma, mean, variance } = call.inputs;
    const { rows, columns } = matrixOf(x);
    const dx = heap.allocate(x.shape);
    const dGamma = heap.allocate([columns]);
    const dBeta = heap.allocate([columns]);
    const { kernels, address } = heap;
    heap.scratch(kernels.batchNormScratch(columns), (scratch) =>
      kernels.batchNormGradient(
        address(dy),
        address(x),
        rows,
        columns,
        address(mean),
        address(variance),
        address(gamma),
        call.attrs.epsilon as number,
        address(dx),
        address(dGamma),
        address(dBeta),
        scratch,
      ),
    );
    return [dx, dGamma, dBeta];
  },
  composed({ inputs, attrs }) {
    return tf.tidy(() => {
      const [dy, x, gamma, mean, variance] = [
        inputs.dy,
        inputs.x,
        inputs.gamma,
        inputs.mean,
        inputs.variance,
      ].map((input) => asTensor(input));
      const inverse = tf.rsqrt(tf.add(variance, attrs.epsilon as number));
      const normal = tf.mul(tf.sub(x, mean), inverse);
      const dBeta = tf.sum(dy, [0, 1, 2]);
      const dGamma = tf.sum(tf.mul(dy, normal), [0, 1, 2]);
      const { rows } = matrixOf(x);
      const rest = tf.sub(tf.sub(dy, tf.div(dBeta, rows)), tf.mul(normal, tf.div(dGamma, rows)));
      return [tf.mul(rest, tf.mul(gamma, inverse)), dGamma, dBeta];
    });
  },
};

export const batchNormGradient: GradConfig = {
  kernelName: FORWARD,
  inputsToSave: ["x", "gamma"],
  outputsToSave: [false, true, true],
  gradFunc: (dys, [x, gamma, mean, variance], attrs) => {
    const [dy] = dys as Tensor[];
    const inputs = { dy, x, gamma, mean, variance };
    const [dx, dGamma, dBeta] = tf.engine().runKernel(GRADIENT, inputs, attrs) as unknown as Tensor[];
    return { x: () => dx, gamma: () => dGamma, beta: () => dBeta };
  },
};
