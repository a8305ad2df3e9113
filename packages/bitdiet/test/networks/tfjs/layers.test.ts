import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { afterEach, expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import { savedFiles, withNormalWeights } from "../../formats/small-models.js";
import { expectSameOutputs } from "./calibration-path.js";

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
      const x = input([5, 4, 2]);
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

let built: layers.LayersModel;
afterEach(() => built.dispose());

test.each(Object.entries(models))(
  "%s: the same operation by operation, and finely quantized",
  async (_, { build, sizes }) => {
    built = build();
    const source = await readTfjs(memoryFiles(await savedFiles(built)), "model.json");
    const program = await expectSameOutputs(source);
    expect(program.layers.map(({ rows, columns }) => [rows, columns])).toEqual(sizes);
  },
);
