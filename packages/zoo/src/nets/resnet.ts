// The CIFAR ResNets of He et al. 2015 (section 4.2): 20, 32, 44 or 56 layers, shortcuts without parameters ("option
// A": every second pixel, new channels zero). PyTorch's names. Example: ResNet-20 has 3 stages of 3 blocks, 16, 32
// and 64 channels, 19 activations after ReLU, and maps [batch, 32, 32, 3] to logits [batch, 10].

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { normal, uniform } from "../data/random.js";
import { type Normalize, normalizeByRunningStatistics } from "./batch-norm.js";
import { parameter } from "./parameters.js";

// Activations carry the name of their ReLU: "relu", then "layer1.0.relu1", "layer1.0.relu2" (after the sum), …
const STAGES = ["layer1", "layer2", "layer3"];

/** What a CIFAR ResNet shows beside weights and activations. */
export interface ResnetHooks extends Hooks {
  /**
   * Makes what a ReLU takes, by the ReLU's name: `x` is the normalized convolution, `shortcut` what the block adds to
   * it, if it does. By default their sum. Here a layer's output can be written in another basis than it is computed in.
   */
  preactivation?: (x: tf.Tensor4D, name: string, shortcut?: tf.Tensor4D) => tf.Tensor4D;
}

/**
 * CIFAR ResNet. The depth is that of the parameters. Call it inside `tf.tidy` (or a gradient): it has none of its own,
 * so that tensors a hook makes, such as rate terms, live until the caller has used them.
 *
 * @param x normalized images, [batch, height, width, 3], height and width multiples of 4
 * @param normalize by default with running statistics, or the biases of folded parameters
 * @returns logits, [batch, classes]
 * @throws {RangeError} if a parameter is missing or the size of x does not fit.
 */
export function cifarResnet(
  parameters: Parameters,
  x: tf.Tensor4D,
  hooks: ResnetHooks = {},
  normalize: Normalize = normalizeByRunningStatistics(parameters),
): tf.Tensor2D {
  if (x.shape[1] % 4 !== 0 || x.shape[2] % 4 !== 0) {
    throw new RangeError(`x must have a height and width that are multiples of 4, got [${x.shape}].`);
  }
  const { weight = (w) => w, activation = (a) => a, preactivation = sum } = hooks;
  const convolve = (input: tf.Tensor4D, name: string, stride: number) => {
    const filter = weight(parameter<tf.Tensor4D>(parameters, `${name}.weight`), `${name}.weight`);
    return normalize(tf.conv2d(input, filter, stride, 1), name);
  };
  const rectify = (input: tf.Tensor4D, name: string, shortcut?: tf.Tensor4D) =>
    activation(tf.relu(preactivation(input, name, shortcut)), name);
  let features = rectify(convolve(x, "conv1", 1), "relu");
  for (const stage of STAGES) {
    for (let block = 0; `${stage}.${block}.conv1.weight` in parameters; block++) {
      const name = `${stage}.${block}`;
      const stride = block === 0 && stage !== "layer1" ? 2 : 1;
      const inner = rectify(convolve(features, `${name}.conv1`, stride), `${name}.relu1`);
      const shortcut = stride === 1 ? features : halve(features);
      features = rectify(convolve(inner, `${name}.conv2`, 1), `${name}.relu2`, shortcut);
    }
  }
  const pooled = tf.mean(features, [1, 2]) as tf.Tensor2D;
  const matrix = weight(parameter<tf.Tensor2D>(parameters, "linear.weight"), "linear.weight");
  return tf.add(tf.matMul(pooled, matrix), parameter(parameters, "linear.bias"));
}

/**
 * Parameters to train from: He-normal filters, batch norm 1 and 0, running statistics 0 and 1.
 *
 * @param depth 20, 32, 44, 56, … (6 n + 2)
 * @throws {RangeError} if the depth is none of these.
 */
export function initialCifarResnet(depth: number, classes: number, seed: number): Parameters {
  const blocks = (depth - 2) / 6;
  if (!Number.isInteger(blocks) || blocks < 1) {
    throw new RangeError(`depth must be 6 n + 2 (20, 32, 44, 56, …), got ${depth}.`);
  }
  const gaussian = normal(uniform(seed));
  const random = (shape: number[], fanIn: number) => {
    const size = shape.reduce((product, side) => product * side, 1);
    return tf.tensor(
      Float32Array.from({ length: size }, () => Math.sqrt(2 / fanIn) * gaussian()),
      shape,
    );
  };
  const parameters: Parameters = {};
  const addConvolution = (name: string, inputs: number, outputs: number) => {
    const norm = name.replace("conv", "bn");
    parameters[`${name}.weight`] = random([3, 3, inputs, outputs], 9 * inputs);
    parameters[`${norm}.weight`] = tf.ones([outputs]);
    parameters[`${norm}.bias`] = tf.zeros([outputs]);
    parameters[`${norm}.running_mean`] = tf.zeros([outputs]);
    parameters[`${norm}.running_var`] = tf.ones([outputs]);
  };
  addConvolution("conv1", 3, 16);
  let inputs = 16;
  for (const [index, stage] of STAGES.entries()) {
    const outputs = 16 << index;
    for (let block = 0; block < blocks; block++) {
      addConvolution(`${stage}.${block}.conv1`, inputs, outputs);
      addConvolution(`${stage}.${block}.conv2`, outputs, outputs);
      inputs = outputs;
    }
  }
  parameters["linear.weight"] = random([inputs, classes], 2 * inputs);
  parameters["linear.bias"] = tf.zeros([classes]);
  return parameters;
}

const sum = (x: tf.Tensor4D, _name: string, shortcut?: tf.Tensor4D): tf.Tensor4D =>
  shortcut === undefined ? x : tf.add(x, shortcut);

// Every second row and column, and as many new channels as there were, zero, half of them on either side. tfjs has no
// gradient for a strided slice, but a slice of a matrix has one: rows in pairs keep the first of each pair, then so do
// the pixels of a row.
function halve(x: tf.Tensor4D): tf.Tensor4D {
  const [batch, height, width, inputs] = x.shape;
  const rows = tf.slice(
    tf.reshape(x, [(batch * height) / 2, 2 * width * inputs]),
    [0, 0],
    [-1, width * inputs],
  );
  const pixels = tf.slice(tf.reshape(rows, [(batch * height * width) / 4, 2 * inputs]), [0, 0], [-1, inputs]);
  const before = Math.floor(inputs / 2);
  const padded = tf.pad(pixels, [
    [0, 0],
    [before, inputs - before],
  ]);
  return tf.reshape(padded, [batch, height / 2, width / 2, 2 * inputs]);
}
