// Makes what the page brings along: the digit CNN trained in float, as a TF.js layers model (model.json and one shard), the
// first 200 test digits, 64 training digits to calibrate on, and figures that a browser cannot find. `npx tsx web/make-model.ts`: one core, a few minutes.
// Example of the figures: { "accuracy": 0.994, "accuracyDigits": 1996, "uint8BrotliBytes": 50000 }
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import type { Parameters } from "@bitdiet/compression-aware";
import { CLASSES, type Digits, loadDigits, SIDE } from "@bitdiet/zoo/data/mnist";
import { CONVOLUTIONS } from "@bitdiet/zoo/nets/digit-cnn";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { accuracy, trainFloat } from "../digits/float.js";
import { uint8Levels } from "./uint8.js";

const SEED = 1;
const EPOCHS = 16;
const SAMPLES = 200;
const CALIBRATION_DIGITS = 64;
const folder = join(import.meta.dirname, "model");

/** The same network as layers with these kernels and biases; its answers are probabilities. */
function layersModel(parameters: Parameters): layers.LayersModel {
  const model = layers.sequential({ name: "digits" });
  for (const { name, kernel, outputs, stride } of CONVOLUTIONS) {
    model.add(
      layers.layers.conv2d({
        name,
        filters: outputs,
        kernelSize: kernel,
        strides: stride,
        padding: "same",
        activation: "relu",
        ...(model.layers.length === 0 ? { inputShape: [SIDE, SIDE, 1] } : {}),
      }),
    );
  }
  model.add(layers.layers.globalAveragePooling2d({ name: "pool" }));
  model.add(layers.layers.dense({ name: "dense", units: CLASSES, activation: "softmax" }));
  for (const name of [...CONVOLUTIONS.map((layer) => layer.name), "dense"]) {
    model.getLayer(name).setWeights([parameters[`${name}.weight`], parameters[`${name}.bias`]]);
  }
  return model;
}

await useBackend("wasm");
const { training, test } = loadDigits();
const model = layersModel(await trainFloat(training, { epochs: EPOCHS, seed: SEED }));
mkdirSync(folder, { recursive: true });

await model.save(
  tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
    const weightsManifest = [{ paths: ["digits.bin"], weights: weightSpecs }];
    const json = { format: "layers-model", generatedBy: "bitdiet", modelTopology, weightsManifest };
    writeFileSync(join(folder, "model.json"), `${JSON.stringify(json)}\n`);
    const bytes = tf.io.CompositeArrayBuffer.join(weightData as ArrayBuffer);
    writeFileSync(join(folder, "digits.bin"), new Uint8Array(bytes));
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
  }),
);

/** A byte a label, then a byte a pixel. All digits are in a fixed shuffled order: the first are a fair sample. */
function writeDigits(file: string, { images, labels }: Digits, count: number): void {
  const pixels = images.subarray(0, count * SIDE * SIDE).map((value) => Math.round(255 * value));
  writeFileSync(join(folder, file), Uint8Array.from([...labels.subarray(0, count), ...pixels]));
}
writeDigits("samples.bin", test, SAMPLES);
writeDigits("calibration.bin", training, CALIBRATION_DIGITS);

const levels = model.getWeights().map((weight) => uint8Levels(weight.dataSync() as Float32Array));
const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
const facts = {
  accuracy: accuracy(test, (x) => model.predict(x) as tf.Tensor2D),
  accuracyDigits: test.count,
  uint8BrotliBytes: brotliCompressSync(Buffer.concat(levels), brotli).length,
  seed: SEED,
  epochs: EPOCHS,
};
writeFileSync(join(folder, "facts.json"), `${JSON.stringify(facts, null, 2)}\n`);
console.log(facts);
