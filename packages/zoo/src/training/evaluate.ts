// How often a classifier is right: top-1 and top-5 over images in batches of one size (the wasm backend wants fixed
// shapes; the last batch is filled up and the filling not counted).
import * as tf from "@tensorflow/tfjs-core";
import { startProgress } from "../runner/progress.js";

export interface Score {
  top1: number;
  top5: number;
  images: number;
}

/**
 * @param inputs of each image in turn, [height, width, 3]
 * @param shape of one input
 */
export async function evaluate(
  model: (x: tf.Tensor4D) => tf.Tensor2D,
  images: { label: number; input: () => Promise<Float32Array> }[],
  shape: [number, number, number],
  batchSize: number,
): Promise<Score> {
  const size = shape[0] * shape[1] * shape[2];
  const progress = startProgress("evaluating", images.length);
  let [top1, top5] = [0, 0];
  try {
    for (let from = 0; from < images.length; from += batchSize) {
      const batch = images.slice(from, from + batchSize);
      const values = new Float32Array(batchSize * size);
      const inputs = await Promise.all(batch.map(({ input }) => input()));
      for (const [i, input] of inputs.entries()) values.set(input, i * size);
      const ranks = tf.tidy(() => {
        const logits = model(tf.tensor4d(values, [batchSize, ...shape]));
        const classes = logits.shape[1];
        return ranksOf(
          logits.dataSync<"float32">(),
          classes,
          batch.map(({ label }) => label),
        );
      });
      top1 += ranks.filter((rank) => rank === 0).length;
      top5 += ranks.filter((rank) => rank < 5).length;
      const done = from + batch.length;
      progress.update(done, `top-1 ${((100 * top1) / done).toFixed(2)} %`);
    }
  } finally {
    progress.finish();
  }
  return { top1: top1 / images.length, top5: top5 / images.length, images: images.length };
}

/** How many classes score higher than the right one; NaN scores rank it last. */
function ranksOf(logits: Float32Array, classes: number, labels: number[]): number[] {
  return labels.map((label, row) => {
    const own = logits[row * classes + label];
    let rank = 0;
    for (let c = 0; c < classes; c++) if (c !== label && !(logits[row * classes + c] < own)) rank++;
    return rank;
  });
}
