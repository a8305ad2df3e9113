// MobileNetV2 (Sandler et al. 2018) as a plain function with torchvision's names: blocks that expand by a 1 x 1
// convolution, filter each channel by itself, and project back without a ReLU. Example: [batch, 224, 224, 3] becomes
// logits [batch, 1000] with 3.5 million parameters.

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { type Normalize, normalizeByRunningStatistics } from "./batch-norm.js";
import { parameter } from "./parameters.js";

// The blocks that halve the image (table 2 of the paper).
const STRIDED_BLOCKS = new Set([2, 4, 7, 14]);

/**
 * MobileNetV2 of any width. Call it inside `tf.tidy` (or a gradient). Activations carry torchvision's module names:
 * "features.0.2" (ReLU6 of the stem), "features.2.conv.0.2" and "features.2.conv.1.2" (ReLU6 inside a block),
 * "features.2" (a block's output, which is signed), …, "features.18.2".
 *
 * @param x (pixel / 255 - mean) / deviation with ImageNet's statistics, [batch, height, width, 3]
 * @param normalize by default with running statistics, or the biases of folded parameters
 * @returns logits, [batch, classes]
 * @throws {RangeError} if a parameter is missing.
 */
export function mobilenetV2(
  parameters: Parameters,
  x: tf.Tensor4D,
  hooks: Hooks = {},
  normalize: Normalize = normalizeByRunningStatistics(parameters),
): tf.Tensor2D {
  const { weight = (w) => w, activation = (a) => a } = hooks;
  const filterOf = (name: string) =>
    weight(parameter<tf.Tensor4D>(parameters, `${name}.weight`), `${name}.weight`);
  const convolve = (input: tf.Tensor4D, name: string, stride = 1) => {
    const filter = filterOf(name);
    return normalize(tf.conv2d(input, filter, stride, (filter.shape[0] - 1) / 2), name);
  };
  const convolveDepthwise = (input: tf.Tensor4D, name: string, stride: number) => {
    // Stored [3, 3, 1, channels], the output channel last as in every filter; tfjs wants [3, 3, channels, 1].
    const filter = filterOf(name);
    const [height, width, , channels] = filter.shape;
    const depthwise = tf.reshape(filter, [height, width, channels, 1]) as tf.Tensor4D;
    return normalize(tf.depthwiseConv2d(input, depthwise, stride, (height - 1) / 2), name);
  };
  const relu6 = (input: tf.Tensor4D, name: string) => activation(tf.relu6(input), name);

  let features = relu6(convolve(x, "features.0.0", 2), "features.0.2");
  let block = 1;
  for (; !(`features.${block}.0.weight` in parameters); block++) {
    const name = `features.${block}`;
    const stride = STRIDED_BLOCKS.has(block) ? 2 : 1;
    // The first block does not expand: its depthwise convolution is module 0, elsewhere module 1.
    const depthwise = block === 1 ? 0 : 1;
    let inner = features;
    if (depthwise === 1) inner = relu6(convolve(inner, `${name}.conv.0.0`), `${name}.conv.0.2`);
    inner = convolveDepthwise(inner, `${name}.conv.${depthwise}.0`, stride);
    inner = relu6(inner, `${name}.conv.${depthwise}.2`);
    const projected = convolve(inner, `${name}.conv.${depthwise + 1}`);
    const isResidual = stride === 1 && projected.shape[3] === features.shape[3];
    features = activation(isResidual ? tf.add(features, projected) : projected, name);
  }
  const head = relu6(convolve(features, `features.${block}.0`), `features.${block}.2`);
  const pooled = tf.mean(head, [1, 2]) as tf.Tensor2D;
  const matrix = weight(parameter<tf.Tensor2D>(parameters, "classifier.1.weight"), "classifier.1.weight");
  return tf.add(tf.matMul(pooled, matrix), parameter(parameters, "classifier.1.bias"));
}
