/**
 * Ternary quantization to {-scale, 0, +scale}, with the rule of ternary weight networks (TWN; Li, Zhang, Liu 2016,
 * arXiv 1605.04711): threshold 0.7 mean|w|, scale the mean of |w| over the weights beyond it.
 *
 *     w = [0.9, -0.8, 0.1, -0.05, 0.4]: threshold 0.315, scale 0.7, values [0.7, -0.7, 0, 0, 0.7]
 */
import * as tf from "@tensorflow/tfjs-core";
import { wholeBounds } from "./bounds.js";
import { finiteValues, type Values } from "./calibration.js";
import type { Quantizer } from "./quantizer.js";
import { scaleTensor, sumToShape } from "./scale.js";

/**
 * Levels [-1, 0, 1]: index 0 where x < -threshold, 2 where x > threshold, 1 between; NaN takes 0. The gradient to x is
 * the identity (NaN for NaN); a scale that is a tensor gets the sum of the gradients of its +1s less that of its -1s.
 *
 * The quantizer owns `levels`, and `scale` if that was given as a number: use it within `tf.tidy`, or dispose them.
 *
 * @param scale magnitude of the outer levels, positive; a tensor broadcasts against x
 * @param threshold at least 0, in the units of x
 * @throws {RangeError} if threshold is negative or not finite, or a number given as scale is not positive and finite
 */
export function ternaryQuantizer({
  scale,
  threshold,
}: {
  scale: number | tf.Tensor;
  threshold: number;
}): Quantizer {
  if (!(threshold >= 0 && threshold < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`threshold: expected a finite number of at least 0, got ${threshold}`);
  }
  const step = scaleTensor(scale);

  const { clamp } = wholeBounds(-1, 1);
  const signs = (x: tf.Tensor) => tf.sub(tf.step(tf.sub(x, threshold)), tf.step(tf.sub(-threshold, x)));

  const fakeQuantize = tf.customGrad((...inputs) => {
    const [x, step, save] = inputs as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const sign = signs(x);
    save([sign]);
    const gradFunc = (dy: tf.Tensor, [sign]: tf.Tensor[]) => [
      // dy, and NaN where x was NaN.
      tf.tidy(() => tf.mul(dy, tf.add(tf.mul(sign, 0), 1))),
      tf.tidy(() => sumToShape(tf.mul(dy, sign), step.shape)),
    ];
    return { value: tf.mul(clamp(sign), step), gradFunc };
  });

  return {
    levels: tf.tensor1d([-1, 0, 1]),
    scale: step,
    quantize: (x) => tf.tidy(() => tf.cast(tf.add(clamp(signs(x)), 1), "int32")),
    dequantize: (indices) => tf.tidy(() => tf.mul(tf.sub(tf.cast(indices, "float32"), 1), step)),
    fakeQuantize: <T extends tf.Tensor>(x: T) => tf.tidy(() => fakeQuantize(x, step) as T),
  };
}

/**
 * The TWN rule for one tensor of weights; pass its result to `ternaryQuantizer`. All zeros give threshold 0, scale 1.
 *
 * @throws {RangeError} if w is empty or holds NaN or infinities
 */
export function twnRule(w: Values): { scale: number; threshold: number } {
  const values = finiteValues(w);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  const threshold = (0.7 * sum) / values.length;
  let kept = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) <= threshold) continue;
    kept += Math.abs(values[i]);
    count++;
  }
  return { scale: count > 0 ? kept / count : 1, threshold };
}
