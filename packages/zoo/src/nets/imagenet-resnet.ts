// ImageNet's ResNet-18, 34 and 50 (He et al. 2015; the bottleneck's stride on its 3 x 3 convolution, as torchvision
// does) as a plain function with torchvision's names. Example: [batch, 224, 224, 3] becomes logits [batch, 1000].

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { type Normalize, normalizeByRunningStatistics } from "./batch-norm.js";
import { parameter } from "./parameters.js";

/**
 * ResNet of any of these depths, told from the parameters: the number of blocks, two or three convolutions in a
 * block, a projection (downsample.0) or not. Call it inside `tf.tidy` (or a gradient). Activations carry the name of
 * their ReLU: "relu", then "layer1.0.relu1", "layer1.0.relu2" and so on, the last of a block after the sum.
 *
 * @param x (pixel / 255 - mean) / deviation with ImageNet's statistics, [batch, height, width, 3]
 * @param normalize by default with running statistics, or the biases of folded parameters
 * @returns logits, [batch, classes]
 * @throws {RangeError} if a parameter is missing.
 */
export function imagenetResnet(
  parameters: Parameters,
  x: tf.Tensor4D,
  hooks: Hooks = {},
  normalize: Normalize = normalizeByRunningStatistics(parameters),
): tf.Tensor2D {
  const { weight = (w) => w, activation = (a) => a } = hooks;
  const convolve = (input: tf.Tensor4D, name: string, stride = 1) => {
    const filter = weight(parameter<tf.Tensor4D>(parameters, `${name}.weight`), `${name}.weight`);
    // PyTorch pads both sides alike: half the filter. "same" would pad even sizes on one side only.
    return normalize(tf.conv2d(input, filter, stride, (filter.shape[0] - 1) / 2), name);
  };
  const stem = activation(tf.relu(convolve(x, "conv1", 2)), "relu");
  let features = tf.maxPool(stem, 3, 2, 1);
  for (const stage of ["layer1", "layer2", "layer3", "layer4"]) {
    for (let block = 0; `${stage}.${block}.conv1.weight` in parameters; block++) {
      const name = `${stage}.${block}`;
      const stride = block === 0 && stage !== "layer1" ? 2 : 1;
      const last = `${name}.conv3.weight` in parameters ? 3 : 2;
      let inner = features;
      for (let i = 1; i < last; i++) {
        inner = convolve(inner, `${name}.conv${i}`, i === last - 1 ? stride : 1);
        inner = activation(tf.relu(inner), `${name}.relu${i}`);
      }
      const residual = convolve(inner, `${name}.conv${last}`);
      const isProjected = `${name}.downsample.0.weight` in parameters;
      const shortcut = isProjected ? convolve(features, `${name}.downsample.0`, stride) : features;
      features = activation(tf.relu(tf.add(residual, shortcut)), `${name}.relu${last}`);
    }
  }
  const pooled = tf.mean(features, [1, 2]) as tf.Tensor2D;
  const matrix = weight(parameter<tf.Tensor2D>(parameters, "fc.weight"), "fc.weight");
  return tf.add(tf.matMul(pooled, matrix), parameter(parameters, "fc.bias"));
}
