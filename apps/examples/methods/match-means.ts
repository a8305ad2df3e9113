// Biases that make up for quantized filters: every channel of every convolution gets back the mean it has in the float
// network, layer by layer, each seeing what the corrected layers before it write (bias correction; Nagel et al., "Data-free
// quantization through weight equalization and bias correction", arXiv 1906.04721, here with data). Needs no gradients and no
// bytes, biases being stored anyway. Example: a channel whose mean was 0.4 and has become 0.3 gets 0.1 more bias.

import type { Parameters } from "@bitdiet/compression-aware";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import { calibrationImages, type Testbed } from "./testbed.js";

const IMAGES = 256;

/**
 * @param filters quantized, by name, in place of the float network's
 * @param maskOf 1 for the channels of a convolution that are left and 0 for those that must stay zero; all left unless given
 * @returns the biases of all convolutions by name, new tensors
 */
export function matchedBiases(
  testbed: Testbed,
  filters: Parameters,
  maskOf: (convolution: string) => tf.Tensor1D | undefined = () => undefined,
): Parameters {
  const { start } = testbed;
  const biases: Parameters = {};
  tf.tidy(() => {
    const x = calibrationImages(testbed, IMAGES);
    const means: Record<string, tf.Tensor> = {};
    cifarResnet(start, x, {}, (convolved, name) => {
      const output: tf.Tensor4D = tf.add(convolved, start[`${name}.bias`]);
      means[name] = tf.mean(output, [0, 1, 2]);
      return output;
    });
    cifarResnet({ ...start, ...filters }, x, {}, (convolved, name) => {
      const mask = maskOf(name);
      const wanted = tf.sub(means[name], tf.mean(convolved, [0, 1, 2]));
      const bias = mask ? tf.mul(wanted, mask) : wanted;
      biases[`${name}.bias`] = tf.keep(bias);
      return tf.add(convolved, bias);
    });
  });
  return biases;
}
