/**
 * The same transforms on tensors, for use inside a training graph: the basis goes through `tf.matMul`, so gradients reach
 * the input, and the values agree with the typed-array `forward` and `inverse` to float32 rounding.
 *
 * `forward(dctTransform(8), tf.ones([4, 4, 8]))` is √8 = 2.828 in the first of every 8 channels and 0 in the others.
 */
import * as tf from "@tensorflow/tfjs-core";
import { checkTransform, type Transform } from "./transform.js";

/**
 * Coefficients of the last axis.
 *
 * @param x [..., transform.size], float32
 * @returns [..., transform.rows]
 * @throws {TypeError} where it is no tensor, RangeError where the last axis is not `transform.size` long
 */
export function forward(transform: Transform, x: tf.Tensor): tf.Tensor {
  checkTransform(transform);
  const { basis, rows, size, mean } = transform;
  const leading = leadingShape("x", x, size);
  return tf.tidy(() => {
    const samples = tf.reshape(x, [-1, size]) as tf.Tensor2D;
    const centred = mean ? tf.sub(samples, tf.tensor1d(mean)) : samples;
    // Transposed beforehand: matMul's own flag is slower on the wasm backend as shipped.
    const columns = tf.transpose(tf.tensor2d(basis, [rows, size]));
    return tf.reshape(tf.matMul(centred, columns), [...leading, rows]);
  });
}

/**
 * Samples from coefficients on the last axis.
 *
 * @param coefficients [..., transform.rows], float32
 * @returns [..., transform.size]
 * @throws {TypeError} where it is no tensor, RangeError where the last axis is not `transform.rows` long
 */
export function inverse(transform: Transform, coefficients: tf.Tensor): tf.Tensor {
  checkTransform(transform);
  const { basis, rows, size, mean, synthesis = basis } = transform;
  const leading = leadingShape("coefficients", coefficients, rows);
  return tf.tidy(() => {
    const flat = tf.reshape(coefficients, [-1, rows]) as tf.Tensor2D;
    const samples = tf.matMul(flat, tf.tensor2d(synthesis, [rows, size]));
    return tf.reshape(mean ? tf.add(samples, tf.tensor1d(mean)) : samples, [...leading, size]);
  });
}

function leadingShape(name: string, tensor: tf.Tensor, length: number): number[] {
  if (!(tensor instanceof tf.Tensor)) throw new TypeError(`${name}: expected a tensor, got ${typeof tensor}`);
  const last = tensor.shape[tensor.rank - 1];
  if (last !== length)
    throw new RangeError(`${name}: expected ${length} values on the last axis, got shape [${tensor.shape}]`);
  return tensor.shape.slice(0, -1);
}
