/** What holds on every backend: training leaves no tensor behind, and what is loaded predicts as what was trained, bit for bit. */
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { fromBitdiet } from "bitdiet/tfjs";
import { expect } from "vitest";
import { type AwareModel, compressionAware } from "../../src/index.js";
import { labels, type Subject, unsettled } from "./models.js";

export async function predictions(model: LayersModel, x: tf.Tensor | tf.Tensor[]): Promise<Float32Array> {
  const y = model.predict(x) as tf.Tensor;
  const values = await y.data<"float32">();
  y.dispose();
  return values.slice();
}

export async function expectTrainedAlike({
  build,
  inputs,
}: Subject): Promise<{ aware: AwareModel; loaded: LayersModel }> {
  const [model, x, y] = [unsettled(build()), inputs(), labels()];
  const own = await predictions(model, x);
  const aware = compressionAware(model, { weightBits: 4, activationBits: 4, lambda: 0.1 });
  aware.model.compile({ optimizer: tf.train.adam(0.01), loss: "categoricalCrossentropy" });
  const epochs = (count: number) =>
    aware.model.fit(x, y, { epochs: count, batchSize: 4, shuffle: false, callbacks: aware.progress() });
  await epochs(2);
  const { numTensors } = tf.memory();
  const { history } = await epochs(2);
  const bytes = await aware.bytes();
  await aware.report(x);
  const trained = await predictions(aware.model, x);
  expect(tf.memory().numTensors).toBe(numTensors);
  expect(history["loss"].every((loss) => Number.isFinite(loss as number))).toBe(true);
  expect(history["weightBits"].every((bits) => (bits as number) > 0 && (bits as number) < 4)).toBe(true);
  const loaded = await loadLayersModel(fromBitdiet(bytes));
  expect(await predictions(loaded, x)).toEqual(trained);
  expect(trained).not.toEqual(own);
  expect(await predictions(model, x)).toEqual(own);
  return { aware, loaded };
}
