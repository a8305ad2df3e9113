// A detector at work on marked pictures: its boxes in the pictures' own pixels, ready to be judged.
import * as tf from "@tensorflow/tfjs-core";
import type { VocImage } from "../data/voc.js";
import { startProgress } from "../runner/progress.js";
import type { FoundBox, MarkedBox } from "./average-precision.js";
import { type DetectionLimits, detectionsOf } from "./detections.js";
import type { BoxOutputs } from "./multibox-loss.js";

/** What there is to run. */
export interface Detector {
  run: (x: tf.Tensor4D) => BoxOutputs;
  /** Height and width of the input. */
  side: number;
  /** In centre form. */
  priors: Float32Array;
  /** Names of the classes, in the order of the logits behind the background's. */
  names: readonly string[];
  limits?: DetectionLimits;
}

/**
 * Finds boxes in pictures, one after the other. Leaves no tensor behind.
 *
 * @param inputOf a picture, [side, side, 3]
 */
export async function findBoxes(
  { run, side, priors, names, limits }: Detector,
  images: readonly VocImage[],
  inputOf: (image: VocImage) => Promise<Float32Array>,
): Promise<FoundBox[]> {
  const found: FoundBox[] = [];
  const progress = startProgress("detecting", images.length);
  try {
    for (const [i, image] of images.entries()) {
      const input = await inputOf(image);
      const [offsets, logits] = tf.tidy(() => {
        const outputs = run(tf.tensor4d(input, [1, side, side, 3]));
        return [outputs.offsets.dataSync<"float32">(), outputs.logits.dataSync<"float32">()];
      });
      for (const { label, score, box } of detectionsOf(offsets, logits, priors, limits)) {
        found.push({ image: image.id, name: names[label - 1], score, box: pixelBox(box, image) });
      }
      progress.update(i + 1, `${found.length} boxes`);
      await tf.nextFrame();
    }
  } finally {
    progress.finish();
  }
  return found;
}

/** What is marked in the pictures. */
export const markedBoxes = (images: readonly VocImage[]): MarkedBox[] =>
  images.flatMap(({ id, objects }) => objects.map((object) => ({ image: id, ...object })));

/** Sides of a picture in pixels. */
interface Sides {
  width: number;
  height: number;
}

/** Corners as shares of the sides, from pixels counted from 1: the common implementations leave out that the last pixel is inside. */
export const shareBox = (box: ArrayLike<number>, { width, height }: Sides): Float32Array =>
  Float32Array.from(box, (value, at) => (value - 1) / (at % 2 === 0 ? width : height));

/** Back again. */
export const pixelBox = (box: ArrayLike<number>, { width, height }: Sides): Float32Array =>
  Float32Array.from(box, (value, at) => value * (at % 2 === 0 ? width : height) + 1);
