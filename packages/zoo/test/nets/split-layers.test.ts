import { splitLayers } from "@bitdiet/zoo/nets/split-layers";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { input, layers, model, type SymbolicTensor, sequential } from "@tensorflow/tfjs-layers";
import { beforeAll, expect, it } from "vitest";

beforeAll(() => useBackend("cpu"));

const conv = (name: string, filters: number) =>
  layers.conv2d({ name, filters, kernelSize: 3, padding: "same", activation: "relu" });

it("gives two halves that together are the whole", () => {
  const whole = sequential({
    layers: [
      layers.conv2d({ name: "first", inputShape: [6, 5, 2], filters: 4, kernelSize: 3 }),
      conv("second", 3),
      layers.flatten(),
      layers.dense({ units: 7 }),
    ],
  });
  const { head, tail, shape } = splitLayers(whole, "first");
  expect(shape).toEqual([4, 3, 4]);
  const x = tf.randomUniform([2, 6, 5, 2], -1, 1, "float32", 1);
  const [once, twice] = [whole.predict(x), tail.predict(head.predict(x))] as tf.Tensor[];
  expect(Array.from(twice.dataSync())).toEqual(Array.from(once.dataSync()));
});

it("says where a network cannot be cut", () => {
  const start = input({ shape: [4, 4, 1] });
  const a = conv("a", 2).apply(start) as SymbolicTensor;
  const b = conv("b", 2).apply(a) as SymbolicTensor;
  const sum = layers.add({ name: "sum" }).apply([a, b]) as SymbolicTensor;
  const flat = layers.flatten({ name: "flat" }).apply(sum) as SymbolicTensor;
  const end = layers.dense({ name: "end", units: 2 }).apply(flat) as SymbolicTensor;
  const branched = model({ inputs: start, outputs: end });
  expect(() => splitLayers(branched, "a")).toThrow("at: expected a chain behind a, got a branch at sum");
  expect(() => splitLayers(branched, "flat")).toThrow("at: expected a layer that gives maps of fixed size");
  expect(() => splitLayers(branched, "end")).toThrow("at: expected a layer before the last, got end");
  expect(() => splitLayers(branched, "none")).toThrow("got none");
  expect(splitLayers(branched, "sum").shape).toEqual([4, 4, 2]);
});
