import { readFile } from "node:fs/promises";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { normalizedBatch, readCifar10 } from "../../src/data/cifar10.js";
import { dataFile, fixture } from "../../src/data/outside.js";
import {
  type BatchStatistics,
  foldBatchNorm,
  normalizeByBatchStatistics,
  updateRunningStatistics,
} from "../../src/nets/batch-norm.js";
import { readCheckpoint } from "../../src/nets/checkpoint-file.js";
import { parametersFromPyTorch, pyTorchFromParameters, variables } from "../../src/nets/parameters.js";
import { cifarResnet, initialCifarResnet } from "../../src/nets/resnet.js";
import { useBackend } from "../../src/training/backend.js";

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

describe("CIFAR ResNet as a function", () => {
  it("shows ResNet-20's 19 activations and 20 weights to the hooks, in order", () => {
    const parameters = initialCifarResnet(20, 10, 1);
    const activations: string[] = [];
    const weights: string[] = [];
    tf.tidy(() => {
      cifarResnet(parameters, tf.zeros([1, 8, 8, 3]), {
        weight: (w, name) => {
          expect(w).toBe(parameters[name]);
          weights.push(name);
          return w;
        },
        activation: (a, name) => {
          expect(tf.min(a).dataSync()[0]).toBeGreaterThanOrEqual(0);
          activations.push(name);
          return a;
        },
      });
    });
    expect(activations.slice(0, 3)).toEqual(["relu", "layer1.0.relu1", "layer1.0.relu2"]);
    expect(new Set(activations).size).toBe(19);
    expect(weights.at(-1)).toBe("linear.weight");
    expect(new Set(weights).size).toBe(20);
    tf.dispose(parameters);
  });

  it("has He et al.'s number of parameters: 0.27, 0.46, 0.66 and 0.85 million", () => {
    const millions = [20, 32, 44, 56].map((depth) => {
      const parameters = initialCifarResnet(depth, 10, 1);
      const trained = Object.entries(parameters).filter(([name]) => !name.includes("running"));
      const count = trained.reduce((sum, [, tensor]) => sum + tensor.size, 0);
      tf.dispose(parameters);
      return (count / 1e6).toFixed(2);
    });
    expect(millions).toEqual(["0.27", "0.46", "0.66", "0.85"]);
    expect(() => initialCifarResnet(18, 10, 1)).toThrow(RangeError);
  });

  it("takes every second pixel in its shortcut and puts zero channels on both sides", () => {
    // With residual branches of zero the shortcut is all there is: relu(x) on 16 channels, halved twice.
    const parameters = initialCifarResnet(20, 10, 1);
    for (const name of Object.keys(parameters)) {
      if (!/conv2\.weight$/.test(name)) continue;
      const zero = tf.zerosLike(parameters[name]!);
      parameters[name]!.dispose();
      parameters[name] = zero;
    }
    const seen: Record<string, tf.Tensor4D> = {};
    tf.tidy(() => {
      const x = tf.randomNormal([2, 8, 8, 3], 0, 1, "float32", 3) as tf.Tensor4D;
      cifarResnet(parameters, x, {
        activation: (a, name) => {
          if (name === "layer1.2.relu2" || name === "layer2.0.relu2") {
            seen[name] = tf.keep(a.clone()) as unknown as tf.Tensor4D;
          }
          return a;
        },
      });
    });
    const before = seen["layer1.2.relu2"]!.arraySync();
    const after = seen["layer2.0.relu2"]!.arraySync();
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 4; x++) {
        const padded = [...Array(8).fill(0), ...before[1]![2 * y]![2 * x]!, ...Array(8).fill(0)];
        expect(after[1]![y]![x]).toEqual(padded);
      }
    }
    tf.dispose([seen, parameters]);
  });

  it("names the parameter that is missing and the size that does not fit", () => {
    const { "linear.bias": bias, ...parameters } = initialCifarResnet(20, 10, 1);
    expect(() => tf.tidy(() => cifarResnet(parameters, tf.zeros([1, 8, 8, 3])))).toThrow(/"linear.bias"/);
    expect(() => tf.tidy(() => cifarResnet(parameters, tf.zeros([1, 10, 8, 3])))).toThrow(/multiples of 4/);
    tf.dispose([bias!, parameters]);
  });
});

describe("training", () => {
  it("has the gradient that finite differences have, through batch statistics, strides and shortcuts", () => {
    const parameters = variables(initialCifarResnet(8, 3, 5));
    const x = tf.randomNormal([4, 8, 8, 3], 0, 1, "float32", 7) as tf.Tensor4D;
    const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 1], "int32"), 3);
    const loss = () =>
      tf.tidy(() => {
        const statistics: Record<string, BatchStatistics> = {};
        const logits = cifarResnet(parameters, x, {}, normalizeByBatchStatistics(parameters, statistics));
        tf.dispose(statistics as unknown as tf.TensorContainer);
        return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
      });
    const { grads } = tf.variableGrads(loss);
    for (const name of ["conv1.weight", "layer2.0.conv1.weight", "layer3.0.bn2.weight", "linear.weight"]) {
      const variable = parameters[name]!;
      const gradient = Object.entries(grads)
        .find(([id]) => id === variable.name)![1]
        .dataSync();
      // Along the gradient itself the slope is its squared norm: one comparison covers every element.
      const norm = Math.hypot(...gradient);
      const original = variable.dataSync().slice() as Float32Array;
      const at = (step: number) => {
        variable.assign(
          tf.tensor(
            original.map((w, i) => w + (step * gradient[i]!) / norm),
            variable.shape,
          ),
        );
        return loss().dataSync()[0]!;
      };
      const slope = (at(2e-3) - at(-2e-3)) / 4e-3;
      at(0);
      expect(Math.abs(slope - norm) / norm, name).toBeLessThan(0.02);
    }
    tf.disposeVariables();
  });

  it("moves running statistics as PyTorch does, leaks nothing, and learns", () => {
    const initial = initialCifarResnet(8, 2, 9);
    const parameters = variables(initial);
    const names = new Map(Object.entries(parameters).map(([name, variable]) => [variable.name, name]));
    // Class 1 is brighter on the left, class 0 on the right.
    const images = Float32Array.from({ length: 16 * 192 }, (_, i) => {
      const left = Math.floor(i / 3) % 8 < 4;
      return (Math.floor(i / 192) % 2 === 1) === left ? 1 : -0.5;
    });
    const x = tf.tensor4d(images, [16, 8, 8, 3]);
    const labels = tf.oneHot(
      tf.tensor1d(
        Array.from({ length: 16 }, (_, i) => i % 2),
        "int32",
      ),
      2,
    );
    const optimizer = tf.train.sgd(0.1);
    const statistics: Record<string, BatchStatistics> = {};
    const losses: number[] = [];
    let tensors = 0;
    for (let step = 0; step < 8; step++) {
      const loss = optimizer.minimize(() => {
        const logits = cifarResnet(parameters, x, {}, normalizeByBatchStatistics(parameters, statistics));
        return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
      }, true)!;
      losses.push(loss.dataSync()[0]!);
      loss.dispose();
      if (step === 0) {
        const { mean, variance, count } = statistics["bn1"]!;
        const expected = [
          mean.dataSync()[3]! * 0.1,
          0.9 + (0.1 * variance.dataSync()[3]! * count) / (count - 1),
        ];
        expect(count).toBe(16 * 64);
        updateRunningStatistics(parameters, statistics);
        expect(parameters["bn1.running_mean"]!.dataSync()[3]).toBeCloseTo(expected[0]!, 6);
        expect(parameters["bn1.running_var"]!.dataSync()[3]).toBeCloseTo(expected[1]!, 6);
        tensors = tf.memory().numTensors;
      } else {
        updateRunningStatistics(parameters, statistics);
      }
    }
    expect(tf.memory().numTensors).toBe(tensors);
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
    expect([...names.values()]).toContain("layer3.0.bn2.running_var");
    tf.disposeVariables();
    tf.dispose(initial);
  });
});

describe("parameters", () => {
  it("fold to the same network, without batch norm", () => {
    const parameters = initialCifarResnet(20, 10, 3);
    for (const [name, tensor] of Object.entries(parameters)) {
      if (tensor.rank !== 1) continue;
      parameters[name] = tf.randomUniform(
        tensor.shape,
        name.includes("mean") ? -0.3 : 0.5,
        1.5,
        "float32",
        11,
      );
      tensor.dispose();
    }
    const folded = foldBatchNorm(parameters);
    expect(Object.keys(folded).filter((name) => name.includes("bn"))).toEqual([]);
    const difference = tf.tidy(() => {
      const x = tf.randomNormal([2, 16, 16, 3], 0, 1, "float32", 5) as tf.Tensor4D;
      const [a, b] = [cifarResnet(parameters, x), cifarResnet(folded, x)];
      return tf.div(tf.max(tf.abs(tf.sub(a, b))), tf.max(tf.abs(a))).dataSync()[0]!;
    });
    expect(difference).toBeLessThan(1e-5);
    tf.dispose([parameters, folded]);
  });

  it("keep every value through PyTorch's layout and back", () => {
    const parameters = initialCifarResnet(20, 10, 4);
    const entries = pyTorchFromParameters(parameters);
    expect(entries["layer2.0.conv1.weight"]!.shape).toEqual([32, 16, 3, 3]);
    expect(entries["linear.weight"]!.shape).toEqual([10, 64]);
    // OIHW [5, 7, 2, 1] is HWIO [2, 1, 7, 5].
    const filter = parameters["layer2.0.conv1.weight"] as tf.Tensor4D;
    expect(entries["layer2.0.conv1.weight"]!.values[((5 * 16 + 7) * 3 + 2) * 3 + 1]).toBe(
      filter.arraySync()[2]![1]![7]![5],
    );
    const again = parametersFromPyTorch(entries);
    for (const [name, tensor] of Object.entries(parameters)) {
      expect(again[name]!.shape).toEqual(tensor.shape);
      expect(again[name]!.dataSync()).toEqual(tensor.dataSync());
    }
    tf.dispose([parameters, again]);
  });
});
