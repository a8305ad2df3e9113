/**
 * Tiny Darknet for ImageNet, a TF.js layers model in one line: convolutions, each with batch norm (folded), leaky ReLU and at
 * times max pooling, then a mean over positions. Input x / 255, 224 x 224.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import sharp from "sharp";
import type { CalibrationLayer } from "../../bitdiet/src/quantize/calibration-network.js";
import type { Operation, TensorNetwork } from "./models-network.js";

const SIDE = 224;

interface LayerConfig {
  class_name: string;
  config: {
    name: string;
    kernel_size: [number, number];
    use_bias: boolean;
    epsilon: number;
    alpha: number;
    pool_size: [number, number];
    strides: [number, number];
  };
}

/** @param folder holds model.json */
export function readDarknet(folder: string): TensorNetwork {
  const json = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const floats: Record<string, Float32Array> = {};
  const shapes: Record<string, number[]> = {};
  for (const { paths, weights } of json.weightsManifest) {
    const bytes = Buffer.concat(paths.map((path: string) => readFileSync(join(folder, path))));
    let at = bytes.byteOffset;
    for (const { name, shape } of weights) {
      const size = shape.reduce((a: number, b: number) => a * b, 1);
      floats[name] = new Float32Array(bytes.buffer.slice(at, at + 4 * size) as ArrayBuffer);
      shapes[name] = shape;
      at += 4 * size;
    }
  }
  const configs: LayerConfig[] = (json.modelTopology.model_config ?? json.modelTopology).config.layers;
  const layers: CalibrationLayer[] = [];
  const operations: Operation[] = [];
  configs.forEach(({ class_name, config }, i) => {
    if (class_name === "GlobalAveragePooling2D")
      operations.push({ inputs: [operations.length], run: ([x]) => tf.mean(x, [1, 2]) });
    if (class_name !== "Conv2D") return;
    const kernel = floats[`${config.name}/kernel`];
    const [height, width, inputs, rows] = shapes[`${config.name}/kernel`];
    const columns = height * width * inputs;
    const weights = new Float32Array(kernel.length);
    for (let p = 0; p < height * width; p++)
      for (let c = 0; c < inputs; c++)
        for (let row = 0; row < rows; row++)
          weights[row * columns + c * height * width + p] = kernel[(p * inputs + c) * rows + row];
    const biases = floats[`${config.name}/bias`]?.slice() ?? new Float32Array(rows);
    const after: ((x: tf.Tensor) => tf.Tensor)[] = [];
    for (const next of configs.slice(i + 1)) {
      const { name, epsilon, alpha, pool_size, strides } = next.config;
      if (next.class_name === "BatchNormalization") {
        for (let row = 0; row < rows; row++) {
          const gain =
            floats[`${name}/gamma`][row] / Math.sqrt(floats[`${name}/moving_variance`][row] + epsilon);
          for (let k = row * columns; k < (row + 1) * columns; k++) weights[k] *= gain;
          biases[row] =
            floats[`${name}/beta`][row] + gain * (biases[row] - floats[`${name}/moving_mean`][row]);
        }
      } else if (next.class_name === "LeakyReLU") after.push((x) => tf.leakyRelu(x, alpha));
      else if (next.class_name === "MaxPooling2D")
        after.push((x) => tf.maxPool(x as tf.Tensor4D, pool_size, strides, "same"));
      else break;
    }
    const index = layers.length;
    layers.push({ name: config.name, rows, columns, kernel: [height, width], weights, biases });
    operations.push({
      inputs: [operations.length],
      run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, 1, "same"), p!.bias),
      finish: (x) => after.reduce((value, f) => f(value), x),
      layer: { index, kernel: [height, width], stride: 1, pad: "same" },
    });
  });
  return { layers, operations, shape: [SIDE, SIDE, 3] };
}

/** The middle of an image, [224, 224, 3], 0 .. 1. */
export async function darknetInput(file: Uint8Array): Promise<Float32Array> {
  const image = sharp(file).toColourspace("srgb").removeAlpha();
  const pixels = await image.resize({ width: SIDE, height: SIDE, fit: "cover" }).raw().toBuffer();
  return Float32Array.from(pixels, (byte) => byte / 255);
}

/** The network's class of each of ImageNet's labels, which count synsets in sorted order. */
export function darknetClasses(folder: string): number[] {
  const synsets = readFileSync(join(folder, "darknet_class_order_synsets.txt"), "utf8").trim().split("\n");
  return [...synsets].sort().map((synset) => synsets.indexOf(synset));
}
