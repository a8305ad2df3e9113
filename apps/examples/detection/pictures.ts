// Pictures with marked boxes as a detector is trained on them: every step another batch, each picture cut, flipped and
// tinted at random. A step's batch depends on the step and the seed alone.
import { type Pixels, readPixels, squareWindow } from "@bitdiet/zoo/data/pixels";
import { shuffled, uniform } from "@bitdiet/zoo/data/random";
import type { VocImage } from "@bitdiet/zoo/data/voc";
import { wholeBatches } from "@bitdiet/zoo/data/whole-batches";
import { shareBox } from "@bitdiet/zoo/detection/evaluate";
import { joinTargets, matchPriors, type Targets, type Truths } from "@bitdiet/zoo/detection/matching";
import { priorBoxes } from "@bitdiet/zoo/detection/priors";
import { MOBILENET_PRIORS } from "@bitdiet/zoo/nets/mobilenet-ssd";
import * as tf from "@tensorflow/tfjs-core";

export const { side: SIDE } = MOBILENET_PRIORS;
export const PRIORS = priorBoxes(MOBILENET_PRIORS);
export const BATCH = 8;

/** A decoded picture and what is marked in it. */
export interface Picture extends Truths {
  pixels: Pixels;
}

/** @param names classes, in the order of labels */
export const decoded = (images: readonly VocImage[], names: readonly string[]): Promise<Picture[]> =>
  Promise.all(
    images.map(async (image) => ({
      pixels: await readPixels(image.read()),
      boxes: Float32Array.from(image.objects.flatMap(({ box }) => [...shareBox(box, image)])),
      labels: image.objects.map(({ name }) => names.indexOf(name) + 1),
    })),
  );

/** MobileNet's input. */
export const inputOf = (square: Uint8Array): Float32Array =>
  new Float32Array(square).map((byte) => byte / 127.5 - 1);

/** The whole picture as input. */
export const wholeInput = async (image: VocImage): Promise<Float32Array> =>
  inputOf(squareWindow(await readPixels(image.read()), SIDE));

/** An endless stream of batches: every epoch in a new order, the last partial batch dropped. */
export function batches(
  pictures: readonly Picture[],
  seed: number,
): (step: number) => { x: tf.Tensor4D; targets: Targets } {
  const perEpoch = stepsPerEpoch(pictures.length);
  return (step) => {
    const order = shuffled(pictures, seed * 1000 + Math.floor(step / perEpoch));
    const from = (step % perEpoch) * BATCH;
    const random = uniform(seed * 1_000_003 + step);
    const chosen = order.slice(from, from + BATCH).map((picture) => changed(picture, random));
    const x = new Float32Array(BATCH * SIDE * SIDE * 3);
    for (const [i, { input }] of chosen.entries()) x.set(input, i * SIDE * SIDE * 3);
    return {
      x: tf.tensor4d(x, [BATCH, SIDE, SIDE, 3]),
      targets: joinTargets(chosen.map(({ truths }) => matchPriors(truths, PRIORS))),
    };
  };
}

export const stepsPerEpoch = (pictures: number): number => wholeBatches(pictures, BATCH);

/** Least and largest side of a window, in shares of the picture's, and how much one may differ from the other. */
const WINDOW = { least: 0.6, most: 1.35, stretch: 1.15 };
/** Largest factor of brightness and of each colour. */
const TINT = 1.2;

/** A window of the picture, half of the time mirrored, in a light of its own. */
export function changed(
  { pixels, boxes, labels }: Picture,
  random: () => number,
): { input: Float32Array; truths: Truths } {
  const between = (least: number, most: number) => least * (most / least) ** random();
  const size = between(WINDOW.least, WINDOW.most);
  const sides = [size, size * between(1 / WINDOW.stretch, WINDOW.stretch)];
  const [left, top] = sides.map((length) => random() * (1 - length)); // < 0 where the window is the larger
  const [right, bottom] = [left + sides[0], top + sides[1]];
  const isMirrored = random() < 0.5;
  const window = isMirrored ? [right, top, left, bottom] : [left, top, right, bottom];
  const light = between(1 / TINT, TINT);
  const tint = [0, 1, 2].map(() => light * between(1 / Math.sqrt(TINT), Math.sqrt(TINT)));
  const square = squareWindow(pixels, SIDE, window);
  return {
    input: new Float32Array(square).map((byte, i) => Math.min(255, byte * tint[i % 3]) / 127.5 - 1),
    truths: inWindow({ boxes, labels }, window),
  };
}

/** The boxes whose middle is in the window, in shares of its sides; of a mirrored one, left is right. */
export function inWindow({ boxes, labels }: Truths, [left, top, right, bottom]: readonly number[]): Truths {
  const kept: Truths & { labels: number[] } = { boxes: new Float32Array(0), labels: [] };
  const corners: number[] = [];
  for (const [i, label] of labels.entries()) {
    const [x0, y0, x1, y1] = boxes.subarray(4 * i, 4 * i + 4);
    const across = [x0, x1].map((x) => (x - left) / (right - left)).sort((a, b) => a - b);
    const down = [y0, y1].map((y) => (y - top) / (bottom - top));
    const isInside = [across, down].every(([low, high]) => (low + high) / 2 > 0 && (low + high) / 2 < 1);
    if (!isInside) continue;
    const clipped = [across[0], down[0], across[1], down[1]].map((share) => Math.min(1, Math.max(0, share)));
    if (clipped[0] >= clipped[2] || clipped[1] >= clipped[3]) continue;
    corners.push(...clipped);
    kept.labels.push(label);
  }
  return { ...kept, boxes: Float32Array.from(corners) };
}
