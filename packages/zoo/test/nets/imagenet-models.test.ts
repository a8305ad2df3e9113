import { readFile } from "node:fs/promises";
import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { fixture } from "../../src/data/outside.js";
import { foldBatchNorm } from "../../src/nets/batch-norm.js";
import type { FloatTensor } from "../../src/nets/checkpoint-file.js";
import { imagenetResnet } from "../../src/nets/imagenet-resnet.js";
import { mobilenetV2 } from "../../src/nets/mobilenet-v2.js";
import { parametersFromPyTorch } from "../../src/nets/parameters.js";
import { useBackend } from "../../src/training/backend.js";

const expectedPath = fixture("imagenet-architectures.json");

beforeAll(() => useBackend("wasm"));

interface Case {
  shapes: Record<string, number[]>;
  model: (parameters: Parameters, x: tf.Tensor4D, hooks?: Hooks) => tf.Tensor2D;
  activations: number;
}

const cases: Record<string, Case> = {
  resnet18: { shapes: resnetShapes([2, 2, 2, 2], false), model: imagenetResnet, activations: 17 },
  resnet34: { shapes: resnetShapes([3, 4, 6, 3], false), model: imagenetResnet, activations: 33 },
  resnet50: { shapes: resnetShapes([3, 4, 6, 3], true), model: imagenetResnet, activations: 49 },
  // 1 stem, 17 blocks with 1 output and 2 ReLU6 each (the first has 1), 1 head.
  mobilenet_v2: { shapes: mobilenetShapes(), model: mobilenetV2, activations: 1 + 17 * 3 - 1 + 1 },
};

describe.skipIf(!expectedPath)("ImageNet architectures against torchvision", () => {
  for (const [name, { shapes, model, activations }] of Object.entries(cases)) {
    it(`${name} gives torchvision's logits within 1e-3 of their range, folded too`, async () => {
      const expected = JSON.parse(await readFile(expectedPath!, "utf8")).models[name];
      const parameters = parametersFromPyTorch(filled(shapes));
      const trained = Object.entries(parameters).filter(([key]) => !key.includes("running_"));
      expect(trained.reduce((sum, [, tensor]) => sum + tensor.size, 0)).toBe(expected.parameters);
      const folded = foldBatchNorm(parameters);
      expect(Object.keys(folded).filter((key) => key.includes("running_"))).toEqual([]);

      const x = tf.tidy(() =>
        tf.transpose(tf.tensor4d(sines(3 * 64 * 64), [1, 3, 64, 64]), [0, 2, 3, 1]),
      ) as tf.Tensor4D;
      const before = tf.memory().numTensors;
      for (const using of [parameters, folded]) {
        const names = new Set<string>();
        const weights = new Set<string>();
        const logits = tf.tidy(() =>
          model(using, x, {
            weight: (w, key) => {
              weights.add(key);
              return w;
            },
            activation: (a, key) => {
              names.add(key);
              return a;
            },
          }).dataSync<"float32">(),
        );
        const tolerance = 1e-3 * expected.max;
        for (const [i, value] of expected.first_16_logits.entries()) {
          expect(Math.abs(logits[i]! - value), `logit ${i}`).toBeLessThan(tolerance);
        }
        expect(logits.indexOf(Math.max(...logits))).toBe(expected.argmax);
        expect(Math.abs(Math.max(...logits) - expected.max)).toBeLessThan(tolerance);
        const mean = logits.reduce((sum, value) => sum + value, 0) / logits.length;
        expect(Math.abs(mean - expected.mean)).toBeLessThan(tolerance);
        expect(names.size).toBe(activations);
        expect(weights).toEqual(new Set(Object.keys(shapes).filter((key) => shapes[key]!.length > 1)));
      }
      expect(tf.memory().numTensors).toBe(before);
      tf.dispose([parameters, folded, x]);
    });
  }
});

describe("training", () => {
  it("gives MobileNetV2's depthwise filters and ResNet's projections a gradient, like finite differences", () => {
    const shapes = { mobilenetV2: mobilenetShapes(), imagenetResnet: resnetShapes([1, 1, 1, 1], true) };
    const checks = [
      [mobilenetV2, shapes.mobilenetV2, "features.2.conv.1.0.weight"],
      [imagenetResnet, shapes.imagenetResnet, "layer2.0.downsample.0.weight"],
    ] as const;
    for (const [model, shape, name] of checks) {
      const parameters = foldedOf(shape);
      const x = tf.randomNormal([1, 32, 32, 3], 0, 1, "float32", 3) as tf.Tensor4D;
      const loss = (filter: tf.Tensor) =>
        tf.mean(tf.square(model({ ...parameters, [name]: filter }, x))) as tf.Scalar;
      const filter = parameters[name]!;
      const [gradient, norm] = tf.tidy(() => {
        const g = tf.grad(loss)(filter);
        return [tf.keep(g), tf.norm(g).dataSync()[0]!];
      });
      const step = (0.001 * tf.tidy(() => tf.norm(filter).dataSync()[0]!)) / norm;
      const at = (sign: number) =>
        tf.tidy(() => loss(tf.add(filter, tf.mul(gradient, sign * step))).dataSync()[0]!);
      const slope = (at(1) - at(-1)) / (2 * step * norm);
      expect(norm).toBeGreaterThan(0);
      expect(Math.abs(slope - norm) / norm, name).toBeLessThan(0.03);
      tf.dispose([parameters, gradient, x]);
    }
  });
});

function foldedOf(shapes: Record<string, number[]>): Parameters {
  const parameters = parametersFromPyTorch(filled(shapes));
  const folded = foldBatchNorm(parameters);
  tf.dispose(parameters);
  return folded;
}

// torchvision's state_dict, written down from its documentation of names and the papers' tables.
function resnetShapes(blocks: number[], isBottleneck: boolean): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  addConvolution(shapes, "conv1", "bn1", [64, 3, 7, 7]);
  const expansion = isBottleneck ? 4 : 1;
  let inputs = 64;
  for (const [stage, count] of blocks.entries()) {
    const width = 64 << stage;
    for (let block = 0; block < count; block++) {
      const name = `layer${stage + 1}.${block}`;
      const filters = isBottleneck
        ? [
            [width, inputs, 1, 1],
            [width, width, 3, 3],
            [4 * width, width, 1, 1],
          ]
        : [
            [width, inputs, 3, 3],
            [width, width, 3, 3],
          ];
      for (const [i, shape] of filters.entries()) {
        addConvolution(shapes, `${name}.conv${i + 1}`, `${name}.bn${i + 1}`, shape);
      }
      if (inputs !== expansion * width) {
        addConvolution(shapes, `${name}.downsample.0`, `${name}.downsample.1`, [
          expansion * width,
          inputs,
          1,
          1,
        ]);
      }
      inputs = expansion * width;
    }
  }
  return { ...shapes, "fc.weight": [1000, inputs], "fc.bias": [1000] };
}

function mobilenetShapes(): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  const add = (name: string, norm: string, shape: number[]) =>
    addConvolution(shapes, `features.${name}`, `features.${norm}`, shape);
  add("0.0", "0.1", [32, 3, 3, 3]);
  let inputs = 32;
  let block = 0;
  // Expansion, output channels, repetitions.
  for (const [expansion, outputs, count] of [
    [1, 16, 1],
    [6, 24, 2],
    [6, 32, 3],
    [6, 64, 4],
    [6, 96, 3],
    [6, 160, 3],
    [6, 320, 1],
  ] as const) {
    for (let i = 0; i < count; i++) {
      block++;
      const width = expansion * inputs;
      let module = 0;
      if (expansion > 1)
        add(`${block}.conv.${module}.0`, `${block}.conv.${module++}.1`, [width, inputs, 1, 1]);
      add(`${block}.conv.${module}.0`, `${block}.conv.${module++}.1`, [width, 1, 3, 3]);
      add(`${block}.conv.${module}`, `${block}.conv.${module + 1}`, [outputs, width, 1, 1]);
      inputs = outputs;
    }
  }
  add("18.0", "18.1", [1280, inputs, 1, 1]);
  return { ...shapes, "classifier.1.weight": [1000, 1280], "classifier.1.bias": [1000] };
}

function addConvolution(
  shapes: Record<string, number[]>,
  filter: string,
  norm: string,
  shape: number[],
): void {
  shapes[`${filter}.weight`] = shape;
  for (const role of ["weight", "bias", "running_mean", "running_var"])
    shapes[`${norm}.${role}`] = [shape[0]!];
}

// The formula of the fixture's "how".
function filled(shapes: Record<string, number[]>): Record<string, FloatTensor> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const size = shape.reduce((product, side) => product * side, 1);
      const phase = crc32(name) % 1000;
      const fanIn = size / shape[0]!;
      const values = Float32Array.from({ length: size }, (_, i) => {
        const s = Math.sin(i * 0.7390851 + phase);
        if (name.endsWith("running_var")) return 1 + 0.2 * Math.abs(s);
        if (name.endsWith("running_mean") || name.endsWith("bias")) return 0.05 * s;
        return shape.length === 1 ? 1 + 0.1 * s : Math.sqrt(2 / fanIn) * Math.SQRT2 * s;
      });
      return [name, { shape, values }];
    }),
  );
}

function sines(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(0.01 * i));
}

function crc32(text: string): number {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
