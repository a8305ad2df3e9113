/**
 * Learned clipping of activations: values are clamped to [0, |clip|] and quantized to 2^bits equally spaced levels.
 * PACT (Choi et al. 2018, arXiv 1805.06085, eq. 3); CAT (Baskin et al. 2021, arXiv 1909.11481) adds an entropy term.
 *
 *     d value / d clip = sign(clip) if x > |clip|;  0 otherwise
 *     d value / d x    = 1 if 0 <= x <= |clip|;     0 otherwise
 *
 * Two bits, clip 3: x = 2.6 has value 3 and passes its gradient to x; x = 7 has value 3 and passes it to the clip.
 */
import * as tf from "@tensorflow/tfjs-core";
import { wholeBounds } from "./bounds.js";
import type { Quantizer } from "./quantizer.js";
import { levelRange, uniformQuantizer } from "./uniform.js";

/**
 * Quantizer of 2^bits levels from 0 to |clip|, both included; its `scale` is |clip| / (2^bits - 1).
 *
 * Rounding adds nothing to the clip's gradient here. To learn from the rounding error too (LSQ), write
 * `affineQuantizer({ bits, scale: tf.div(tf.abs(clip), 2 ** bits - 1) })`: same values, other gradient. An entropy
 * term reaches the clip either way, through `scale`.
 *
 * The quantizer owns `levels` and `scale`: use it within `tf.tidy`, or dispose them.
 *
 * @param bits 1 .. 16
 * @param clip largest value, of either sign but not 0; a tensor is learned
 * @throws {RangeError} if bits or a number given as clip is out of range
 * @throws {TypeError} if clip is neither number nor tensor
 */
export function clipQuantizer({ bits, clip }: { bits: number; clip: number | tf.Tensor }): Quantizer {
  const { high } = levelRange({ bits });
  const bounds = wholeBounds(0, high);
  if (clip instanceof tf.Tensor) {
    return uniformQuantizer(
      bounds,
      tf.tidy(() => tf.div(tf.abs(clip), high)),
      false,
    );
  }
  if (typeof clip !== "number")
    throw new TypeError(`clip: expected a number or a tensor, got ${typeof clip}`);
  if (!Number.isFinite(clip) || clip === 0) {
    throw new RangeError(`clip: expected a finite number other than 0, got ${clip}`);
  }
  return uniformQuantizer(bounds, Math.abs(clip) / high, false);
}
