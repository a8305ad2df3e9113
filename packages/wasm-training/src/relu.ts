/** Gradient of ReLU in one pass over its output: dx = dy where y > 0, else 0. tfjs's own takes three. */
import type { GradConfig, Tensor } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { asTensor, type TrainingKernel } from "./kernel.js";

/** A kernel of our own, known to the wasm backend once it is registered. */
const GRADIENT = "ReluTrainingGrad";

function composed(dy: Tensor, y: Tensor): Tensor {
  return tf.tidy(() => tf.mul(dy, tf.step(y)));
}

export const reluGradient: TrainingKernel = {
  name: GRADIENT,
  onHeap(heap, call) {
    const { dy, y } = call.inputs;
    const dx = heap.allocate(dy.shape);
    const n = tf.util.sizeFromShape(dy.shape);
    heap.kernels.reluGradient(heap.address(dy), heap.address(y), heap.address(dx), n);
    return dx;
  },
  composed: ({ inputs: { dy, y } }) => composed(asTensor(dy), asTensor(y)),
};

/** In the place of tfjs's gradient of ReLU, which keeps the input: the output is what the next layer keeps anyway. */
export const reluGradConfig: GradConfig = {
  kernelName: "Relu",
  outputsToSave: [true],
  gradFunc: (dy, [y]) => ({
    x: () =>
      tf.getKernel(GRADIENT, tf.getBackend())
        ? (tf.engine().runKernel(GRADIENT, { dy: dy as Tensor, y }) as Tensor)
        : composed(dy as Tensor, y),
  }),
};
