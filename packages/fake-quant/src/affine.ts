/**
 * The affine (uniform) quantizer: index = clamp(round(x / scale) + zeroPoint), value = (index - zeroPoint) * scale.
 *
 * A scale that is a tensor is learned, with the gradient of learned step size quantization (LSQ; Esser et al. 2020,
 * arXiv 1902.08153, eq. 3): per element, with v = x / scale,
 *
 *     d value / d scale = low if v < low;  high if v > high;  round(v) - v otherwise
 *     d value / d x     = 1 if low <= v <= high;  0 otherwise
 *
 * Four bits, scale 0.1: x = 0.26 has v = 2.6, index 3, value 0.3 and d value / d scale = 0.4.
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Quantizer } from "./quantizer.js";
import { type Grid, levelRange, uniformQuantizer } from "./uniform.js";

export interface AffineOptions extends Grid {
  /**
   * Distance between levels, positive. A number is a constant. A tensor gets the gradient above, and its shape says
   * what it belongs to, as it broadcasts against x: [] the whole tensor, [C] the last axis, [C, 1, 1, 1] the first
   * of four. Not checked: reading a tensor's values would stall a GPU.
   */
  scale: number | Tensor;
  /** Index whose value is 0, an integer in 0 .. 2^bits - 1; 0 by default. Not for signed grids. */
  zeroPoint?: number;
}

/**
 * Uniform quantizer of 2^bits levels (2^bits - 1 if signed). Building one costs next to nothing, so a training step
 * rebuilds it: `affineQuantizer({ bits: 4, scale: tf.div(tf.abs(clip), 15) })`.
 *
 * NaN has no level: its value is NaN or the lowest level, depending on the backend; its gradient is NaN on each.
 *
 * The quantizer owns `levels`, and `scale` if that was given as a number: use it within `tf.tidy`, or dispose them.
 *
 * @throws {RangeError} if bits, zeroPoint or a number given as scale is out of range
 * @throws {TypeError} if scale is neither number nor tensor
 */
export function affineQuantizer({ bits, scale, zeroPoint, signed }: AffineOptions): Quantizer {
  return uniformQuantizer(levelRange({ bits, signed, zeroPoint }), scale, true);
}
