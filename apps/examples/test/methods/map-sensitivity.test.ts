import type { Parameters } from "@bitdiet/compression-aware";
import type { LabeledImages } from "@bitdiet/zoo/data/cifar10";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { equalSlopeScales, mapSensitivity } from "../../methods/map-sensitivity.js";

beforeAll(() => useBackend("wasm"));

describe("steps at equal slopes", () => {
  test("four times the sensitivity is half the step, and the mean over all values stays", () => {
    const steps = equalSlopeScales(
      {
        large: { squares: Float32Array.of(1, 4), values: 300 },
        small: { squares: Float32Array.of(16, 16, 0), values: 100 },
      },
      { large: 0.2, small: 0.4 },
    );
    const [a, b] = steps["large"].map(Math.log);
    const [c, d, dead] = steps["small"].map(Math.log);
    expect(b - a).toBeCloseTo(-Math.LN2, 6);
    expect(c - a).toBeCloseTo(-2 * Math.LN2, 6);
    // A channel without a gradient is as coarse as the coarsest of its layer.
    expect([d, dead]).toEqual([c, c]);
    const mean = (300 * (a + b)) / 2 + (100 * (c + d + dead)) / 3;
    expect(mean).toBeCloseTo(300 * Math.log(0.2) + 100 * Math.log(0.4), 4);
  });

  test("a channel that the network multiplies by 3 afterwards is about 9 times as sensitive", () => {
    const pixels = new Uint8Array(200 * 3072).map((_, i) => (i * i) >>> 5);
    const train: LabeledImages = { pixels, labels: new Uint8Array(200) };
    const parameters = initialCifarResnet(8, 10, 1);
    const start = foldBatchNorm(parameters);
    const before = tf.memory().numTensors;
    const sensitivityOf = (start: Parameters) => mapSensitivity({ start, train, seed: 1 });
    const plain = sensitivityOf(start);
    // Channel 5 of the map inside the last block has one reader.
    const name = "layer3.0.conv2.weight";
    const factors = Array.from({ length: 64 }, (_, c) => (c === 5 ? 3 : 1));
    const scaled = tf.tidy(() => tf.mul(start[name], tf.reshape(tf.tensor1d(factors), [1, 1, 64, 1])));
    const changed = sensitivityOf({ ...start, [name]: scaled });
    scaled.dispose();
    expect(tf.memory().numTensors).toBe(before);
    const ratio = (c: number) => changed["layer3.0.relu1"].squares[c] / plain["layer3.0.relu1"].squares[c];
    expect(ratio(5)).toBeGreaterThan(7);
    expect(ratio(5)).toBeLessThan(11);
    expect(ratio(6)).toBeGreaterThan(0.7);
    expect(ratio(6)).toBeLessThan(1.4);
    expect(plain["relu"].values).toBe(16 * 1024);
    tf.dispose([parameters, start]);
  });
});
