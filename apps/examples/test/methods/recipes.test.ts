// Each recipe that trains nothing, from its first line to its last, on the float network of the table: labels are the float
// network's own answers, so that accuracy says how far decoding changed them.
import { readFile } from "node:fs/promises";
import { normalizedBatch, readCifar10 } from "@bitdiet/zoo/data/cifar10";
import { dataFile } from "@bitdiet/zoo/data/outside";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { parametersFromPyTorch } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { trainHere } from "@bitdiet/zoo/training/fine-tune";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { jointPruning } from "../../methods/ajpq/recipe.js";
import { dctMaps } from "../../methods/dct-cm/recipe.js";
import { featureMaps } from "../../methods/feature-map-coding/recipe.js";
import { matchedBiases } from "../../methods/match-means.js";
import type { Recipe } from "../../methods/recipe.js";
import { imagesFrom, type Testbed } from "../../methods/testbed.js";
import { transforms } from "../../methods/transform-quantization/recipe.js";

const checkpoint = dataFile("models/resnet20-cifar10-jpeg.safetensors");
const [trainFile, testFile] = ["train_1000", "test_500"].map((name) =>
  dataFile(`cifar10-lossless/${name}.bin`),
);
const isHere = checkpoint && trainFile && testFile;
let testbed: Testbed;

beforeAll(async () => {
  if (!isHere) return;
  await useBackend("wasm");
  const start = foldBatchNorm(parametersFromPyTorch((await readCheckpoint(checkpoint)).tensors));
  const images = imagesFrom(readCifar10(await readFile(testFile)), 0, 100);
  const answers = tf.tidy(() => {
    const x = tf.tensor4d(normalizedBatch(images, [...images.labels.keys()]), [100, 32, 32, 3]);
    return tf.argMax(cifarResnet(start, x), 1).dataSync();
  });
  testbed = {
    start,
    train: readCifar10(await readFile(trainFile)),
    test: { pixels: images.pixels, labels: Uint8Array.from(answers) },
    codedImages: 100,
    steps: 1,
    batch: 8,
    seed: 1,
    distill: 0,
    share: { index: 0, count: 1 },
    trainOn: trainHere,
  };
});

const measured = (recipe: Recipe, id: string) => {
  const run = recipe.runs.find((one) => one.id === id);
  if (!run) throw new RangeError(`${recipe.name} has no ${id}`);
  return run.measure(testbed);
};

it.skipIf(!isHere)(
  "decoded principal components answer as the float network does, in half the bits",
  async () => {
    const before = tf.memory().numTensors;
    const { accuracy, activations, notes } = await measured(featureMaps, "pca-7");
    expect(tf.memory().numTensors).toBe(before);
    expect(accuracy).toBeGreaterThanOrEqual(0.95);
    expect(activations!.coded).toBeLessThan(4.5);
    expect(activations!.coded).toBeLessThan(activations!.entropy);
    expect(Number(notes!["µJ an image"])).toBeGreaterThan(0);
    expect(activations!.layers.length).toBe(19);
  },
);

it.skipIf(!isHere)(
  "decoded DCT groups answer as the float network does, smaller through ANS than packed",
  async () => {
    const before = tf.memory().numTensors;
    const { accuracy, activations } = await measured(dctMaps, "step-9");
    expect(tf.memory().numTensors).toBe(before);
    expect(accuracy).toBeGreaterThanOrEqual(0.93);
    expect(activations!.coded).toBeLessThan(activations!.fixedWidth);
    expect(activations!.fixedWidth).toBeLessThan(8);
  },
);

it.skipIf(!isHere)("a network of quantized factors keeps its budget and its answers", async () => {
  const before = tf.memory().numTensors;
  const { accuracy, weights } = await measured(transforms, "KLT-5");
  expect(tf.memory().numTensors).toBe(before);
  expect(accuracy).toBeGreaterThanOrEqual(0.9);
  expect(weights!.fixedWidth).toBeLessThanOrEqual(5);
  expect(weights!.fixedWidth).toBeGreaterThan(4.95);
  expect(weights!.coded).toBeLessThan(weights!.fixedWidth);
});

it.skipIf(!isHere)(
  "a network with pruned channels keeps its budget and its answers, and multiplies less",
  async () => {
    const before = tf.memory().numTensors;
    const { accuracy, weights, notes } = await measured(jointPruning, "second-order-6.4");
    expect(tf.memory().numTensors).toBe(before);
    expect(accuracy).toBeGreaterThanOrEqual(0.93);
    expect(weights!.fixedWidth).toBeLessThanOrEqual(6.4);
    expect(notes!["evaluations"]).toBe(0);
    expect(Number.parseFloat(String(notes!["multiplications left"]))).toBeLessThan(100);
  },
);

it.skipIf(!isHere)("factors trained on keep their widths and their file its size", async () => {
  const before = tf.memory().numTensors;
  const { weights } = await measured(transforms, "ELT-retrained-2");
  expect(tf.memory().numTensors).toBe(before);
  expect(weights!.fixedWidth).toBeLessThanOrEqual(2);
  expect(weights!.fixedWidth).toBeGreaterThan(1.9);
});

it.skipIf(!isHere)(
  "means of float filters are matched by the float biases, and a masked channel gets none",
  () => {
    const biases = matchedBiases(testbed, {}, (name) =>
      name === "layer1.0.conv1"
        ? tf.tensor1d(Array.from({ length: 16 }, (_, c) => Number(c > 0)))
        : undefined,
    );
    expect(Object.keys(biases).length).toBe(19);
    expect(biases["layer1.0.conv1.bias"]!.dataSync()[0]).toBe(0);
    for (const name of ["conv1.bias", "layer1.0.conv1.bias"]) {
      const expected = testbed.start[name]!.dataSync();
      for (const [c, bias] of biases[name]!.dataSync().entries())
        if (c > 0) expect(Math.abs(bias - expected[c]!)).toBeLessThan(1e-4);
    }
    tf.dispose(biases);
  },
);
