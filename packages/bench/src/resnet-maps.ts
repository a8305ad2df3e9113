/**
 * Feature maps of a real network: the 19 activations after ReLU of ResNet-20 on CIFAR-10 images, each layer quantized
 * by itself to 4 bits, step = largest value / 15. E.g. the first layer is 32 × 32 × 16 levels an image.
 */
import { readFileSync } from "node:fs";
import { normalizedBatch, readCifar10 } from "@bitdiet/zoo/data/cifar10";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { parametersFromPyTorch } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import type { Maps, Source } from "./sources.js";

/** Images that go through the network together. */
const BATCH = 25;

/**
 * @param folder holds models/ and cifar10-lossless/
 * @param images how many of the first images of test_500.bin
 */
export async function resnetMapSource(folder: string, images: number): Promise<Source> {
  await useBackend("wasm");
  const { tensors } = await readCheckpoint(`${folder}/models/resnet20-cifar10-jpeg.safetensors`);
  const parameters = parametersFromPyTorch(tensors);
  const data = readCifar10(readFileSync(`${folder}/cifar10-lossless/test_500.bin`));
  const layers = new Map<string, { shape: number[]; batches: Float32Array[] }>();
  for (let from = 0; from < images; from += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, images - from) }, (_, i) => from + i);
    tf.tidy(() => {
      const x = tf.tensor4d(normalizedBatch(data, indices), [indices.length, 32, 32, 3]);
      cifarResnet(parameters, x, {
        activation: (a, name) => {
          if (!layers.has(name)) layers.set(name, { shape: a.shape, batches: [] });
          layers.get(name)!.batches.push(a.dataSync<"float32">().slice());
          return a;
        },
      });
    });
  }
  tf.dispose(parameters);
  const counts = [...layers.values()].map(({ batches }) =>
    batches.reduce((sum, { length }) => sum + length, 0),
  );
  const symbols = new Uint8Array(counts.reduce((sum, count) => sum + count, 0));
  let start = 0;
  const maps = [...layers.values()].map(({ shape: [, height, width, channels], batches }): Maps => {
    let largest = 0;
    for (const batch of batches) for (const value of batch) largest = Math.max(largest, value);
    let at = start;
    for (const batch of batches)
      for (const value of batch) symbols[at++] = Math.round((15 * value) / largest);
    const part = symbols.subarray(start, at);
    start = at;
    return { symbols: part, height, width, channels };
  });
  return { name: "ResNet-20 feature maps, 4 bit", symbols, alphabetSize: 16, maps };
}
