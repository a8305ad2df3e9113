// A tiny data-parallel problem for parallel.test.ts: least squares on 8 points a step, cut into equal shares.
import * as tf from "@tensorflow/tfjs-core";
import { normal, uniform } from "../../src/data/random.js";
import type { Replica } from "../../src/training/data-parallel.js";
import type { Loss } from "../../src/training/loop.js";

const BATCH = 8;

export function problem({ index, count }: { index: number; count: number }) {
  const [w, unused, bias] = tf.tidy(() => [
    tf.variable(tf.zeros([3, 1])),
    tf.variable(tf.zeros([2])),
    tf.variable(tf.zeros([1])),
  ]);
  const loss: Loss = (step, _, log) => {
    const gaussian = normal(uniform(step));
    const all = Float32Array.from({ length: 3 * BATCH }, () => gaussian());
    const size = BATCH / count;
    const x = tf.tensor2d(all.subarray(3 * size * index, 3 * size * (index + 1)), [size, 3]);
    const y = tf.add(tf.matMul(x, tf.tensor2d([1, -2, 0.5], [3, 1])), 0.25);
    const squares = tf.mean(tf.square(tf.sub(tf.add(tf.matMul(x, w as tf.Tensor2D), bias), y)));
    log("squares", squares as tf.Scalar);
    return squares as tf.Scalar;
  };
  return { variables: [w, unused, bias], loss };
}

export const replica: Replica<{ failAt: number; endAt?: number }> = async ({ failAt, endAt }, share) => {
  const { variables, loss } = problem(share);
  return {
    variables,
    loss: (step, progress, log) => {
      if (step === failAt) throw new Error(`no data at step ${step}`);
      if (step === endAt) process.exit(7); // ends the thread
      return loss(step, progress, log);
    },
  };
};
