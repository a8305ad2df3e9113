import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { expect, test } from "vitest";
import { calibrate } from "../../../src/calibrate.js";
import { memoryFiles } from "../../../src/formats/files.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import { checkInputs, rangeWarning } from "../../../src/networks/inputs/check.js";
import { madeUpInputs } from "../../../src/networks/inputs/made-up.js";
import { layersProgram } from "../../../src/networks/tfjs/layers.js";
import { fittingRange, trainingDistance } from "../../../src/networks/tfjs/training-distance.js";
import { normals, savedFiles, withNormalWeights } from "../../formats/small-models.js";

const feedsOf = (change: (values: Float32Array) => void, count = 20) => {
  const data = normals(count * 6, 3);
  change(data);
  return [new Map([["x", { dtype: "float32" as const, shape: [count, 6], data }]])];
};

test("inputs that can be are passed, others are refused or remarked upon with numbers", () => {
  expect(checkInputs(feedsOf(() => {}))).toEqual([]);
  expect(() => checkInputs([])).toThrow("inputs: expected some, got none");
  expect(() => checkInputs(feedsOf((values) => values.fill(NaN, 7, 8)))).toThrow(
    "inputs: x: expected numbers up to 1000000000000000, got NaN at 1 of number 1",
  );
  expect(() => checkInputs(feedsOf((values) => values.fill(1e30)))).toThrow("e+30 at 0 of number 0");
  expect(() => checkInputs(feedsOf((values) => values.fill(2)))).toThrow(
    "expected numbers that differ, got 2",
  );
  expect(checkInputs(feedsOf(() => {}, 5))).toEqual([
    "inputs: 5 are few; a hundred or more tell what a model sees",
  ]);
  expect(checkInputs(feedsOf((values) => values.fill(1, 0, 12)))).toEqual([
    "inputs: x: 2 of 20 hold one number only",
    "inputs: x: 1 of 20 are equal to the first",
  ]);
});

/** A model whose batch norm has seen pictures of 0 to 255, made up by another seed. */
function trainedOnBytes() {
  const x = layers.input({ shape: [12, 12, 3] });
  const padded = layers.layers.zeroPadding2d({ padding: 1 }).apply(x);
  const conv = layers.layers.conv2d({ filters: 8, kernelSize: 3, useBias: false }).apply(padded);
  const y = layers.layers.batchNormalization({}).apply(conv);
  const model = withNormalWeights(layers.model({ inputs: x, outputs: y as layers.SymbolicTensor }));
  const features = layers.model({ inputs: x, outputs: conv as layers.SymbolicTensor });
  const [{ shape, dtype }] = layersProgram(model).inputs;
  const feeds = madeUpInputs([{ name: "x", shape, dtype }], {
    count: 20,
    seed: 9,
    hints: { range: { mean: [0], deviation: [1 / 255] } },
  });
  tf.tidy(() => {
    const pictures = tf.concat(
      feeds.map((feed) => tf.tensor(feed.get("x")!.data as Float32Array, [1, 12, 12, 3])),
    );
    const { mean, variance } = tf.moments(features.predict(pictures) as tf.Tensor, [0, 1, 2]);
    const [kernel, gamma, beta] = model.getWeights();
    model.setWeights([kernel, tf.onesLike(gamma), tf.zerosLike(beta), mean, variance]);
  });
  return model;
}

test("the range of pixels is that which the first batch norm was trained on; another is remarked upon", () => {
  const model = trainedOnBytes();
  const program = layersProgram(model);
  const before = tf.memory().numTensors;
  const range = fittingRange(program, 1);
  expect(range?.deviation[0]).toBeCloseTo(1 / 255, 8);
  const distanceAt = (deviation: number) =>
    trainingDistance(
      program,
      madeUpInputs(program.inputs, { hints: { range: { mean: [0], deviation: [deviation] } } }),
    );
  expect(rangeWarning(distanceAt(1 / 255))).toBeUndefined();
  expect(rangeWarning(distanceAt(1))).toMatch(
    /^inputs: conv2d\S* varies 0\.00\d+ times as much as in training and is off by [\d.]+ deviations/,
  );
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});

test("without inputs a model is calibrated with made-up ones; with strange ones it is calibrated and said so", async () => {
  const model = trainedOnBytes();
  const source = await readTfjs(memoryFiles(await savedFiles(model)), "model.json");
  const warnings: string[] = [];
  const options = { onWarning: (message: string) => void warnings.push(message) };
  const quantize = await calibrate(source, undefined, options);
  expect(warnings).toEqual([]);
  const { tensors } = await quantize(4 ** -4);
  expect([...tensors.keys()].some((name) => name.endsWith("kernel"))).toBe(true);
  const dark = normals(20 * 432, 5).map((value) => 0.01 * value);
  await calibrate(source, { inputs: dark, shape: [20, 12, 12, 3] }, options);
  expect(warnings.length).toBe(1);
  expect(warnings[0]).toContain("are they normalised as the model expects?");
  model.dispose();
});
