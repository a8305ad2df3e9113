import { type Digits, loadDigits } from "@bitdiet/zoo/data/mnist";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { digitModel, examplesOf, fineTune, judge, trainFloat } from "../layers/task.js";

const take = ({ images, labels }: Digits, count: number): Digits => ({
  images: images.slice(0, count * 784),
  labels: labels.slice(0, count),
  count,
});

test("a short run on real digits: what is loaded predicts as trained, in fewer bits with the entropy term", {
  timeout: 180_000,
}, async () => {
  await useBackend("wasm");
  const digits = loadDigits();
  const [training, held] = [examplesOf(take(digits.training, 256)), examplesOf(take(digits.test, 64))];
  const network = digitModel(1);
  await trainFloat(network, training, 1);
  const results = [];
  for (const lambda of [0, 0.3]) {
    const lines: string[] = [];
    const tuning = { bits: 4, weightBits: 5, lambda, weightLambda: lambda, epochs: 2, rangeFactor: 2 };
    const aware = await fineTune(network, training, tuning, (line) => lines.push(line));
    expect(lines.length).toBe(2);
    results.push(await judge(aware, held));
    aware.dispose();
  }
  const [plain, aware] = results;
  expect([plain.isEqual, aware.isEqual]).toEqual([true, true]);
  expect(aware.bitsPerWeight).toBeLessThan(plain.bitsPerWeight);
  expect(aware.bitsPerActivation!).toBeLessThan(plain.bitsPerActivation!);
  expect(aware.bytes).toBeLessThan(plain.bytes);
  network.dispose();
  tf.dispose([training.x, training.y, held.x, held.y]);
});
