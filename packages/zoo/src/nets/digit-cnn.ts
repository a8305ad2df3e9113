// A small CNN for 28×28 digits: four 3×3 or 5×5 convolutions, each with batch norm and ReLU, a global average and one
// dense layer; 61 thousand weights. It is a plain function with hooks (see hooks.ts).
// Example: `digitCnn(parameters, images)` gives logits of shape [batch, 10].

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { normal, uniform } from "../data/random.js";

interface Layer {
  name: string;
  kernel: number;
  inputs: number;
  outputs: number;
  stride: number;
}

export const CONVOLUTIONS: readonly Layer[] = [
  { name: "conv1", kernel: 5, inputs: 1, outputs: 16, stride: 2 },
  { name: "conv2", kernel: 3, inputs: 16, outputs: 32, stride: 1 },
  { name: "conv3", kernel: 3, inputs: 32, outputs: 64, stride: 2 },
  { name: "conv4", kernel: 3, inputs: 64, outputs: 64, stride: 1 },
];
const CLASSES = 10;

/** How a convolution's output is normalized before its ReLU; by default a bias is added (batch norm folded away). */
export type Normalize = (x: tf.Tensor4D, layer: string) => tf.Tensor4D;

/**
 * @param x images, [batch, 28, 28, 1], values 0..1
 * @returns logits, [batch, 10]
 */
export function digitCnn(
  parameters: Parameters,
  x: tf.Tensor4D,
  { weight = (w) => w, activation = (a) => a }: Hooks = {},
  normalize: Normalize = (y, layer) => tf.add(y, parameters[`${layer}.bias`]),
): tf.Tensor2D {
  let features = x;
  for (const { name, stride } of CONVOLUTIONS) {
    const kernel = weight(parameters[`${name}.weight`] as tf.Tensor4D, `${name}.weight`);
    features = activation(tf.relu(normalize(tf.conv2d(features, kernel, stride, "same"), name)), name);
  }
  const pooled = tf.mean<tf.Tensor2D>(features, [1, 2]);
  const dense = weight(parameters["dense.weight"] as tf.Tensor2D, "dense.weight");
  return tf.add(tf.matMul(pooled, dense), parameters["dense.bias"]);
}

/** Variables for training from scratch: He-normal kernels, batch norm at 1 and 0. The caller disposes of them. */
export function initialParameters(seed: number): Record<string, tf.Variable> {
  const gaussian = normal(uniform(seed));
  const heNormal = (shape: number[], fanIn: number) => {
    const size = shape.reduce((product, side) => product * side, 1);
    const deviation = Math.sqrt(2 / fanIn);
    return tf.tensor(
      Float32Array.from({ length: size }, () => deviation * gaussian()),
      shape,
    );
  };
  const values: Record<string, tf.Tensor> = {};
  for (const { name, kernel, inputs, outputs } of CONVOLUTIONS) {
    values[`${name}.weight`] = heNormal([kernel, kernel, inputs, outputs], kernel * kernel * inputs);
    values[`${name}.gamma`] = tf.ones([outputs]);
    values[`${name}.beta`] = tf.zeros([outputs]);
  }
  const { outputs } = CONVOLUTIONS[CONVOLUTIONS.length - 1];
  values["dense.weight"] = heNormal([outputs, CLASSES], 2 * outputs);
  values["dense.bias"] = tf.zeros([CLASSES]);
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, asVariable(value)]));
}

/** Means and variances of every normalized layer, over a data set. */
export type Statistics = Record<string, { mean: tf.Tensor; variance: tf.Tensor }>;

/** Batch norm with fixed statistics is an affine map, so it disappears into the kernel and a bias. */
export function foldBatchNorm(parameters: Parameters, statistics: Statistics, epsilon: number): Parameters {
  const folded: Parameters = {};
  for (const { name } of CONVOLUTIONS) {
    const { mean, variance } = statistics[name];
    const [weight, bias] = tf.tidy(() => {
      const gain = tf.div(parameters[`${name}.gamma`], tf.sqrt(tf.add(variance, epsilon)));
      return [
        tf.mul(parameters[`${name}.weight`], gain),
        tf.sub(parameters[`${name}.beta`], tf.mul(mean, gain)),
      ];
    });
    folded[`${name}.weight`] = weight;
    folded[`${name}.bias`] = bias;
  }
  for (const name of ["dense.weight", "dense.bias"]) folded[name] = parameters[name].clone();
  return folded;
}

/** A trainable copy; the tensor given is disposed of. */
function asVariable(tensor: tf.Tensor): tf.Variable {
  const variable = tf.variable(tensor);
  tensor.dispose();
  return variable;
}
