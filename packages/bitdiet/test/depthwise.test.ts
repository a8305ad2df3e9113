/** A depthwise layer whose batch norm takes a large constant away: few weights, much effect. The default keeps its answers. */
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { expect, test } from "vitest";
import { checkOutputs, compressChecked } from "../src/compress-checked.js";
import { memoryFiles } from "../src/formats/files.js";
import { readModel } from "../src/formats/list.js";
import { joinPieces } from "../src/loaders/source.js";
import { fromBitdiet } from "../src/loaders/tfjs.js";
import { divergence } from "../src/networks/divergence.js";
import { tfjsRunner } from "../src/networks/tfjs/run.js";
import { random } from "./samples.js";

async function filesOf(model: layers.LayersModel): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  await model.save({
    async save({ modelTopology, weightSpecs, weightData }) {
      const weightsManifest = [{ paths: ["w.bin"], weights: weightSpecs }];
      files["model.json"] = new TextEncoder().encode(
        JSON.stringify({ format: "layers-model", modelTopology, weightsManifest }),
      );
      files["w.bin"] = new Uint8Array(weightData as ArrayBuffer);
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    },
  });
  return files;
}

test("a network that hangs on 144 depthwise weights answers as before, though no made-up input moves it", async () => {
  await tf.setBackend("cpu");
  const next = random(5);
  const fill = (shape: number[], value: () => number) =>
    tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value), shape);
  const kernelSize = 3;
  const model = layers.sequential({
    layers: [
      layers.layers.depthwiseConv2d({ inputShape: [12, 12, 16], kernelSize, useBias: false }),
      layers.layers.batchNormalization({ epsilon: 1e-6 }),
      layers.layers.conv2d({ filters: 256, kernelSize: 1, activation: "relu" }),
      layers.layers.globalAveragePooling2d({}),
      layers.layers.dense({ units: 10, activation: "softmax" }),
    ],
  });
  const x = fill([32, 12, 12, 16], () => 4 + next() / 2) as tf.Tensor4D;
  const kernel = fill([3, 3, 16, 1], () => 0.5 + 0.3 * (next() - 0.5)) as tf.Tensor4D;
  const { mean, variance } = tf.moments(tf.depthwiseConv2d(x, kernel, 1, "valid"), [0, 1, 2]);
  model.layers[0].setWeights([kernel]);
  model.layers[1].setWeights([tf.ones([16]), tf.zeros([16]), mean, variance]);
  model.layers[2].setWeights([fill([1, 1, 16, 256], () => next() - 0.5), tf.zeros([256])]);
  model.layers[4].setWeights([fill([256, 10], () => 2 * (next() - 0.5)), tf.zeros([10])]);
  const answers = (of: layers.LayersModel) => {
    const data = (of.predict(x) as tf.Tensor).dataSync<"float32">() as Float32Array;
    return [new Map([["y", { dtype: "float32" as const, shape: [32, 10], data }]])];
  };

  const read = await readModel(memoryFiles(await filesOf(model)), "model.json");
  const runner = await tfjsRunner(read, { core: tf, layers });
  const { pieces } = await compressChecked(read, undefined, await checkOutputs(read, runner));
  await runner.dispose();
  const loaded = await layers.loadLayersModel(fromBitdiet(joinPieces(pieces)));
  const { kind, value } = divergence(answers(loaded), answers(model));
  expect(kind).toBe("kl");
  expect(value).toBeLessThan(0.02);
});
