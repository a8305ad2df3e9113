// Accuracy where writing and reading every feature map would only take time: the first `codedImages` go through bytes, the
// others take the same values without them; a code is lossless, and on the first was seen to be.
import type * as tf from "@tensorflow/tfjs-core";
import { accuracy, imagesFrom, type Testbed } from "../testbed.js";

/** @param model the network, with its maps written as bytes and read back, or not */
export function partlyCodedAccuracy(
  { test, codedImages }: Pick<Testbed, "test" | "codedImages">,
  model: (x: tf.Tensor4D, isCoded: boolean) => tf.Tensor2D,
): number {
  const parts = [
    { images: imagesFrom(test, 0, codedImages), isCoded: true },
    { images: imagesFrom(test, codedImages), isCoded: false },
  ];
  const right = parts.map(({ images, isCoded }) =>
    images.labels.length > 0 ? images.labels.length * accuracy(images, (x) => model(x, isCoded)) : 0,
  );
  return (right[0] + right[1]) / test.labels.length;
}
