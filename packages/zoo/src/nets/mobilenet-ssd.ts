// A small SSD on the features of MobileNet V1 (Howard et al. 2017) of any width, with depthwise separable heads and extra
// layers as in SSDLite (Sandler et al. 2018, section 6.2). Batch norm is folded away; names are Keras's layers with PyTorch's endings:
// "conv_dw_1.weight". Example: [batch, 192, 192, 3] at a width of 0.25 becomes offsets [batch, 3076, 4] from 0.3 million parameters.

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { normal, uniform } from "../data/random.js";
import type { BoxOutputs } from "../detection/multibox-loss.js";
import { type PriorTable, priorsAtPlace } from "../detection/priors.js";
import { parameter } from "./parameters.js";

const BLOCKS = 13;
/** Blocks whose depthwise convolution halves the maps. */
const STRIDED = [2, 4, 6, 12];
/** Blocks whose output boxes are predicted from: the last ones before the maps are halved, and the last of all. */
const SOURCES = [5, 11, 13];
/** Channels of the extra layers' outputs, each half as wide and high as what is before. */
const EXTRAS = [128, 128];

/** Input and maps; squares from a twelfth of the input to nearly all of it. */
export const MOBILENET_PRIORS: PriorTable = {
  side: 192,
  maps: [24, 12, 6, 3, 2].map((side, i) => {
    const squares = [15, 31, 62, 96, 138, 180];
    return { side, step: 192 / side, smallest: squares[i], largest: squares[i + 1], aspectRatios: [2] };
  }),
};

/**
 * The network. Call it inside `tf.tidy` (or a gradient). Activations are all ≥ 0, carry the name of the layer with "_relu" behind, and are
 * all that is written to memory but the outputs.
 *
 * @param x pixel / 127.5 - 1, [batch, 192, 192, 3]
 * @throws {RangeError} if a parameter is missing.
 */
export function mobilenetSsd(
  parameters: Parameters,
  x: tf.Tensor4D,
  { weight = (w) => w, activation = (a) => a }: Hooks = {},
): BoxOutputs {
  const filterOf = (name: string) =>
    weight(parameter<tf.Tensor4D>(parameters, `${name}.weight`), `${name}.weight`);
  const biased = (y: tf.Tensor4D, name: string) =>
    tf.add(y, parameter(parameters, `${name}.bias`)) as tf.Tensor4D;
  const rectified = (y: tf.Tensor4D, name: string) => activation(tf.relu6(biased(y, name)), `${name}_relu`);
  const pointwise = (input: tf.Tensor4D, name: string) => tf.conv2d(input, filterOf(name), 1, "same");
  const depthwise = (input: tf.Tensor4D, name: string, stride = 1) => {
    // Stored [3, 3, 1, channels], the output channel last as in every filter; tfjs wants [3, 3, channels, 1].
    const filter = filterOf(name);
    const [height, width, , channels] = filter.shape;
    const turned = tf.reshape(filter, [height, width, channels, 1]) as tf.Tensor4D;
    return rectified(tf.depthwiseConv2d(input, turned, stride, "same"), name);
  };

  let features = rectified(tf.conv2d(x, filterOf("conv1"), 2, "same"), "conv1");
  const sources: tf.Tensor4D[] = [];
  for (let block = 1; block <= BLOCKS; block++) {
    const filtered = depthwise(features, `conv_dw_${block}`, STRIDED.includes(block) ? 2 : 1);
    features = rectified(pointwise(filtered, `conv_pw_${block}`), `conv_pw_${block}`);
    if (SOURCES.includes(block)) sources.push(features);
  }
  for (const i of EXTRAS.keys()) {
    const narrowed = rectified(pointwise(features, `extras.${i}.narrow`), `extras.${i}.narrow`);
    const halved = depthwise(narrowed, `extras.${i}.depthwise`, 2);
    features = rectified(pointwise(halved, `extras.${i}.wide`), `extras.${i}.wide`);
    sources.push(features);
  }
  const heads = (kind: string, width: number) => {
    const maps = sources.map((source, i) => {
      const filtered = depthwise(source, `${kind}.${i}.depthwise`);
      const map = biased(pointwise(filtered, `${kind}.${i}`), `${kind}.${i}`);
      return tf.reshape(map, [x.shape[0], -1, width]) as tf.Tensor3D;
    });
    return tf.concat(maps, 1);
  };
  const boxes = priorsAtPlace(MOBILENET_PRIORS.maps[0]);
  return {
    offsets: heads("loc", 4),
    logits: heads("conf", parameter(parameters, "conf.0.bias").size / boxes),
  };
}

/** Whether a parameter was there before the detector: it belongs to the features. */
export const isFeature = (name: string): boolean => name.startsWith("conv1") || name.startsWith("conv_");

/**
 * Filters and biases of MobileNet V1 as TF.js and Keras keep it, batch norm folded in. The tensors belong to the caller.
 *
 * @throws {Error} if the model lacks one of the layers
 */
export function mobilenetFeatures(network: LayersModel): Parameters {
  const names = ["conv1", ...range(BLOCKS).flatMap((i) => [`conv_dw_${i + 1}`, `conv_pw_${i + 1}`])];
  return Object.assign(
    {},
    ...names.map((name) => {
      const norm = network.getLayer(`${name}_bn`);
      return tf.tidy(() => {
        const [kernel] = network.getLayer(name).getWeights();
        const [gamma, beta, mean, variance] = norm.getWeights();
        const gain = tf.div(gamma, tf.sqrt(tf.add(variance, norm.getConfig()["epsilon"] as number)));
        const [height, width, inputs, outputs] = kernel.shape;
        const filter = name.includes("_dw_") ? tf.reshape(kernel, [height, width, outputs, inputs]) : kernel;
        return {
          [`${name}.weight`]: tf.mul(filter, gain),
          [`${name}.bias`]: tf.sub(beta, tf.mul(mean, gain)),
        };
      });
    }),
  );
}

/**
 * Extra layers and heads to train from: He-normal filters, biases 0; outputs start at 0, which says each class alike.
 *
 * @param classes without the background
 */
export function initialHeads(features: Parameters, classes: number, seed: number): Parameters {
  const gaussian = normal(uniform(seed));
  const parameters: Parameters = {};
  const add = (name: string, shape: [number, number, number, number]) => {
    const [height, width, inputs, outputs] = shape;
    const deviation = Math.sqrt(2 / (height * width * inputs));
    const values = Float32Array.from(
      { length: height * width * inputs * outputs },
      () => deviation * gaussian(),
    );
    parameters[`${name}.weight`] = tf.tensor4d(values, shape);
    parameters[`${name}.bias`] = tf.zeros([outputs]);
  };
  const addOutput = (name: string, inputs: number, outputs: number) => {
    parameters[`${name}.weight`] = tf.zeros([1, 1, inputs, outputs]);
    parameters[`${name}.bias`] = tf.zeros([outputs]);
  };
  const widths = SOURCES.map((block) => parameter(features, `conv_pw_${block}.bias`).size);
  for (const [i, wide] of EXTRAS.entries()) {
    const narrow = wide / 2;
    add(`extras.${i}.narrow`, [1, 1, widths.at(-1)!, narrow]);
    add(`extras.${i}.depthwise`, [3, 3, 1, narrow]);
    add(`extras.${i}.wide`, [1, 1, narrow, wide]);
    widths.push(wide);
  }
  const boxes = priorsAtPlace(MOBILENET_PRIORS.maps[0]);
  for (const [i, channels] of widths.entries()) {
    for (const [kind, outputs] of [
      ["loc", 4],
      ["conf", 1 + classes],
    ] as const) {
      add(`${kind}.${i}.depthwise`, [3, 3, 1, channels]);
      addOutput(`${kind}.${i}`, channels, boxes * outputs);
    }
  }
  return parameters;
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
