// How much each channel of each feature map matters: the mean squared gradient, by its values, of a random projection of
// the logits, over calibration images (no labels needed). Uniform noise of variance step^2 / 12 on a channel then moves the
// logits by g step^2 / 12 a value, while its rate falls by log2(step): at equal slopes, step is proportional to 1 / sqrt(g).
// Example: a channel of four times another's g gets half its step, and takes one bit a value more.

import { normal, uniform } from "@bitdiet/zoo/data/random";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import { calibrationImages, type Testbed } from "./testbed.js";

const BATCHES = 8;
const IMAGES = 25;

/** One layer's channels. */
export interface Sensitivity {
  /** Mean squared gradient of each channel's values that are not zero. */
  squares: Float32Array;
  /** Values of the layer's map of one image: how much its channels' bits count. */
  values: number;
}

/** @param testbed whose float network and training images are looked at */
export function mapSensitivity(
  testbed: Pick<Testbed, "start" | "train" | "seed">,
): Record<string, Sensitivity> {
  const gaussian = normal(uniform(testbed.seed));
  const sums: Record<string, { squares: Float64Array; counts: Float64Array; values: number }> = {};
  for (let batch = 0; batch < BATCHES; batch++) {
    tf.tidy(() => {
      const x = calibrationImages(testbed, IMAGES, batch * IMAGES);
      const shapes: Record<string, number[]> = {};
      const seen: Record<string, tf.Tensor> = {};
      const see = <T extends tf.Tensor>(a: T, name: string): T => {
        shapes[name] = a.shape;
        seen[name] = a;
        return a;
      };
      const [, classes] = cifarResnet(testbed.start, x, { activation: see }).shape;
      const projection = tf.tensor2d(Float32Array.from({ length: IMAGES * classes }, gaussian), [
        IMAGES,
        classes,
      ]);
      // Zeros that are added to the maps: a gradient by them is one by the maps.
      const names = Object.keys(shapes);
      const gradients = tf.grads((...zeros) => {
        const activation = <T extends tf.Tensor>(a: T, name: string): T =>
          tf.add(a, zeros[names.indexOf(name)]);
        return tf.sum(tf.mul(cifarResnet(testbed.start, x, { activation }), projection));
      })(names.map((name) => tf.zeros(shapes[name])));
      for (const [i, name] of names.entries()) {
        const alive = tf.step(seen[name]);
        const squares = tf.sum(tf.mul(tf.square(gradients[i]), alive), [0, 1, 2]).dataSync();
        const counts = tf.sum(alive, [0, 1, 2]).dataSync();
        sums[name] ??= {
          squares: new Float64Array(squares.length),
          counts: new Float64Array(squares.length),
          values: alive.size / IMAGES,
        };
        for (let c = 0; c < squares.length; c++) {
          sums[name].squares[c] += squares[c];
          sums[name].counts[c] += counts[c];
        }
      }
    });
  }
  return Object.fromEntries(
    Object.entries(sums).map(([name, { squares, counts, values }]) => [
      name,
      { squares: Float32Array.from(squares, (square, c) => square / Math.max(1, counts[c])), values },
    ]),
  );
}

/**
 * The step of every channel at equal slopes. All values' steps together have the geometric mean that they have at one range a
 * layer, so that the rate is about the same. A channel that nothing depends on gets the largest step of its layer.
 *
 * @param steps of every layer
 */
export function equalSlopeScales(
  sensitivity: Record<string, Sensitivity>,
  steps: Record<string, number>,
): Record<string, Float32Array> {
  let [difference, total] = [0, 0];
  const relative = Object.entries(sensitivity).map(([name, { squares, values }]) => {
    const least = Math.min(...squares.filter((square) => square > 0));
    const logSteps = squares.map((square) => -0.5 * Math.log(Math.max(square, least)));
    const mean = logSteps.reduce((sum, step) => sum + step, 0) / logSteps.length;
    difference += values * (Math.log(steps[name]) - mean);
    total += values;
    return [name, logSteps] as const;
  });
  return Object.fromEntries(
    relative.map(([name, logSteps]) => [name, logSteps.map((step) => Math.exp(step + difference / total))]),
  );
}
