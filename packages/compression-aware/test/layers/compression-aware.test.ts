import "../setup.js";
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { fromBitdiet } from "bitdiet/tfjs";
import { afterEach, describe, expect, test } from "vitest";
import { compressionAware } from "../../src/index.js";
import { quantizedCopy } from "../../src/layers/copy.js";
import { labels, sharedModel, subjects, unsettled } from "./models.js";
import { expectTrainedAlike, predictions } from "./trained-alike.js";

describe.each(subjects)("$name", ({ build, inputs, kernels, activations, norms = 0 }) => {
  test("is copied with its norms folded, and predicts the same", async () => {
    const [model, x] = [unsettled(build()), inputs()];
    const { model: copy } = quantizedCopy(model, () => undefined);
    const [before, after] = [await predictions(model, x), await predictions(copy, x)];
    for (const [i, value] of after.entries()) expect(Math.abs(value - before[i])).toBeLessThan(1e-5);
    const means = copy.weights.filter(({ originalName }) => /moving_mean/.test(originalName));
    expect(means.length).toBe(norms);
  });

  test("trains quantized, keeps memory, and is loaded as it was trained, bit for bit", async () => {
    const { aware, loaded } = await expectTrainedAlike({ name: "", build, inputs, kernels, activations });
    const report = await aware.report(inputs());
    expect([report.tensors.length, report.activations.length]).toEqual([kernels, activations]);
    for (const { before, after } of report.activations) {
      expect(before).toBe(4);
      expect(after).toBeLessThanOrEqual(before);
    }
    const quantizers = JSON.stringify(loaded.toJSON(null, false)).match(/"ActivationQuantizer"/g) ?? [];
    expect(quantizers.length).toBe(activations);
  });
});

describe("compressionAware", () => {
  afterEach(() => tf.disposeVariables());

  test("prices a layer that is used twice once, and trains it", async () => {
    const model = sharedModel();
    const aware = compressionAware(model, { weightBits: 4, activationBits: 4, lambda: 1 });
    aware.model.compile({ optimizer: "sgd", loss: "categoricalCrossentropy" });
    const x = [0, 1].map((seed) => tf.randomNormal([4, 5], 0, 1, "float32", seed));
    await aware.model.fit(x, labels(), { epochs: 1, callbacks: aware.progress() });
    const loaded = await loadLayersModel(fromBitdiet(await aware.bytes()));
    expect(await predictions(loaded, x)).toEqual(await predictions(aware.model, x));
  });
});
