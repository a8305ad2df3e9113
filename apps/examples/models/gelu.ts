// GELU (Hendrycks & Gimpel 2016), the exact one by erf that BERT uses: gelu(x) = x Φ(x), Φ the standard normal
// distribution function. Its derivative is Φ(x) + x φ(x). Example: gelu(1) = 0.841345, gelu'(1) = 1.083315.
import * as tf from "@tensorflow/tfjs-core";

/** GELU of every element, float32. One function with its own gradient: autodiff would take twice the kernels. */
export function gelu<T extends tf.Tensor>(x: T): T {
  return differentiable(x) as T;
}

const differentiable = tf.customGrad((x, save) => {
  const input = x as tf.Tensor;
  const cumulative = tf.tidy(() => tf.mul(tf.add(tf.erf(tf.mul(input, Math.SQRT1_2)), 1), 0.5));
  (save as tf.GradSaveFunc)([input, cumulative]);
  return {
    value: tf.mul(input, cumulative),
    gradFunc: (dy, saved) => {
      const [x, cumulative] = saved as [tf.Tensor, tf.Tensor];
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy, tf.add(cumulative, tf.mul(x, density)))];
    },
  };
});
