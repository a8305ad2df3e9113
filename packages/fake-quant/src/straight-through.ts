/**
 * Gradients replaced on purpose: the straight-through estimator (Bengio, Leonard, Courville 2013, arXiv 1308.3432) and
 * the two helpers that learned scales need. tfjs gives `round` a zero gradient and has no stopGradient of its own.
 *
 *     straightThrough(tf.round, [0.4, 0.6]) = [0, 1], with gradient [1, 1]
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * f(x), with the gradient of the identity: what flows into the result flows into x unchanged.
 *
 * @param f returns a new tensor of x's shape; nothing inside it is differentiated
 */
export function straightThrough<T extends tf.Tensor>(f: (x: T) => tf.Tensor, x: T): T {
  return withGradient(x, f, (dy) => dy.clone());
}

/** x as a constant: no gradient flows back through it. */
export function stopGradient<T extends tf.Tensor>(x: T): T {
  return withGradient(
    x,
    (value) => value.clone(),
    (dy) => tf.zerosLike(dy),
  );
}

/**
 * x, with its gradient multiplied by `factor`.
 *
 * @throws {RangeError} if factor is not finite
 */
export function scaleGradient<T extends tf.Tensor>(x: T, factor: number): T {
  if (!Number.isFinite(factor)) throw new RangeError(`factor: expected a finite number, got ${factor}`);
  return withGradient(
    x,
    (value) => value.clone(),
    (dy) => tf.mul(dy, factor),
  );
}

// The gradient must be a tensor of its own, never dy itself: tfjs disposes a gradient once it has added to it.
function withGradient<T extends tf.Tensor>(
  x: T,
  f: (x: T) => tf.Tensor,
  gradFunc: (dy: tf.Tensor) => tf.Tensor,
): T {
  return tf.customGrad((input) => ({ value: f(input as T), gradFunc }))(x) as T;
}
