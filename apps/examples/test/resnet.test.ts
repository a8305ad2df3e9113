import { readFile } from "node:fs/promises";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { normalizedBatch, readCifar10 } from "../data/cifar10.js";
import {
  type BatchStatistics,
  foldBatchNorm,
  normalizeByBatchStatistics,
  normalizeByRunningStatistics,
  updateRunningStatistics,
} from "../models/batch-norm.js";
import { readCheckpoint } from "../models/checkpoint-file.js";
import { parametersFromPyTorch, pyTorchFromParameters, variables } from "../models/parameters.js";
import { cifarResnet, initialCifarResnet } from "../models/resnet.js";
import { useBackend } from "../setup.js";
import { dataFile, fixture } from "./fixtures.js";

const expectedPath = fixture("resnet-cifar10.json");
const imagesPath = dataFile("cifar10-lossless/test_500.bin");
const checkpoints = {
  resnet20: dataFile("models/resnet20-cifar10.safetensors"),
  resnet56: dataFile("models/resnet56-cifar10.safetensors"),
};

beforeAll(() => useBackend("wasm"));

describe("CIFAR ResNet against PyTorch", () => {
  for (const [name, checkpoint] of Object.entries(checkpoints)) {
    it.skipIf(!expectedPath || !imagesPath || !checkpoint)(
      `${name} gives PyTorch's logits within 1e-3, and its number right of 500`,
      async () => {
        const expected = JSON.parse(await readFile(expectedPath!, "utf8"))[name];
        const images = readCifar10(await readFile(imagesPath!));
        const parameters = parametersFromPyTorch((await readCheckpoint(checkpoint!)).tensors);
        const folded = foldBatchNorm(parameters);
        const before = tf.memory().numTensors;
        const logitsOf = (from: number, to: number, using: typeof parameters) =>
          tf.tidy(() => {
            const indices = Array.from({ length: to - from }, (_, i) => from + i);
            const x = tf.tensor4d(normalizedBatch(images, indices), [to - from, 32, 32, 3]);
            return cifarResnet(using, x).arraySync();
          });
        const logits = logitsOf(0, 8, parameters);
        for (const [row, values] of expected.logits_of_first_8_lossless_test_images.entries()) {
          for (const [column, value] of values.entries()) {
            expect(Math.abs(logits[row]![column]! - value)).toBeLessThan(1e-3);
          }
        }
        let correct = 0;
        for (let from = 0; from < 500; from += 100) {
          for (const [row, values] of logitsOf(from, from + 100, folded).entries()) {
            if (values.indexOf(Math.max(...values)) === images.labels[from + row]) correct++;
          }
        }
        expect(correct).toBe(expected.correct_of_500);
        expect(tf.memory().numTensors).toBe(before);
        tf.dispose([parameters, folded]);
      },
    );
  }
});
