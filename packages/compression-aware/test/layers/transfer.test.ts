/** Transfer learning as Teachable Machine does it: MobileNet's features, frozen, and a head; the whole is compressed. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, layers, loadLayersModel, model, sequential } from "@tensorflow/tfjs-layers";
import { fromBitdiet } from "bitdiet/tfjs";
import { expect, test } from "vitest";
import { compressionAware } from "../../src/index.js";
import { predictions } from "./trained-alike.js";

const data =
  process.env["BITDIET_DATA"] ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const folder = join(data, "models/mobilenet-v1-025-imagenet-tfjs");
const isThere = existsSync(folder);
if (!isThere) console.warn(`Transfer learning is skipped: no ${folder} (set BITDIET_DATA).`);

/** As `tf.loadLayersModel` of its URL. */
async function mobilenet(): Promise<LayersModel> {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const groups = weightsManifest as { paths: string[]; weights: tf.io.WeightsManifestEntry[] }[];
  const shards = groups.flatMap(({ paths }) => paths.map((path) => readFileSync(join(folder, path))));
  const weightSpecs = groups.flatMap(({ weights }) => weights);
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  return loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
}

/** Stripes of three directions, with noise: [count, 224, 224, 3]. */
function pictures(count: number, seed: number): { x: tf.Tensor; y: tf.Tensor } {
  return tf.tidy(() => {
    const grid = Array.from({ length: count }, (_, i) => {
      const along = tf.reshape(tf.range(0, 224), [224, 1]);
      const [down, right] = [along, tf.transpose(along)];
      const phase = tf.add(tf.mul(down, [1, 0, 0.7][i % 3]), tf.mul(right, [0, 1, 0.7][i % 3]));
      const stripes = tf.sin(tf.mul(phase, 0.3 + 0.02 * (i % 5)));
      const noise = tf.randomNormal([224, 224, 3], 0, 0.3, "float32", seed + i);
      return tf.clipByValue(tf.add(tf.reshape(stripes, [224, 224, 1]), noise), -1, 1);
    });
    const classes = Int32Array.from({ length: count }, (_, i) => i % 3);
    return { x: tf.stack(grid), y: tf.cast(tf.oneHot(tf.tensor1d(classes, "int32"), 3), "float32") };
  });
}

test.skipIf(!isThere)(
  "a head on frozen features is trained on quantized features, and the whole is shipped",
  { timeout: 180_000 },
  async () => {
    registerTrainingKernels();
    await tf.setBackend("wasm");
    const whole = await mobilenet();
    const features = model({ inputs: whole.inputs, outputs: whole.getLayer("conv_pw_13_relu").output });
    for (const layer of features.layers) layer.trainable = false;
    const head = sequential({
      layers: [
        layers.globalAveragePooling2d({ inputShape: [7, 7, 256] }),
        layers.dense({ units: 3, activation: "softmax", name: "classes" }),
      ],
    });
    const classifier = sequential({ layers: [features, head] });

    const aware = compressionAware(classifier, {
      weightBits: (layer) => (layer === "classes" ? 4 : 8),
      lambda: 0.01,
    });
    aware.model.compile({ optimizer: tf.train.adam(0.01), loss: "categoricalCrossentropy" });
    const training = pictures(12, 1);
    const frozen = (await aware.report()).tensors.filter(({ name }) => name.startsWith("conv"));
    await aware.model.fit(training.x, training.y, { epochs: 6, batchSize: 6, callbacks: aware.progress() });

    const { tensors } = await aware.report();
    expect(tensors.length).toBe(28);
    expect(tensors.filter(({ name }) => name.startsWith("conv"))).toEqual(frozen);
    const bytes = await aware.bytes();
    const float = 4 * classifier.countParams();
    expect(bytes.length).toBeLessThan(0.25 * float);
    const loaded = await loadLayersModel(fromBitdiet(bytes));
    expect(loaded.weights.filter(({ originalName }) => /moving/.test(originalName))).toEqual([]);
    const test = pictures(9, 100);
    expect(await predictions(loaded, test.x)).toEqual(await predictions(aware.model, test.x));
    const answers = tf.argMax(loaded.predict(test.x) as tf.Tensor, 1).dataSync();
    expect([...answers]).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
  },
);
