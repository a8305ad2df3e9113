import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { afterEach, expect, test } from "vitest";
import { calibrate } from "../../../src/calibrate.js";
import { compressModel } from "../../../src/compress.js";
import { memoryFiles } from "../../../src/formats/files.js";
import { readTfjs, writeTfjs } from "../../../src/formats/tfjs.js";
import { openBitdiet } from "../../../src/loaders/open.js";
import { openSource } from "../../../src/loaders/source.js";
import { layersProgram } from "../../../src/networks/tfjs/layers.js";
import { tfjsNetwork } from "../../../src/networks/tfjs/network.js";
import type { Program } from "../../../src/networks/tfjs/program.js";
import { shrinkCorrelations } from "../../../src/networks/tfjs/shrink.js";
import { artifactFiles, collect, type Files, filesHandler, normals } from "../../formats/small-models.js";

const { layers: make } = layers;

/** A residual block with batch norms, strides and every padding, a dropout, and a softmax at its end. */
function residualModel(): layers.LayersModel {
  const input = layers.input({ shape: [9, 8, 3] });
  const conv = (filters: number, more: object) =>
    make.conv2d({ filters, kernelSize: 3, padding: "same", ...more });
  const norm = () => make.batchNormalization({});
  const first = make
    .activation({ activation: "relu" })
    .apply(norm().apply(conv(6, { useBias: false, strides: 2 }).apply(input)));
  const inner = conv(6, { activation: "relu" }).apply(first);
  const branch = norm().apply(conv(6, { useBias: true }).apply(inner));
  const sum = make.activation({ activation: "relu" }).apply(make.add().apply([first, branch] as never));
  const valid = make.conv2d({ filters: 5, kernelSize: [2, 3], activation: "relu" }).apply(sum);
  const depthwise = make.depthwiseConv2d({ kernelSize: 2 }).apply(valid);
  const pooled = make.globalAveragePooling2d({}).apply(depthwise);
  const dropped = make.dropout({ rate: 0.5 }).apply(pooled);
  const output = make.dense({ units: 4, activation: "softmax" }).apply(dropped);
  const model = layers.model({ inputs: input, outputs: output as layers.SymbolicTensor });
  model.setWeights(
    model.weights.map((weight, i) => {
      const shape = weight.shape as number[];
      const size = shape.reduce((a, b) => a * b, 1);
      const values = normals(
        size,
        i + 1,
        weight.name.includes("kernel") ? Math.sqrt((2 * shape.at(-1)!) / size) : 0.3,
      );
      return tf.tensor(
        weight.name.includes("variance") || weight.name.includes("gamma")
          ? values.map((v) => v * v + 0.5)
          : values,
        shape,
      );
    }),
  );
  return model;
}

async function filesOf(model: layers.LayersModel): Promise<Files> {
  let files: Files = {};
  await model.save({
    save: async (artifacts) => {
      files = artifactFiles(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    },
  });
  return files;
}
const count = 24;
const inputs = normals(count * 9 * 8 * 3, 77);
const shape = [count, 9, 8, 3];
const predict = (model: layers.LayersModel, x = inputs, n = count) =>
  tf.tidy(() => (model.predict(tf.tensor(x, [n, 9, 8, 3])) as tf.Tensor).dataSync<"float32">().slice());
const softmax = (logits: Float32Array) =>
  tf.tidy(() =>
    tf
      .softmax(tf.tensor2d(logits, [logits.length / 4, 4]))
      .dataSync<"float32">()
      .slice(),
  );
const worst = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));

const networkOf = (program: Program, data = inputs, dims = shape) =>
  tfjsNetwork({ format: "tfjs-layers", tensors: [], metadata: {} }, program, [
    new Map([[program.inputs[0].name, { dtype: "float32" as const, shape: dims, data }]]),
  ]);

let model: layers.LayersModel;
afterEach(() => model.dispose());

test("a walk with the layers' own parameters gives the model's predictions, batch norms folded", async () => {
  model = residualModel();
  const network = layersProgram(model);
  expect(network.layers.map(({ rows, columns, kernel }) => [rows, columns, kernel])).toEqual([
    [6, 27, [3, 3]],
    [6, 54, [3, 3]],
    [6, 54, [3, 3]],
    [5, 36, [2, 3]],
    [5, 4, [2, 2]],
    [4, 5, [1, 1]],
  ]);
  expect(network.layers.map(({ groups }) => groups)).toEqual([1, 1, 1, 1, 5, 1]);
  expect(network.outputs.map(({ isClassifier }) => isClassifier)).toEqual([true]);
  const before = tf.memory().numTensors;
  const outputs = await networkOf(network).walk((layer, { residual }) => {
    expect(Math.max(...residual.map(Math.abs))).toBeLessThan(1e-5);
    return network.layers[layer];
  });
  expect(tf.memory().numTensors).toBe(before);
  expect(worst(softmax(outputs), predict(model))).toBeLessThan(1e-5);
});

test("second moments of a dense layer's inputs are those of the features that the model computes", async () => {
  model = residualModel();
  const network = layersProgram(model);
  let gram: ArrayLike<number> = [];
  await networkOf(network).walk((layer, statistics) => {
    gram = statistics.gram;
    return network.layers[layer];
  });
  const features = layers.model({
    inputs: model.inputs,
    outputs: model.layers.at(-2)!.output as layers.SymbolicTensor,
  });
  const x = predict(features);
  const expected = new Float64Array(36);
  for (let i = 0; i < 6; i++) {
    for (let j = 0; j < 6; j++) {
      for (let n = 0; n < count; n++)
        expected[i * 6 + j] += ((i < 5 ? x[n * 5 + i] : 1) * (j < 5 ? x[n * 5 + j] : 1)) / count;
    }
  }
  // As far as 24 samples can be trusted.
  expect(shrinkCorrelations(expected, 6, count, count)).toBeGreaterThan(0.01);
  expected.forEach((value, i) => {
    expect(gram[i]).toBeCloseTo(value, 4);
  });
});

test("the residual is the error that an earlier layer left, the sum with its other branch included", async () => {
  model = residualModel();
  const network = layersProgram(model);
  const added = network.operations.find(({ addedTo }) => addedTo !== undefined);
  expect(added?.layer).toBe(2);
  const residuals: number[] = [];
  await networkOf(network).walk((layer, { residual }) => {
    residuals.push(Math.max(...residual.map(Math.abs)));
    const { weights, biases } = network.layers[layer];
    return layer === 0 ? { weights: weights.map((w) => 0.8 * w), biases } : { weights, biases };
  });
  expect(residuals[0]).toBeLessThan(1e-6);
  for (const residual of residuals.slice(1)) expect(residual).toBeGreaterThan(1e-3);
});

test("mean squared gradients are those of the KL divergence, by finite differences", async () => {
  model = residualModel();
  const network = layersProgram(model);
  const many = 160;
  const calibration = networkOf(network, normals(many * 216, 79), [many, 9, 8, 3]);
  const last = network.layers.length - 1;
  const sums = new Float64Array(network.layers[last].weights.length);
  let passes = 0;
  const before = tf.memory().numTensors;
  await calibration.gradients((gradients) => {
    passes++;
    gradients[last].forEach((g, i) => {
      sums[i] += g * g;
    });
  });
  expect(tf.memory().numTensors).toBe(before);
  expect(passes).toBe(many / 4);
  // KL(p || q) of the whole set after one weight moved: half its Hessian times the square.
  const outputs = async (index: number, by: number) => {
    return calibration.walk((layer) => {
      const { weights, biases } = network.layers[layer];
      return {
        weights: layer === last ? weights.map((w, i) => (i === index ? w + by : w)) : weights,
        biases,
      };
    });
  };
  const p = softmax(await outputs(0, 0));
  let [measured, estimated] = [0, 0];
  for (let index = 0; index < sums.length; index += 3) {
    const q = softmax(await outputs(index, 0.05));
    const kl = p.reduce((sum, value, i) => sum + value * Math.log(value / q[i]), 0) / many;
    measured += (2 * kl) / 0.05 ** 2;
    estimated += sums[index] / passes;
  }
  // 160 random projections stand for an expectation.
  expect(estimated / measured).toBeGreaterThan(0.7);
  expect(estimated / measured).toBeLessThan(1.4);
});

test("calibrated levels lose a quarter of what those from the weights alone do, in no more bytes", async () => {
  model = residualModel();
  const source = await readTfjs(memoryFiles(await filesOf(model)), "model.json");
  const quantize = await calibrate(source, { inputs: normals(100 * 216, 80), shape: [100, 9, 8, 3] });
  const tests = normals(100 * 9 * 8 * 3, 78);
  const exact = predict(model, tests, 100);
  const divergence = async (bytes: Uint8Array) => {
    const decoded = (await openBitdiet(await openSource(bytes))).model;
    const loaded = await layers.loadLayersModel(filesHandler(await collect(writeTfjs(decoded))));
    const q = predict(loaded, tests, 100);
    loaded.dispose();
    return exact.reduce((sum, p, i) => sum + p * Math.log(p / q[i]), 0) / 100;
  };
  const { bytes, report } = await compressModel(source, { bits: 4 }, { quantize });
  expect(Math.abs(report.bits - 4)).toBeLessThan(0.1);
  expect(bytes.length).toBe(report.bytes);
  const plain = await compressModel(source, { maxBytes: Math.ceil(1.02 * bytes.length) });
  expect(await divergence(bytes)).toBeLessThan((await divergence(plain.bytes)) / 4);
  const budget = await compressModel(source, { maxBytes: 1900 }, { quantize });
  expect(budget.report.bytes).toBeLessThanOrEqual(1900);
  expect(budget.report.bytes).toBeGreaterThan(1800);
  await expect(compressModel(source, { maxBytes: 300 }, { quantize })).rejects.toThrow(
    "expected at most 300 bytes",
  );
  await expect(calibrate(source, { inputs, shape: [24, 9, 9, 3] })).rejects.toThrow(
    "shape: expected [any,9,8,3]",
  );
  const broken = async (change: (values: Float32Array) => void) => {
    const values = inputs.slice();
    change(values);
    return calibrate(source, { inputs: values, shape });
  };
  await expect(broken((values) => values.fill(0))).rejects.toThrow("expected numbers that differ, got 0");
  await expect(broken((values) => values.fill(NaN, 7, 8))).rejects.toThrow("got NaN at 7 of number 0");
  await expect(broken((values) => values.fill(1e30))).rejects.toThrow(
    "expected numbers up to 1000000000000000, got 1.0",
  );
  await expect(calibrate({ ...source, format: "onnx" }, { inputs, shape })).rejects.toThrow("got onnx");
});
