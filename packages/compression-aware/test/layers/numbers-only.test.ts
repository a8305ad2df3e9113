import "../setup.js";
import * as tf from "@tensorflow/tfjs-core";
import { layers, sequential } from "@tensorflow/tfjs-layers";
import { describe, expect, test, vi } from "vitest";
import { compressionAware } from "../../src/index.js";

const network = () =>
  sequential({
    layers: [
      layers.dense({ units: 4, inputShape: [3], activation: "relu", name: "first" }),
      layers.dense({ units: 2, activation: "softmax", name: "second" }),
    ],
  });
const trained = () => {
  const aware = compressionAware(network(), { weightBits: 4, activationBits: 4, lambda: 0.1 });
  aware.model.compile({ optimizer: tf.train.adam(1e-3), loss: "categoricalCrossentropy" });
  return aware;
};
const inputs = (second: number) => tf.tensor2d([1, 2, 3, 0, 1, 2, 1, second, 3, 2, 1, 1], [4, 3]);
const answers = () => tf.tensor2d([1, 0, 0, 1, 1, 0, 0, 1], [4, 2]);
const options = { epochs: 2, batchSize: 1, shuffle: false, verbose: 0 } as const;

describe("data that holds what is no number", () => {
  test("ends fit at its step, named with its place; what is left is no file", async () => {
    const aware = trained();
    await expect(aware.model.fit(inputs(NaN), answers(), options)).rejects.toThrow(
      "the loss became NaN at step 3 (epoch 1, batch 3); x holds NaN, first at [2, 1]",
    );
    await expect(aware.bytes()).rejects.toThrow("first/kernel: expected numbers, got NaN");
    await expect(aware.save("/nowhere")).rejects.toThrow("first/kernel: expected numbers, got NaN");
    aware.dispose();
  });

  test("does so beside callbacks of both kinds, which are called", async () => {
    const print = vi.fn();
    const aware = trained();
    await expect(
      aware.model.fit(inputs(Infinity), answers(), { ...options, callbacks: aware.progress(print) }),
    ).rejects.toThrow("x holds Infinity, first at [2, 1]");
    const other = trained();
    const onBatchEnd = vi.fn();
    await expect(
      other.model.fit(inputs(NaN), answers(), { ...options, callbacks: { onBatchEnd } }),
    ).rejects.toThrow("at step 3");
    expect(onBatchEnd).toHaveBeenCalledTimes(3);
    const fine = trained();
    const { history } = await fine.model.fit(inputs(2), answers(), {
      ...options,
      callbacks: fine.progress(print),
    });
    expect(history["weightBits"].length).toBe(2);
    expect(print).toHaveBeenCalledTimes(2);
    for (const { dispose } of [aware, other, fine]) dispose();
  });

  test("ends fitDataset, naming the first weight", async () => {
    const aware = trained();
    const batches = [2, 2, NaN, 2].map((value) => ({ xs: inputs(value), ys: answers() }));
    const dataset = { batchesPerEpoch: 4, iterator: async () => iteratorOf(batches), size: 4 };
    await expect(
      aware.model.fitDataset(dataset as never, { epochs: 1, batchesPerEpoch: 4, verbose: 0 }),
    ).rejects.toThrow(/^the loss became NaN at step 3 \(epoch 1, batch 3\); .*\/(kernel|bias) holds NaN/);
    aware.dispose();
  });

  test("of labels is told apart", async () => {
    const aware = trained();
    const labels = tf.tensor2d([1, 0, NaN, 1, 1, 0, 0, 1], [4, 2]);
    await expect(aware.model.fit(inputs(1), labels, options)).rejects.toThrow(
      "at step 2 (epoch 1, batch 2); y holds NaN, first at [1, 0]",
    );
    aware.dispose();
  });
});

test("less data than a batch trains, and none is one clear line when it is saved", async () => {
  const aware = trained();
  await aware.model.fit(inputs(1), answers(), { ...options, batchSize: 32 });
  expect((await aware.bytes()).length).toBeGreaterThan(100);
  const none = trained();
  await none.model.fit(tf.zeros([0, 3]), tf.zeros([0, 2]), options);
  await expect(none.bytes()).rejects.toThrow("model: expected a step of training");
  for (const { dispose } of [aware, none]) dispose();
});

function iteratorOf<Item>(items: readonly Item[]) {
  let at = 0;
  return {
    next: async () => (at < items.length ? { value: items[at++], done: false } : { value: null, done: true }),
  };
}
