/**
 * Tiny Darknet for ImageNet, a TF.js layers model in one line: convolutions, each with batch norm (folded here), leaky ReLU and at
 * times max pooling, then a mean over positions. Input x / 255, 224 x 224.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, layers, sequential } from "@tensorflow/tfjs-layers";
import { readModel } from "bitdiet";
import { folderFiles } from "bitdiet/node";
import sharp from "sharp";

const SIDE = 224;

interface LayerConfig {
  class_name: string;
  config: {
    name: string;
    filters: number;
    kernel_size: [number, number];
    epsilon: number;
    alpha: number;
    pool_size: [number, number];
    strides: [number, number];
  };
}

/** @param folder holds model.json */
export async function readDarknet(folder: string): Promise<LayersModel> {
  const { tensors, metadata } = await readModel(folderFiles(folder), "model.json");
  const floats = new Map<string, Float32Array>();
  const shapes = new Map<string, number[]>();
  for (const { name, shape, bytes } of tensors) {
    floats.set(name, new Float32Array(new Uint8Array(await bytes()).buffer));
    shapes.set(name, shape);
  }
  const { modelTopology } = JSON.parse(new TextDecoder().decode(metadata["model.json"]));
  const configs: LayerConfig[] = (modelTopology.model_config ?? modelTopology).config.layers;
  const network = sequential();
  configs.forEach(({ class_name, config }, i) => {
    const { name, alpha, pool_size, strides } = config;
    if (class_name === "Conv2D") {
      const kernel = floats.get(`${name}/kernel`)!;
      const biases = floats.get(`${name}/bias`)?.slice() ?? new Float32Array(config.filters);
      const norm = configs[i + 1];
      if (norm.class_name === "BatchNormalization") fold(kernel, biases, norm.config);
      network.add(
        layers.conv2d({
          name,
          filters: config.filters,
          kernelSize: config.kernel_size,
          padding: "same",
          weights: [tf.tensor(kernel, shapes.get(`${name}/kernel`)), tf.tensor1d(biases)],
          ...(network.layers.length === 0 ? { inputShape: [SIDE, SIDE, 3] } : {}),
        }),
      );
    } else if (class_name === "LeakyReLU") network.add(layers.leakyReLU({ alpha }));
    else if (class_name === "MaxPooling2D")
      network.add(layers.maxPooling2d({ poolSize: pool_size, strides, padding: "same" }));
    else if (class_name === "GlobalAveragePooling2D") network.add(layers.globalAveragePooling2d({}));
  });
  return network;

  /** Rows are output channels, the last axis. */
  function fold(kernel: Float32Array, biases: Float32Array, { name, epsilon }: LayerConfig["config"]): void {
    const of = (what: string) => floats.get(`${name}/${what}`)!;
    const gains = of("gamma").map((gamma, row) => gamma / Math.sqrt(of("moving_variance")[row] + epsilon));
    for (let k = 0; k < kernel.length; k++) kernel[k] *= gains[k % gains.length];
    for (const [row, gain] of gains.entries())
      biases[row] = of("beta")[row] + gain * (biases[row] - of("moving_mean")[row]);
  }
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
