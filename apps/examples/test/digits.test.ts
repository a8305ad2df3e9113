import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { quantizingHooks, uniformQuantizers } from "@bitdiet/compression-aware";
import { entropy, softEntropy } from "@bitdiet/entropy-loss";
import { augmentedBatch, type Digits, loadDigits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import { mapBits } from "@bitdiet/zoo/shipping/measured";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { imagesOf, trainFloat } from "../digits/float.js";
import { parseOptions } from "../digits/options.js";
import { type Deployment, deploy, fineTuneDigits, type QuantizedNetwork } from "../digits/task.js";

const take = ({ images, labels }: Digits, count: number): Digits => ({
  images: images.slice(0, count * 784),
  labels: labels.slice(0, count),
  count,
});

describe("the digits", () => {
  const { training, test: held } = loadDigits();

  test("are 10,000, split so that no picture is in both halves", () => {
    expect([training.count, held.count]).toEqual([8004, 1996]);
    const key = ({ images }: Digits, i: number) => images.subarray(i * 784, (i + 1) * 784).join();
    const seen = new Set(Array.from({ length: training.count }, (_, i) => key(training, i)));
    expect(
      Array.from({ length: held.count }, (_, i) => key(held, i)).filter((text) => seen.has(text)),
    ).toEqual([]);
  });

  test("every digit is in both halves about as often as in all", () => {
    for (const { labels, count } of [training, held]) {
      for (let digit = 0; digit < 10; digit++) {
        const share = labels.filter((label) => label === digit).length / count;
        expect(share).toBeGreaterThan(0.08);
        expect(share).toBeLessThan(0.12);
      }
    }
  });

  test("an augmentation that draws the middle of every range returns the pictures as they are", () => {
    const { images, labels } = augmentedBatch(held, [3, 1], () => 0.5);
    expect([...labels]).toEqual([held.labels[3], held.labels[1]]);
    const expected = [...held.images.subarray(3 * 784, 4 * 784), ...held.images.subarray(784, 2 * 784)];
    const error = Math.max(...expected.map((value, i) => Math.abs(value - images[i])));
    expect(error).toBeLessThan(1e-5);
  });
});

describe("a short run of the whole pipeline on real digits", () => {
  const digits = loadDigits();
  const training = take(digits.training, 960);
  const held = take(digits.test, 250);
  const tuning = { activationBits: 4, weightBits: 8, epochs: 2, seed: 1, rangeFactor: 1 };
  let aware: QuantizedNetwork;
  let plain: Deployment;
  let deployed: Deployment;

  beforeAll(async () => {
    await useBackend("wasm");
    const float = await trainFloat(training, { epochs: 3, seed: 1 });
    const quantized = await fineTuneDigits(float, training, "quantized", {
      ...tuning,
      lambda: 0,
      weightLambda: 0,
    });
    aware = await fineTuneDigits(float, training, "aware", { ...tuning, lambda: 1, weightLambda: 1 });
    plain = await deploy(quantized, training, held);
    deployed = await deploy(aware, training, held);
  }, 180_000);

  test("learns the digits, and the entropy term lowers coded bits of maps and bytes of weights", () => {
    expect(deployed.decodedAccuracy).toBeGreaterThan(0.7);
    expect(mapBits(deployed.maps).coded).toBeLessThan(0.9 * mapBits(plain.maps).coded);
    expect(deployed.file.length).toBeLessThan(plain.file.length);
  });

  test("the network that was decoded from bytes answers exactly as the one in training", () => {
    expect(deployed.decodedAccuracy).toBe(deployed.graphAccuracy);
    expect(plain.decodedAccuracy).toBe(plain.graphAccuracy);
  });

  test("every layer's maps and every weight are counted, weights with every byte of the file", () => {
    for (const { maps, weights, file } of [plain, deployed]) {
      expect(maps.map(({ name }) => name)).toEqual(["conv1", "conv2", "conv3", "conv4"]);
      for (const { values, counts, codedBytes, huffmanBytes, entropy } of maps) {
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values);
        expect(codedBytes).toBeGreaterThan(0);
        expect(8 * huffmanBytes).toBeGreaterThanOrEqual(entropy * values);
      }
      expect(weights.layers.map(({ name }) => name)).toEqual(
        [1, 2, 3, 4].map((n) => `conv${n}.weight`).concat("dense.weight"),
      );
      expect(weights.bytes).toBe(file.length);
      expect(weights.layers.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(file.length);
    }
  });

  test("soft entropy approaches the hard entropy of the very integers that are coded, as sharpness grows", () => {
    tf.tidy(() => {
      const quantizers = uniformQuantizers(aware.scales, aware);
      const { weight, activation } = quantizingHooks(quantizers);
      digitCnn(aware.parameters, imagesOf(held, 0, 50), {
        weight,
        activation: (a, name) => {
          const { scale, levels, quantize } = quantizers.activation(name);
          const hard = entropy(quantize(a), 2 ** tuning.activationBits);
          const soft = [1, 10, 1000].map(
            (sharpness) => softEntropy(tf.div(a, scale), levels, { sharpness }).dataSync()[0],
          );
          expect(soft[0]).toBeGreaterThan(soft[1]);
          expect(Math.abs(soft[2] - hard)).toBeLessThan(0.02);
          return activation(a, name);
        },
      });
    });
  });

  test("the same seed trains the same network", async () => {
    const few = take(digits.training, 128);
    const train = async () => {
      const parameters = await trainFloat(few, { epochs: 1, seed: 7 });
      const values = Object.values(parameters).map((tensor) => [...tensor.dataSync()]);
      tf.dispose(parameters);
      return values;
    };
    expect(await train()).toEqual(await train());
  });

  test("training, encoding and evaluating leave no tensor behind", async () => {
    const few = take(digits.training, 128);
    const { numTensors } = tf.memory();
    const float = await trainFloat(few, { epochs: 1, seed: 1 });
    const network = await fineTuneDigits(float, few, "aware", {
      ...tuning,
      epochs: 1,
      lambda: 0.5,
      weightLambda: 0.5,
    });
    await deploy(network, few, few);
    tf.dispose([float, network.parameters]);
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

describe("npm start's options", () => {
  test.each([
    [["--bits", "9"], "--bits: expected a whole number from 1 to 8, got 9"],
    [["--bits", "four"], '--bits: expected a whole number from 1 to 8, got "four"'],
    [["--weight-bits", "1"], "--weight-bits: expected a whole number from 2 to 8, got 1"],
    [["--lambda=-1"], "--lambda: expected a number from 0 to 100, got -1"],
    [["--epochs", "1.5"], "--epochs: expected a whole number from 1 to 1000, got 1.5"],
    [["--backend", "webgl"], '--backend: expected wasm or cpu, got "webgl"'],
    [["--colour"], "Unknown option `--colour`"],
    [["digits"], "Unused args: `digits`"],
  ])("%j is refused in one line that names it", (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(message);
  });

  test("defaults and flags", () => {
    expect(parseOptions(["--weight-lambda", "0.5", "--curve"])).toMatchObject({
      bits: 4,
      weightLambda: 0.5,
      curve: true,
    });
  });

  test("wrong use exits with 2 before anything starts", async () => {
    const main = join(import.meta.dirname, "..", "digits", "main.ts");
    const run = promisify(execFile)(process.execPath, ["--import", "tsx", main, "--bits", "0"]);
    await expect(run).rejects.toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(/^npm start: --bits.*\n$/),
    });
  });
});
