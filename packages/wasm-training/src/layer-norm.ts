/**
 * Layer normalisation (Ba, Kiros & Hinton, 2016) over the last axis: γ (x − mean) / √(variance + ε) + β with the mean
 * and the variance of each row. E.g. the row (1, 3) with γ = 1, β = 0, ε = 0 becomes (−1, 1).
 */
import type { GradConfig, Tensor, Tensor1D } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { asTensor, type TrainingKernel } from "./kernel.js";

/** Kernels of our own, known to the wasm backend once they are registered. */
const FORWARD = "LayerNormTraining";
const GRADIENT = "LayerNormTrainingGrad";

/**
 * Normalises each row, differentiable in x, gamma and beta on every backend.
 *
 * @param x [..., size], float32
 * @param gamma [size], the scale
 * @param beta [size], the shift
 * @param epsilon added to the variance; BERT's is 1e-12
 * @throws {RangeError} if the shapes do not fit or epsilon is negative
 */
export function layerNorm<T extends Tensor>(x: T, gamma: Tensor1D, beta: Tensor1D, epsilon: number): T {
  const size = x.shape[x.rank - 1];
  if (x.rank === 0) throw new RangeError("x: expected at least one axis, got a scalar");
  for (const [name, tensor] of Object.entries({ gamma, beta })) {
    if (tensor.rank !== 1 || tensor.size !== size) {
      throw new RangeError(`${name}: expected shape [${size}] as x's last axis, got [${tensor.shape}]`);
    }
  }
  if (!(epsilon >= 0)) throw new RangeError(`epsilon: expected a number >= 0, got ${epsilon}`);
  if (!tf.getKernel(FORWARD, tf.getBackend())) return tf.tidy(() => composed(x, gamma, beta, epsilon).y) as T;
  const outputs = tf.engine().runKernel(FORWARD, { x, gamma, beta }, { epsilon }) as unknown as Tensor[];
  // Mean and inverse deviation are the gradient's; it saves clones.
  tf.dispose(outputs.slice(1));
  return outputs[0] as T;
}

function composed(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number) {
  const mean = tf.mean(x, -1, true);
  const centred = tf.sub(x, mean);
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
  return { y: tf.add(tf.mul(tf.mul(centred, inverse), gamma), beta), mean, inverse };
}

function rowsOf(shape: number[]): { rows: number; columns: number; statistics: number[] } {
  const columns = shape[shape.length - 1];
  const leading = shape.slice(0, -1);
  return { rows: tf.util.sizeFromShape(leading), columns, statistics: [...leading, 1] };
}

export const layerNormForward: TrainingKernel = {
  name: FORWARD,
  onHeap({ kernels, address, allocate }, call) {
    const { x, gamma, beta } = call.inputs;
    const { rows, columns, statistics } = rowsOf(x.shape);
    const y = allocate(x.shape);
    const mean = allocate(statistics);
    const inverse = allocate(statistics);
    kernels.layerNorm(
      address(x),
      rows,
      columns,
      address(gamma),
      address(beta),
      call.attrs.epsilon as number,
      address(y),
      address(mean),
      address(inverse),
    );
    return [y, mean, inverse];
  },
  composed: ({ inputs: { x, gamma, beta }, attrs }) =>
    tf.tidy(() => {
      const result = composed(asTensor(x), asTensor(gamma), asTensor(beta), attrs.epsilon as number);
      return [result.y, result.mean, result.inverse];
    }),
};

export const layerNormBackward: TrainingKernel = {
  name: GRADIENT,
  onHeap({ kernels, address, allocate, scratch }, call) {
    const { dy, x, gamma, mean, inverse } = call.inputs;
    const { rows, columns } = rowsOf(x.shape);
    const dx = allocate(x.shape);
    const dGamma = allocate([columns]);
    const dBeta = allocate([columns]);
    scratch(8 * columns, (partial) =>
      kernels.layerNormGradient(
        address(dy),
        address(x),
        rows,
        columns,
        address(gamma),
        address(mean),
        address(inverse),
        address(dx),
        address(dGamma),
        address(dBeta),
        partial,
      ),
    );
    return [dx, dGamma, dBeta];
  },
  composed: ({ inputs }) =>
    tf.tidy(() => {
      const [dy, x, gamma, mean, inverse] = [
        inputs.dy,
        inputs.x,
        inputs.gamma,
        inputs.mean,
        inputs.inverse,
      ].map((input) => asTensor(input));
      const normal = tf.mul(tf.sub(x, mean), inverse);
      const g = tf.mul(dy, gamma);
      const along = tf.mul(normal, tf.mean(tf.mul(g, normal), -1, true));
      const leading = x.shape.slice(0, -1).map((_, axis) => axis);
      const overRows = (values: Tensor) =>
        leading.length === 0 ? tf.clone(values) : tf.sum(values, leading);
      return [
        tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), inverse),
        overRows(tf.mul(dy, normal)),
        overRows(dy),
      ];
    }),
};

export const layerNormGradConfig: GradConfig = {
  kernelName: FORWARD,
  inputsToSave: ["x", "gamma"],
  outputsToSave: [false, true, true],
  gradFunc: (dys, [x, gamma, mean, inverse]) => {
    const [dy] = dys as Tensor[];
    const inputs = { dy, x, gamma, mean, inverse };
    const [dx, dGamma, dBeta] = tf.engine().runKernel(GRADIENT, inputs) as unknown as Tensor[];
    return { x: () => dx, gamma: () => dGamma, beta: () => dBeta };
  },
};
