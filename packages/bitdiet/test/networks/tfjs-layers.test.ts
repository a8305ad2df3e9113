import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { afterEach, describe, expect, test } from "vitest";
import { dequantize } from "../../src/file/quantized-tensor.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readTfjs } from "../../src/formats/tfjs.js";
import { type Feeds, madeUpInputs } from "../../src/networks/made-up-inputs.js";
import { tfjsRunner } from "../../src/networks/run-tfjs.js";
import type { RunTensor } from "../../src/networks/runner.js";
import type { layersProgram } from "../../src/networks/tfjs-layers.js";
import { tfjsNetwork, tfjsProgram } from "../../src/networks/tfjs-network.js";
import { measureSensitivities, quantizeCalibrated } from "../../src/quantize/calibrated.js";
import { savedFiles, withNormalWeights } from "../formats/small-models.js";

const { layers: make } = layers;
type Symbolic = layers.SymbolicTensor;
const input = (shape: number[], more = {}) => layers.input({ shape, ...more });
const chain = (x: Symbolic, ...steps: { apply(x: Symbolic): unknown }[]) =>
  steps.reduce((y, step) => step.apply(y) as Symbolic, x);
const model = (inputs: Symbolic | Symbolic[], outputs: Symbolic | Symbolic[]) =>
  withNormalWeights(layers.model({ inputs, outputs }));

/** Small models by what they have that others have not, and rows x columns of their layers. */
const models: Record<string, { build(): layers.LayersModel; sizes: number[][] }> = {
  "depthwise kernels with strides, and batch norm behind each": {
    build: () => {
      const x = input([9, 8, 3]);
      const y = chain(
        x,
        make.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: "same", useBias: false }),
        make.batchNormalization({}),
        make.reLU({ maxValue: 6 }),
        make.conv2d({ filters: 5, kernelSize: 1, useBias: false }),
        make.batchNormalization({ scale: false, center: false }),
        make.flatten(),
        make.dense({ units: 4, activation: "softmax" }),
        make.reshape({ targetShape: [1, 4] }),
      );
      return model(x, y);
    },
    sizes: [
      [3, 9],
      [5, 3],
      [4, 100],
    ],
  },
  "separable, transposed and dilated convolutions": {
    build: () => {
      const x = input([8, 9, 2]);
      const y = chain(
        x,
        make.separableConv2d({ filters: 4, kernelSize: 3, activation: "elu" }),
        make.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: "same" }),
        make.conv2dTranspose({ filters: 2, kernelSize: [4, 3], strides: [2, 3] }),
        make.conv2d({ filters: 3, kernelSize: 3, dilationRate: [2, 3], padding: "same" }),
        make.globalAveragePooling2d({}),
      );
      return model(x, y);
    },
    sizes: [
      [2, 9],
      [4, 2],
      [3, 36],
      [2, 36],
      [3, 18],
    ],
  },
  "convolutions over time, dilated ones, and dense layers at every step": {
    build: () => {
      const x = input([12, 3]);
      const y = chain(
        x,
        make.conv1d({ filters: 4, kernelSize: 3, padding: "same", dilationRate: 2, activation: "tanh" }),
        make.conv1d({ filters: 5, kernelSize: 2, strides: 2 }),
        make.dense({ units: 3 }),
      );
      return model(x, y);
    },
    sizes: [
      [4, 9],
      [5, 8],
      [3, 5],
    ],
  },
  "several inputs and outputs, ids among them, and a norm that nothing is folded into": {
    build: () => {
      const [ids, extra] = [input([4], { dtype: "int32" }), input([6])];
      const words = chain(
        ids,
        make.embedding({ inputDim: 20, outputDim: 6 }),
        make.globalAveragePooling1d({}),
      );
      const sum = make.add().apply([words, extra]) as Symbolic;
      const normed = chain(sum, make.batchNormalization({}), make.dense({ units: 5, activation: "relu" }));
      return model(
        [ids, extra],
        [
          chain(normed, make.dense({ units: 3, activation: "softmax" })),
          chain(normed, make.dense({ units: 2 })),
        ],
      );
    },
    sizes: [
      [5, 6],
      [3, 5],
      [2, 5],
    ],
  },
  "a recurrent layer that is run as it is, between layers without biases": {
    build: () => {
      const x = input([5, 3]);
      const y = chain(
        x,
        make.dense({ units: 4, useBias: false }),
        make.lstm({ units: 3, recurrentInitializer: "zeros" }),
        make.dense({ units: 2, useBias: false }),
      );
      return model(x, y);
    },
    sizes: [
      [4, 3],
      [2, 3],
    ],
  },
};

/** Inputs of one batch; feeds of one input each, as they are made up. */
const feedsOf = (program: ReturnType<typeof layersProgram>) =>
  madeUpInputs(program.inputs, { count: 24, hints: { vocabulary: 20 } });
async function predictions(source: Parameters<typeof tfjsRunner>[0], feeds: readonly Feeds[]) {
  const runner = await tfjsRunner(source, { core: tf, layers });
  const rows: Float32Array[][] = [];
  for (const feed of feeds) {
    const outputs = await runner.run(feed);
    rows.push([...outputs.values()].map(({ data }: RunTensor) => data as Float32Array));
  }
  await runner.dispose();
  return rows;
}
const softmax = (logits: Float32Array) =>
  tf.tidy(() => tf.softmax(tf.tensor1d(logits)).dataSync<"float32">().slice());

let built: layers.LayersModel;
afterEach(() => built.dispose());

describe.each(Object.entries(models))("%s", (_, { build, sizes }) => {
  test("run operation by operation as by TF.js, and fine quantization changes next to nothing", async () => {
    built = build();
    const source = await readTfjs(memoryFiles(await savedFiles(built)), "model.json");
    const before = tf.memory().numTensors;
    const program = await tfjsProgram(source);
    const owned = tf.memory().numTensors;
    expect(program.layers.map(({ rows, columns }) => [rows, columns])).toEqual(sizes);
    const feeds = feedsOf(program);
    const network = tfjsNetwork(source, program, feeds);
    const outputs = await network.walk((layer, { residual, gram }) => {
      expect(residual.every((value) => Math.abs(value) < 1e-4)).toBe(true);
      const { columns, groups = 1 } = program.layers[layer];
      expect(gram.length).toBe(groups * (columns + 1) ** 2);
      return program.layers[layer];
    });
    const expected = await predictions(source, feeds);
    const width = outputs.length / feeds.length;
    for (const [i, row] of expected.entries()) {
      let at = i * width;
      for (const [o, values] of row.entries()) {
        const found = outputs.slice(at, at + values.length);
        at += values.length;
        const compared = program.outputs[o].isClassifier ? softmax(found) : found;
        values.forEach((value, k) => {
          expect(compared[k]).toBeCloseTo(value, 4);
        });
      }
    }
    const sensitivities = await measureSensitivities(network);
    const { layers: quantized } = await quantizeCalibrated(network, sensitivities, 1e-11);
    const { tensors, model: folded } = network.restore(quantized);
    const restored = {
      ...source,
      tensors: folded!.tensors.map((tensor) => {
        const found = tensors.get(tensor.name);
        if (!found || typeof found === "function") return tensor;
        return { ...tensor, bytes: async () => new Uint8Array(dequantize(found).buffer) };
      }),
    };
    const after = await predictions(restored, feeds);
    for (const [i, row] of after.entries()) {
      for (const [o, values] of row.entries())
        values.forEach((value, k) => {
          expect(value).toBeCloseTo(expected[i][o][k], 2);
        });
    }
    expect(tf.memory().numTensors).toBe(owned);
    expect(owned).toBeGreaterThan(before);
  });
});
