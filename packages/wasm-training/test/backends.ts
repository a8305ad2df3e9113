/** The same computation on the cpu backend and on the wasm backend with our kernels. */
export { uniform as randomSource } from "../../../test/random.js";

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import { expect } from "vitest";

/** Values in [−1, 1) for the shape, the same whatever backend is active. */
export function randomTensor<R extends tf.Rank>(shape: number[], random: () => number): tf.Tensor<R> {
  const size = shape.reduce((product, length) => product * length, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => 2 * random() - 1),
    shape as [number],
  ) as tf.Tensor as tf.Tensor<R>;
}

export function integerBetween(random: () => number, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

export interface Result {
  shape: number[];
  values: Float32Array;
}

export async function resultsOn(backend: "cpu" | "wasm", compute: () => tf.Tensor[]): Promise<Result[]> {
  await tf.setBackend(backend);
  const tensors = tf.tidy(compute);
  const results = tensors.map((tensor) => ({
    shape: tensor.shape,
    values: Float32Array.from(tensor.dataSync()),
  }));
  tf.dispose(tensors);
  return results;
}

/** Largest difference, relative to the largest expected magnitude. */
export function relativeError(actual: Result, expected: Result): number {
  expect(actual.shape).toEqual(expected.shape);
  let scale = 1e-6;
  let error = 0;
  for (let i = 0; i < expected.values.length; i++) {
    scale = Math.max(scale, Math.abs(expected.values[i]));
    const difference = Math.abs(actual.values[i] - expected.values[i]);
    error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference);
  }
  return error / scale;
}

/** `compute` makes its tensors on the active backend; all of its results must agree. */
export async function expectSameOnCpu(
  compute: () => tf.Tensor[],
  tolerance = 1e-5,
  label = "",
): Promise<void> {
  const expected = await resultsOn("cpu", compute);
  const actual = await resultsOn("wasm", compute);
  expect(actual.length).toBe(expected.length);
  for (const [index, result] of actual.entries()) {
    expect(relativeError(result, expected[index]), `${label} result ${index}`).toBeLessThan(tolerance);
  }
}
