import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { uniform } from "../../src/data/random.js";
import { countedPriors, multiboxLoss } from "../../src/detection/multibox-loss.js";
import { useBackend } from "../../src/training/backend.js";
import { hasPython, reference } from "./reference.js";

beforeAll(() => useBackend("wasm"));

it("counts the matched priors and each picture's three worst others for each", () => {
  const labels = Int32Array.of(0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const losses = [5, 0, 1, 4, 2, 3, 9, 9, 9, 9, 9, 9];
  expect([...countedPriors(losses, labels, 6)]).toEqual([1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
});

it("is ln 2 a counted prior where nothing is known, and a half less than the error where that is large", () => {
  const value = (offset: number, labels: number[]) =>
    tf.tidy(
      () =>
        multiboxLoss(
          { offsets: tf.fill([1, 5, 4], offset), logits: tf.zeros([1, 5, 2]) },
          { labels: Int32Array.from(labels), offsets: new Float32Array(20) },
        ).dataSync()[0],
    );
  expect(value(0, [1, 0, 0, 0, 0])).toBeCloseTo(4 * Math.LN2, 5);
  expect(value(3, [1, 0, 0, 0, 0])).toBeCloseTo(4 * Math.LN2 + 4 * 2.5, 5);
  expect(value(0.5, [1, 1, 0, 0, 0])).toBeCloseTo((5 * Math.LN2 + 8 * 0.125) / 2, 5);
  expect(value(3, [0, 0, 0, 0, 0])).toBe(0);
});

const [batch, priors, classes] = [3, 50, 4];
function randomCase() {
  const random = uniform(11);
  const row = (length: number, scale: number) => Array.from({ length }, () => scale * (2 * random() - 1));
  const table = (width: number, scale: number) =>
    Array.from({ length: batch }, () => Array.from({ length: priors }, () => row(width, scale)));
  const labels = table(1, 1).map((picture) =>
    picture.map(([x]) => (x > 0.8 ? 1 + (Math.floor(30 * (x - 0.8)) % 3) : 0)),
  );
  labels[2].fill(0);
  return { offsets: table(4, 2), logits: table(classes, 3), labels, targets: table(4, 2) };
}

it.skipIf(!hasPython)("is that of the second implementation, and so is its gradient by differences", () => {
  const each = randomCase();
  const targets = {
    labels: Int32Array.from(each.labels.flat()),
    offsets: Float32Array.from(each.targets.flat(2)),
  };
  const logits = tf.tensor3d(each.logits);
  const [offsets, before] = [tf.tensor3d(each.offsets), tf.memory().numTensors];
  const gradient = tf.tidy(() => {
    const { value, grads } = tf.valueAndGrads((o: tf.Tensor, l: tf.Tensor) =>
      multiboxLoss({ offsets: o as tf.Tensor3D, logits: l as tf.Tensor3D }, targets),
    )([offsets, logits]);
    expect(value.dataSync()[0]).toBeCloseTo(reference({ loss: each }).loss, 4);
    return grads.map((grad) => grad.arraySync() as number[][][]);
  });
  expect(tf.memory().numTensors).toBe(before);
  const at = each.labels[0].findIndex((label) => label > 0);
  for (const [kind, g] of [
    ["offsets", 0],
    ["logits", 1],
  ] as const) {
    const moved = (by: number) => {
      const changed = structuredClone(each);
      changed[kind][0][at][1] += by;
      return reference({ loss: changed }).loss;
    };
    expect(gradient[g][0][at][1]).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 3);
  }
  expect(gradient[0][2].flat().every((value) => Math.abs(value) === 0)).toBe(true); // a picture without boxes
  tf.dispose([offsets, logits]);
});
