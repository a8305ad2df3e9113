import "../setup.js";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { centred, learnedStep, logOf } from "../../src/layers/learned-step.js";

const STEPS = [0.1, 1, 2 ** -31, 3000, 0.11];

test("a step is the nearest fourth of an octave, to the last bit", () => {
  const steps = tf.tidy(() => learnedStep(logOf(tf.tensor1d(STEPS))).dataSync());
  const nearest = STEPS.map((step) => Math.fround(2 ** (Math.round(4 * Math.log2(step)) / 4)));
  for (const [i, step] of steps.entries()) expect(Math.abs(step / nearest[i] - 1)).toBeLessThan(1e-7);
  expect([steps[1], steps[2]]).toEqual([1, 2 ** -31]);
});

test("the gradient is that of exp(10 v), through the grid", () => {
  const v = logOf(tf.tensor1d(STEPS));
  const gradient = tf
    .grad((x: tf.Tensor) => tf.sum(learnedStep(x)))(v)
    .dataSync();
  for (const [i, step] of STEPS.entries()) expect(gradient[i] / (10 * step)).toBeCloseTo(1, 4);
});

test("a centred logarithm has the same step, in the middle between those of its neighbours", () => {
  tf.tidy(() => {
    const v = logOf(tf.tensor1d(STEPS));
    expect(learnedStep(centred(v)).dataSync()).toEqual(learnedStep(v).dataSync());
    const place = Math.LN2 / 40;
    const near = [0.49, -0.49].map((share) => learnedStep(tf.add(centred(v), share * place)).dataSync());
    expect(near[0]).toEqual(near[1]);
  });
});

test("steps beyond the grid are its outermost, and keep the variable's shape", () => {
  const steps = tf.tidy(() => learnedStep(tf.tensor4d([-99, 99], [1, 1, 2, 1])));
  expect(steps.shape).toEqual([1, 1, 2, 1]);
  const [least, most] = steps.dataSync();
  expect(least).toBe(2 ** -32);
  expect(Math.log2(most)).toBeCloseTo(31.75, 6);
});
