// Tensors as plain data and back, to travel between threads.
import * as tf from "@tensorflow/tfjs-core";

/** Tensors by name, as they travel between threads. */
export type PlainTensors = Record<string, { shape: number[]; values: Float32Array }>;

export function plainOf(tensors: Record<string, tf.Tensor>): PlainTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      { shape: tensor.shape, values: tensor.dataSync() as Float32Array },
    ]),
  );
}

export function tensorsOf(plain: PlainTensors): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(plain).map(([name, { shape, values }]) => [name, tf.tensor(values, shape)]),
  );
}
