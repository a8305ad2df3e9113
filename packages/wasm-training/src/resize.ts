/**
 * Gradient of nearest-neighbour resizing: every pixel of dy goes to the pixel it was copied from. The shipped kernel is
 * wrong where an image grows. E.g. 2 × 2 grown to 4 × 4 sums four dy for each pixel.
 */
import type { ResizeNearestNeighborGradAttrs, Tensor, Tensor4D } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { asTensor } from "./composed.js";
import type { KernelCall, TrainingKernel } from "./kernel.js";

/** For each of `to` positions along an axis, the one of `from` that it shows: as tfjs's forward kernel computes it. */
function sources(from: number, to: number, alignCorners: boolean, halfPixelCenters: boolean): Int32Array {
  const ratio = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  return Int32Array.from({ length: to }, (_, index) => {
    const position = ratio * (halfPixelCenters ? index + 0.5 : index);
    return Math.max(0, Math.min(from - 1, alignCorners ? Math.round(position) : Math.floor(position)));
  });
}

function gradient({ inputs, attrs }: KernelCall): Tensor {
  const [images, dy]: Tensor4D[] = [asTensor(inputs.images), asTensor(inputs.dy)];
  const { alignCorners, halfPixelCenters = false } = attrs as unknown as ResizeNearestNeighborGradAttrs & {
    halfPixelCenters?: boolean;
  };
  const [batch, height, width, channels] = images.shape;
  const [, outHeight, outWidth] = dy.shape;
  const rows = sources(height, outHeight, alignCorners, halfPixelCenters);
  const columns = sources(width, outWidth, alignCorners, halfPixelCenters);
  const pixels = new Int32Array(batch * outHeight * outWidth);
  let next = 0;
  for (let image = 0; image < batch; image++) {
    for (const row of rows) {
      for (const column of columns) pixels[next++] = (image * height + row) * width + column;
    }
  }
  return tf.tidy(() => {
    const flat = tf.reshape(dy, [pixels.length, channels]);
    const sums = tf.unsortedSegmentSum(flat, tf.tensor1d(pixels, "int32"), batch * height * width);
    return tf.reshape(sums, images.shape);
  });
}

export const resizeNearestNeighborGrad: TrainingKernel = {
  name: "ResizeNearestNeighborGrad",
  onHeap: (_, call) => gradient(call),
  composed: gradient,
};
