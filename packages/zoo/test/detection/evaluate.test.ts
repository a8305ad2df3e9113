import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { uniform } from "../../src/data/random.js";
import type { VocImage } from "../../src/data/voc.js";
import { allPoints, elevenPoints, meanAveragePrecision } from "../../src/detection/average-precision.js";
import { findBoxes, markedBoxes, pixelBox, shareBox } from "../../src/detection/evaluate.js";
import { matchPriors } from "../../src/detection/matching.js";
import { priorBoxes, SSD300 } from "../../src/detection/priors.js";
import { useBackend } from "../../src/training/backend.js";
import { distance } from "./reference.js";

beforeAll(() => useBackend("wasm"));

const priors = priorBoxes({ ...SSD300, maps: SSD300.maps.slice(1) });
const names = ["cat", "dog"];
const random = uniform(9);

/** Pictures of 500 x 300 with a cat and a dog on either half, one of them difficult in every third. */
const images: VocImage[] = Array.from({ length: 9 }, (_, i) => ({
  id: `${i}`,
  width: 500,
  height: 300,
  objects: names.map((name, half) => {
    const [left, top] = [1 + 250 * half + Math.floor(100 * random()), 1 + Math.floor(150 * random())];
    return { name, box: [left, top, left + 120, top + 100], isDifficult: i % 3 === 0 && half === 0 };
  }),
  read: () => new Uint8Array(0),
}));

/** A network that says what it should, picture after picture; of a cat, another class where `isWrong`. */
function oracle(isWrong = false) {
  let at = 0;
  return () => {
    const image = images[at++];
    const boxes = Float32Array.from(image.objects.flatMap(({ box }) => [...shareBox(box, image)]));
    const { labels, offsets } = matchPriors({ boxes, labels: isWrong ? [2, 2] : [1, 2] }, priors);
    const logits = [...labels].map((label) => [0, 1, 2].map((each) => (each === label ? 9 : 0)));
    return {
      offsets: tf.tensor3d(offsets, [1, labels.length, 4]),
      logits: tf.tensor3d([logits]),
    };
  };
}

it("finds every box by a network that is always right, and none of a class that it never says", async () => {
  const before = tf.memory().numTensors;
  const find = (isWrong?: boolean) =>
    findBoxes({ run: oracle(isWrong), side: 2, priors, names }, images, async () => new Float32Array(12));
  const found = await find();
  expect(tf.memory().numTensors).toBe(before);
  const sure = found.filter(({ score }) => score > 0.9);
  expect(sure.length).toBe(18);
  for (const [i, { box }] of sure.sort((a, b) => Number(a.image) - Number(b.image)).entries()) {
    const marked = images[Math.floor(i / 2)].objects.map((object) => distance(object.box, box));
    expect(Math.min(...marked)).toBeLessThan(0.05);
  }
  for (const rule of [elevenPoints, allPoints]) {
    const { mean, classes } = meanAveragePrecision(found, markedBoxes(images), rule);
    expect(Object.keys(classes)).toEqual(names);
    for (const value of [mean, ...Object.values(classes)]) expect(value).toBeCloseTo(1, 12);
  }
  const wrong = meanAveragePrecision(await find(true), markedBoxes(images), allPoints);
  expect(wrong.classes["cat"]).toBe(0);
});

it("shares and pixels are each other's inverse", () => {
  const image = { width: 500, height: 300 };
  expect([...shareBox([1, 1, 251, 301], image)]).toEqual([0, 0, 0.5, 1]);
  expect([...pixelBox([0, 0, 0.5, 1], image)]).toEqual([1, 1, 251, 301]);
});
