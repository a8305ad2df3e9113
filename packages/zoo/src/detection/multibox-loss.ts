// The loss of an SSD (Liu et al. 2016, equation 1): cross entropy of classes and smooth L1 of offsets, both over the number of
// matched priors. Nearly all priors show background; of these only the worst count, three for each that is matched.
// Example: 2 matched priors of 8,732: the 6 others of the largest cross entropy are trained along, 8,724 are not.
import { stopGradient } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import type { Targets } from "./matching.js";

/** What a detector says of a batch. */
export interface BoxOutputs {
  /** From the priors, [batch, priors, 4]. */
  offsets: tf.Tensor3D;
  /** Of background and classes, [batch, priors, 1 + classes]. */
  logits: tf.Tensor3D;
}

/** Background priors for each one that is matched. */
export const NEGATIVES = 3;

/**
 * The loss, in nats and units of offsets. Call it within a tidy or a gradient.
 *
 * @param targets of the batch
 */
export function multiboxLoss({ offsets, logits }: BoxOutputs, targets: Targets): tf.Scalar {
  const [batch, priors, classes] = logits.shape;
  const matched = targets.labels.reduce((count, label) => count + Number(label > 0), 0);
  const rows = tf.reshape(logits, [batch * priors, classes]);
  const oneHot = tf.cast(tf.oneHot(tf.tensor1d(targets.labels, "int32"), classes), "float32");
  const entropies = tf.neg(tf.sum(tf.mul(oneHot, tf.logSoftmax(rows)), 1));
  const counted = countedPriors(entropies.dataSync<"float32">(), targets.labels, priors);
  const classLoss = tf.sum(tf.mul(entropies, tf.tensor1d(counted)));

  const mask = tf.tensor2d(
    new Float32Array(targets.labels).map((label) => Number(label > 0)),
    [batch * priors, 1],
  );
  const wanted = tf.tensor2d(targets.offsets, [batch * priors, 4]);
  const errors = tf.mul(tf.sub(tf.reshape(offsets, [batch * priors, 4]), wanted), mask);
  return tf.div(tf.add(classLoss, smoothL1(errors)), Math.max(1, matched));
}

/**
 * Which priors count for the classes' loss: 1 for those that are matched and for each picture's worst others.
 *
 * @param losses of classes, a batch of pictures one behind the other; @param priors of a picture
 */
export function countedPriors(losses: ArrayLike<number>, labels: Int32Array, priors: number): Float32Array {
  const counted = new Float32Array(labels.length);
  for (let from = 0; from < labels.length; from += priors) {
    const negatives: number[] = [];
    for (let at = from; at < from + priors; at++) {
      if (labels[at] > 0) counted[at] = 1;
      else negatives.push(at);
    }
    const most = NEGATIVES * (priors - negatives.length);
    negatives.sort((a, b) => losses[b] - losses[a]);
    for (const at of negatives.slice(0, most)) counted[at] = 1;
  }
  return counted;
}

/** Sum of x^2 / 2 where |x| < 1, else of |x| - 1/2: as x c - c^2 / 2 with x clipped to c, which is constant. */
function smoothL1(x: tf.Tensor): tf.Scalar {
  const clipped = stopGradient(tf.clipByValue(x, -1, 1));
  return tf.sum(tf.sub(tf.mul(x, clipped), tf.div(tf.square(clipped), 2)));
}
