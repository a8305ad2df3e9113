/** A model of TF.js through the whole of calibration, held against TF.js itself. */

import * as converter from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { expect } from "vitest";
import { dequantize } from "../../../src/file/quantized-tensor.js";
import type { Model } from "../../../src/model.js";
import { type Feeds, madeUpInputs } from "../../../src/networks/inputs/made-up.js";
import { tfjsNetwork, tfjsProgram } from "../../../src/networks/tfjs/network.js";
import type { Program } from "../../../src/networks/tfjs/program.js";
import { tfjsRunner } from "../../../src/networks/tfjs/run.js";
import { measureSensitivities, quantizeCalibrated } from "../../../src/quantize/calibrated.js";

/** Outputs of floats for each feed. */
async function predictions(source: Model, feeds: readonly Feeds[]): Promise<Float32Array[][]> {
  const runner = await tfjsRunner(source, { core: tf, layers, converter });
  const rows: Float32Array[][] = [];
  for (const feed of feeds) {
    const outputs = [...(await runner.run(feed)).values()].filter(({ dtype }) => dtype === "float32");
    rows.push(outputs.map(({ data }) => data as Float32Array));
  }
  await runner.dispose();
  return rows;
}

function softmax(logits: Float32Array): Float32Array {
  return tf.tidy(() => tf.softmax(tf.tensor1d(logits)).dataSync<"float32">().slice());
}

/**
 * Expects that the model, walked with its own weights, gives what TF.js gives, and that it hardly changes when it is quantized finely
 * and put back; and that no tensor of TF.js is left over.
 */
export async function expectSameOutputs(source: Model): Promise<Program> {
  const program = await tfjsProgram(source);
  const owned = tf.memory().numTensors;
  const feeds = madeUpInputs(program.inputs, { count: 24, hints: { vocabulary: 20 } });
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
    // What stands for outputs of whole numbers comes behind those of floats.
    expect(at).toBeLessThanOrEqual((i + 1) * width);
  }
  const { layers: quantized } = await quantizeCalibrated(network, await measureSensitivities(network), 1e-11);
  const { tensors, model: folded } = await network.restore(quantized);
  const restored = folded!.tensors.map((tensor) => {
    const found = tensors.get(tensor.name);
    if (!found || typeof found === "function") return tensor;
    return { ...tensor, bytes: async () => new Uint8Array(dequantize(found).buffer) };
  });
  const after = await predictions({ ...source, tensors: restored }, feeds);
  for (const [i, row] of after.entries()) {
    for (const [o, values] of row.entries())
      values.forEach((value, k) => {
        expect(value).toBeCloseTo(expected[i][o][k], 2);
      });
  }
  expect(tf.memory().numTensors).toBe(owned);
  return program;
}
