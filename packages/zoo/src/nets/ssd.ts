// SSD300 and SSD512 (Liu et al. 2016) as a plain function with the names of the common PyTorch checkpoints: VGG-16 whose
// fully connected layers became a dilated convolution (vgg.31) and one of 1 x 1 (vgg.33), extra layers that shrink the maps,
// and two heads a map. Example: [batch, 300, 300, 3] becomes offsets [batch, 8732, 4] and logits [batch, 8732, 21].

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import type { BoxOutputs } from "../detection/multibox-loss.js";
import { type PriorTable, SSD300, SSD512 } from "../detection/priors.js";
import { parameter } from "./parameters.js";

/** What differs between the two. */
export interface SsdVariant {
  priors: PriorTable;
  /** Every second of the extra convolutions; those between are 1 x 1. */
  extras: readonly { stride: number; pad: number }[];
}

const halving = { stride: 2, pad: 1 };
export const SSD_300: SsdVariant = {
  priors: SSD300,
  extras: [halving, halving, { stride: 1, pad: 0 }, { stride: 1, pad: 0 }],
};
export const SSD_512: SsdVariant = {
  priors: SSD512,
  extras: [halving, halving, halving, halving, { stride: 1, pad: 1 }],
};

// Convolutions of VGG-16's blocks by their index in its list of modules; each is followed by its ReLU.
const BLOCKS = [
  [0, 2],
  [5, 7],
  [10, 12, 14],
  [17, 19, 21],
  [24, 26, 28],
];

/**
 * The network. Call it inside `tf.tidy` (or a gradient). Activations carry the name of their ReLU ("vgg.1", …, "vgg.34"); those
 * of the extra layers, whose ReLUs have none, that of the convolution ("extras.0", …); "L2Norm" is what the first heads read.
 *
 * @param x from `ssdInput`, [batch, side, side, 3]
 * @throws {RangeError} if a parameter is missing.
 */
export function ssd(
  { extras }: SsdVariant,
  parameters: Parameters,
  x: tf.Tensor4D,
  { weight = (w) => w, activation = (a) => a }: Hooks = {},
): BoxOutputs {
  const convolve = (input: tf.Tensor4D, name: string, { stride = 1, pad = 0, dilation = 1 } = {}) => {
    const filter = weight(parameter<tf.Tensor4D>(parameters, `${name}.weight`), `${name}.weight`);
    const output = tf.conv2d(input, filter, stride, pad, "NHWC", dilation);
    return tf.add(output, parameter(parameters, `${name}.bias`)) as tf.Tensor4D;
  };
  const rectified = (input: tf.Tensor4D, module: number, how?: { pad?: number; dilation?: number }) =>
    activation(tf.relu(convolve(input, `vgg.${module}`, how)), `vgg.${module + 1}`);

  const sources: tf.Tensor4D[] = [];
  let features = x;
  for (const [block, modules] of BLOCKS.entries()) {
    // "same" fills up at the end, as PyTorch's ceil_mode does: 75 rows become 38.
    if (block > 0) features = tf.maxPool(features, 2, 2, "same");
    for (const module of modules) features = rectified(features, module, { pad: 1 });
    if (block === 3) sources.push(activation(l2Norm(parameters, features), "L2Norm"));
  }
  features = rectified(tf.maxPool(features, 3, 1, "same"), 31, { pad: 6, dilation: 6 });
  features = rectified(features, 33);
  sources.push(features);
  for (const [pair, how] of extras.entries()) {
    for (const [name, options] of [
      [`extras.${2 * pair}`, {}],
      [`extras.${2 * pair + 1}`, how],
    ] as const) {
      features = activation(tf.relu(convolve(features, name, options)), name);
    }
    sources.push(features);
  }
  const heads = (kind: string, width: number) => {
    const maps = sources.map((source, i) => convolve(source, `${kind}.${i}`, { pad: 1 }));
    return tf.concat(maps.map((map) => tf.reshape(map, [x.shape[0], -1, width])) as tf.Tensor3D[], 1);
  };
  return { offsets: heads("loc", 4), logits: heads("conf", ssdClasses(parameters)) };
}

/** How many logits a prior has, told from both heads of the first map: 21 for Pascal VOC. */
export function ssdClasses(parameters: Parameters): number {
  const [conf, loc] = ["conf.0.bias", "loc.0.bias"].map((name) => parameter(parameters, name).size);
  return (4 * conf) / loc;
}

/** Each place's channels scaled to length 1 (Liu et al., ParseNet, 2015), times a gain per channel. */
function l2Norm(parameters: Parameters, x: tf.Tensor4D): tf.Tensor4D {
  const length = tf.add(tf.sqrt(tf.sum(tf.square(x), 3, true)), 1e-10);
  return tf.mul(tf.div(x, length), parameter(parameters, "L2Norm.weight"));
}

/** VGG-16's mean pixel as Caffe's models have it: red, green, blue. */
const MEAN = [123, 117, 104];

/** The network's input from a picture's RGB bytes, [side, side, 3]. */
export const ssdInput = (pixels: Uint8Array): Float32Array =>
  Float32Array.from(pixels, (byte, i) => byte - MEAN[i % 3]);
