/**
 * GELU, the exact one by erf (Hendrycks & Gimpel, 2016): x Φ(x), Φ the standard normal distribution function. Its
 * derivative is Φ(x) + x φ(x). E.g. gelu(1) = 0.841345.
 */
import type { GradConfig, Tensor } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { asTensor, type TrainingKernel } from "./kernel.js";

/** Kernels of our own, known to the wasm backend once they are registered. */
const FORWARD = "GeluTraining";
const GRADIENT = "GeluTrainingGrad";

/**
 * GELU of every element, float32, differentiable once on every backend.
 *
 * @returns x · Φ(x), absolute error below 1e-6 |x|, as erf is approximated
 */
export function gelu<T extends Tensor>(x: T): T {
  if (tf.getKernel(FORWARD, tf.getBackend())) return tf.engine().runKernel(FORWARD, { x }) as T;
  return composed(x) as T;
}

function cumulative(x: Tensor): Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
}

function gradient(dy: Tensor, x: Tensor): Tensor {
  return tf.tidy(() => {
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return tf.mul(dy, tf.add(cumulative(x), tf.mul(x, density)));
  });
}

const composed = tf.customGrad((x, save) => {
  (save as tf.GradSaveFunc)([x as Tensor]);
  return {
    value: tf.tidy(() => tf.mul(x as Tensor, cumulative(x as Tensor))),
    gradFunc: (dy, saved) => gradient(dy, (saved as Tensor[])[0]),
  };
});

export const geluForward: TrainingKernel = {
  name: FORWARD,
  onHeap(heap, call) {
    const { x } = call.inputs;
    const y = heap.allocate(x.shape);
    heap.kernels.gelu(heap.address(x), heap.address(y), tf.util.sizeFromShape(x.shape));
    return y;
  },
  composed: ({ inputs: { x } }) => tf.tidy(() => tf.mul(asTensor(x), cumulative(asTensor(x)))),
};

export const geluBackward: TrainingKernel = {
  name: GRADIENT,
  onHeap(heap, call) {
    const { dy, x } = call.inputs;
    const dx = heap.allocate(x.shape);
    const n = tf.util.sizeFromShape(x.shape);
    heap.kernels.geluGradient(heap.address(dy), heap.address(x), heap.address(dx), n);
    return dx;
  },
  composed: ({ inputs: { dy, x } }) => gradient(asTensor(dy), asTensor(x)),
};

export const geluGradConfig: GradConfig = {
  kernelName: FORWARD,
  inputsToSave: ["x"],
  gradFunc: (dy, [x]) => ({ x: () => tf.engine().runKernel(GRADIENT, { dy: dy as Tensor, x }) as Tensor }),
};
