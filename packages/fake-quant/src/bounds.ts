/**
 * Lowest and highest level of a uniform quantizer: one pair for a whole tensor, or one for each slice along an axis, so
 * that slices have bit widths of their own. A slice whose lowest and highest level are 0 is pruned.
 */
import * as tf from "@tensorflow/tfjs-core";

export interface Bounds {
  /** Lowest level of all slices. */
  low: number;
  /** Highest level of all slices. */
  high: number;
  /** x limited to each slice's own levels, NaN to the lowest. */
  clamp(x: tf.Tensor): tf.Tensor;
}

/** Bounds that hold for the whole tensor. */
export function wholeBounds(low: number, high: number): Bounds {
  return { low, high, clamp: (x) => tf.tidy(() => tf.clipByValue(withoutNaN(x, low), low, high)) };
}

/**
 * Bounds of each slice along an axis, [{ low: -7, high: 7 }, { low: 0, high: 0 }] for two channels of which one is pruned.
 *
 * @param axis which one, negative from the last
 */
export function sliceBounds(slices: readonly { low: number; high: number }[], axis: number): Bounds {
  const lows = Float32Array.from(slices, ({ low }) => low);
  const highs = Float32Array.from(slices, ({ high }) => high);
  const clamp = (x: tf.Tensor) =>
    tf.tidy(() => {
      const at = axis < 0 ? x.rank + axis : axis;
      if (x.shape[at] !== slices.length) {
        throw new RangeError(
          `bits: expected as many widths as x of shape [${x.shape}] has slices along axis ${axis}, got ${slices.length}`,
        );
      }
      const shape = x.shape.map((size, i) => (i === at ? size : 1));
      const low = tf.tensor(lows, shape);
      return tf.minimum(tf.maximum(low, withoutNaN(x, low)), tf.tensor(highs, shape));
    });
  return { low: lows.reduce((a, b) => Math.min(a, b)), high: highs.reduce((a, b) => Math.max(a, b)), clamp };
}

// The wasm backend's clamp, and its maximum if NaN is the second of two, give the lowest level by themselves: there a mask
// takes forty times as long as the clamp.
function withoutNaN(x: tf.Tensor, low: number | tf.Tensor): tf.Tensor {
  return tf.getBackend() === "wasm" ? x : tf.where(tf.isNaN(x), low, x);
}
