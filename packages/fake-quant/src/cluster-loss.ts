/**
 * A price on the distance between weights and the values they will be rounded to, so that they gather there during
 * training and rounding changes little at the end. After cluster regularized quantization (CRQ; Hu et al. 2019,
 * arXiv 1902.10370), of which this is a reconstruction: the paper's abstract describes such a term for ternary weights
 * but gives no formula; norms, mean and soft form are ours.
 *
 *     hard: mean of |w - c|^p, c the nearest center                              p = 1 or 2
 *     soft: mean of sum_j q_j |w - c_j|^p, q = softmax_j(-sharpness ((w - c_j) / spacing)^2)
 *
 * w = [0.9, -0.8, 0.1, -0.05, 0.4], centers -0.7, 0, 0.7: 0.1525 / 5 for p = 2, 0.75 / 5 for p = 1.
 */
import * as tf from "@tensorflow/tfjs-core";
import { codebookQuantizer } from "./codebook.js";
import type { Quantizer } from "./quantizer.js";
import { stopGradient } from "./straight-through.js";

/** What the weights gather around, `levels * scale`: any quantizer, for given centers `codebookQuantizer(centers)`. */
export type Clusters = Pick<Quantizer, "levels" | "scale">;

/** p of the distance |w - c|^p. 2 pulls in proportion to the distance, 1 everywhere alike. */
export type Power = 1 | 2;

/**
 * Mean distance to the nearest center, a non-negative scalar: 0 exactly if each value lies on one, where it has no
 * gradient either. The gradient reaches x, and a scale or centers that are learned, to whose mean (p = 2) or median
 * (p = 1) it pulls them. Midway between two centers it jumps: `softClusterLoss` does not.
 *
 * The mean makes the weight of this term comparable between layers; raise it from 0 over training, so that the task
 * decides first.
 *
 * @param x float32, not empty
 * @throws {RangeError} if x is empty or power neither 1 nor 2
 */
export function clusterLoss(x: tf.Tensor, { levels, scale }: Clusters, power: Power = 2): tf.Scalar {
  checkArguments(x, power);
  return tf.tidy(() => {
    // Which center is nearest is a constant; where it lies is not.
    const nearest = codebookQuantizer(levels).fakeQuantize(stopGradient(tf.div(x, scale)));
    return tf.mean(distance(tf.sub(x, tf.mul(nearest, scale)), power));
  });
}

/**
 * Mean distance to all centers, weighted by a soft assignment, so smooth: nearly `clusterLoss` for a high sharpness,
 * a little above 0 on the centers, and flat midway between two. The soft assignment is that of the differentiable
 * entropy of CAT, so one sharpness means the same in both.
 *
 * Takes `levels.size` times the memory of x: meant for ternary weights and small codebooks.
 *
 * @param x float32, not empty
 * @param sharpness positive; distances count in units of the levels' mean spacing. 10 suits ternary weights
 * @throws {RangeError} if x is empty, sharpness not positive and finite, or power neither 1 nor 2
 */
export function softClusterLoss(
  x: tf.Tensor,
  { levels, scale }: Clusters,
  { sharpness, power = 2 }: { sharpness: number; power?: Power },
): tf.Scalar {
  checkArguments(x, power);
  if (!(sharpness > 0 && sharpness < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`sharpness: expected a positive finite number, got ${sharpness}`);
  }
  return tf.tidy(() => {
    const offsets = tf.sub(tf.expandDims(tf.div(x, scale), -1), levels);
    const assignment = tf.softmax(tf.mul(tf.square(tf.div(offsets, meanSpacing(levels))), -sharpness));
    const expected = tf.sum(tf.mul(assignment, distance(offsets, power)), -1);
    return tf.mean(tf.mul(expected, distance(scale, power)));
  });
}

/** |x|^power. tfjs gives |x| the gradient -1 at 0, which would push values off their centers: here it is 0. */
function distance(x: tf.Tensor, power: Power): tf.Tensor {
  return power === 2 ? tf.square(x) : tf.mul(x, stopGradient(tf.sign(x)));
}

/** Held constant: the unit of sharpness, not something to learn. */
function meanSpacing(levels: tf.Tensor1D): tf.Tensor | number {
  const last = levels.size - 1;
  if (last === 0) return 1;
  return stopGradient(tf.div(tf.sub(tf.slice(levels, last, 1), tf.slice(levels, 0, 1)), last));
}

function checkArguments(x: tf.Tensor, power: number): void {
  if (x.size === 0) throw new RangeError("x: expected at least one value, got none");
  if (power !== 1 && power !== 2) throw new RangeError(`power: expected 1 or 2, got ${power}`);
}
