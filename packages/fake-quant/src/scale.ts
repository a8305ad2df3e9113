/**
 * A quantizer's scale as a tensor that broadcasts against x, and the way its gradient comes back: summed over the axes
 * along which it was broadcast. A scale of shape [64] under x of shape [3, 3, 16, 64] collects 3 * 3 * 16 terms each.
 */
import * as tf from "@tensorflow/tfjs-core";

/** @throws {RangeError | TypeError} if a number is not positive and finite, or scale is neither number nor tensor */
export function scaleTensor(scale: number | tf.Tensor): tf.Tensor {
  if (scale instanceof tf.Tensor) return scale;
  if (typeof scale !== "number")
    throw new TypeError(`scale: expected a number or a tensor, got ${typeof scale}`);
  // Compared as float32, which is what the tensor will hold: there 1e-60 is 0.
  const held = Math.fround(scale);
  if (!(held > 0 && held < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`scale: expected a positive finite number, got ${scale}`);
  }
  return tf.scalar(held);
}

export function sumToShape(x: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.backend_util.getReductionAxes(shape, x.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(x, axes) : x, shape);
}
