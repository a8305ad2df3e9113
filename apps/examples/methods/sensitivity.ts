// How much the outputs mind an error in a weight, to second order: gradients of the logits, without labels. The gradient
// of r . logits with random signs r has, squared, the mean that the squares of all logits' gradients add up to, so a few
// draws stand for images times logits (Hutchinson's estimator). Example: logits 2 w of one image: the gradient is 2 or -2,
// its square 4, and an error of 0.1 in w costs 0.04.

import type { Parameters } from "@bitdiet/compression-aware";
import { uniform } from "@bitdiet/zoo/data/random";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import { calibrationImages, type Testbed } from "./testbed.js";

/** Gradients of every filter and matrix, by name, a list of draws; E (g . error)^2 is the squared error of an image's logits. */
export type OutputGradients = Record<string, Float32Array[]>;

/** @param draws how many random projections, of `batch` training images each */
export function outputGradients(
  testbed: Testbed,
  { draws = 32, batch = 8 }: { draws?: number; batch?: number } = {},
): OutputGradients {
  const { start, seed } = testbed;
  const names = Object.keys(start).filter((name) => name.endsWith(".weight"));
  const random = uniform(seed);
  const gradients: OutputGradients = Object.fromEntries(names.map((name) => [name, []]));
  for (let draw = 0; draw < draws; draw++) {
    tf.tidy(() => {
      const x = calibrationImages(testbed, batch, draw * batch);
      const gradientsOf = tf.grads((...weights) => {
        const parameters: Parameters = { ...start };
        for (const [i, name] of names.entries()) parameters[name] = weights[i];
        const logits = cifarResnet(parameters, x);
        const signs = Float32Array.from({ length: logits.size }, () => (random() < 0.5 ? -1 : 1));
        // An image's squared error is wanted, and the errors of `batch` of them add up.
        return tf.mul(tf.sum(tf.mul(logits, tf.tensor2d(signs, logits.shape))), 1 / Math.sqrt(batch));
      });
      for (const [i, gradient] of gradientsOf(names.map((name) => start[name])).entries())
        gradients[names[i]].push(gradient.dataSync<"float32">().slice());
    });
  }
  return gradients;
}

/** Mean square of each component over the draws. */
export function meanSquares(draws: readonly Float32Array[]): Float32Array {
  const squares = new Float32Array(draws[0].length);
  for (const draw of draws)
    for (let i = 0; i < squares.length; i++) squares[i] += draw[i] ** 2 / draws.length;
  return squares;
}
