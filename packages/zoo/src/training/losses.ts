// Losses of classifiers, in nats, mean over the batch. Example: logits [0, 0] against either class cost ln 2 = 0.693.
import * as tf from "@tensorflow/tfjs-core";

/** Cross entropy of softmax(logits) with one-hot labels, both [batch, classes]. */
export function crossEntropy(labels: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  return tf.div(tf.sum(tf.mul(labels, tf.logSoftmax(logits))), -labels.shape[0]);
}

/**
 * Distillation (Hinton, Vinyals, Dean 2015, arXiv 1503.02531): KL divergence of softmax(logits / T) from the teacher's,
 * times T^2, which keeps the gradient's size whatever T. 0 where both agree.
 *
 * @param teacher logits of the teacher, [batch, classes]; no gradient flows there if they come from `constant`
 */
export function distillation(teacher: tf.Tensor2D, logits: tf.Tensor2D, temperature = 1): tf.Scalar {
  const target = tf.logSoftmax<tf.Tensor2D>(tf.div(teacher, temperature));
  const difference = tf.sub(target, tf.logSoftmax<tf.Tensor2D>(tf.div(logits, temperature)));
  const divergence = tf.sum(tf.mul(tf.exp(target), difference));
  return tf.mul(divergence, temperature ** 2 / teacher.shape[0]);
}

/**
 * f's result as a constant, its temporaries freed at once: a teacher in a student's loss. On the tape, everything it
 * computes would be kept until the gradient is done.
 */
export function constant<T extends tf.Tensor>(f: () => T): T {
  return tf.customGrad<T>(() => ({ value: tf.tidy(f), gradFunc: () => [] }))();
}
