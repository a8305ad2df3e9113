// Weights that are not what a recipe is about: 8 bits, symmetric, a step an output channel. Example: weights 1 and -0.3 of one
// channel have the step 1 / 127 and are levels 127 and -38.

import type { Parameters } from "@bitdiet/compression-aware";
import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";

/** The parameters with every filter and matrix rounded to 8 bits, an output channel's largest weight at level 127. */
export function eightBitWeights(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [
      name,
      tf.tidy(() => {
        if (!name.endsWith(".weight")) return tf.clone(tensor);
        const axes = tensor.shape.slice(0, -1).map((_, axis) => axis);
        const step = tf.maximum(tf.div(tf.max(tf.abs(tensor), axes), 127), 1e-12);
        return affineQuantizer({ bits: 8, signed: true, scale: step }).fakeQuantize(tensor);
      }),
    ]),
  );
}
