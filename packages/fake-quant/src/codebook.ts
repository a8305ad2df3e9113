/**
 * Quantization to the nearest of given centers, of any spacing: k-means weights, companded or log grids.
 *
 *     centers [-1, 0, 0.25, 2]: 0.9 has index 2 and value 0.25; 1.2 has index 3 and value 2
 *
 * The gradient to x is the identity. Learned centers get the exact derivative of what was looked up, the sum of the
 * gradients of each center's members (Han, Mao, Dally 2016, arXiv 1510.00149, section 3).
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Quantizer } from "./quantizer.js";

/**
 * Nearest-center quantizer; `scale` is 1. A value midway between two centers goes to the lower one, NaN to the lowest.
 *
 * The quantizer owns `scale`, and `levels` if centers was an array: use it within `tf.tidy`, or dispose them.
 *
 * @param centers ascending; an array is constant, a tensor of shape [n] is learned and becomes `levels` itself. That
 *   a tensor ascends is not checked (reading its values would stall a GPU); re-sort centers that training has crossed
 * @throws {RangeError} if centers is empty, not one-dimensional, or an array not strictly ascending and finite
 */
export function codebookQuantizer(centers: ArrayLike<number> | tf.Tensor1D): Quantizer {
  const learned = centers instanceof tf.Tensor;
  const shape = learned ? centers.shape : [centers.length];
  if (shape.length !== 1 || shape[0] === 0) {
    throw new RangeError(`centers: expected shape [n], n >= 1, got [${shape}]`);
  }
  const levels = learned ? centers : tf.tensor1d(checkedCenters(centers));
  const count = levels.size;

  const indices = (x: tf.Tensor): tf.Tensor => {
    if (count === 1 || x.size === 0) return tf.zeros(x.shape, "int32");
    const midpoints = tf.mul(tf.add(tf.slice(levels, 1), tf.slice(levels, 0, count - 1)), 0.5) as tf.Tensor1D;
    return tf.reshape(tf.lowerBound(midpoints, tf.cast(flat(x), "float32")), x.shape);
  };

  // One function with a gradient of its own: tfjs cannot differentiate through indices computed from x.
  const fakeQuantize = tf.customGrad((...inputs) => {
    const [x, levels, save] = inputs as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const index = indices(x);
    save([index]);
    const gradFunc = (dy: tf.Tensor, [index]: tf.Tensor[]) => [
      dy.clone(),
      learned ? tf.bincount(flat(index), flat(dy), count) : tf.zeros([count]),
    ];
    return { value: tf.gather(levels, index), gradFunc };
  });

  return {
    levels,
    scale: tf.scalar(1),
    quantize: (x) => tf.tidy(() => indices(x)),
    dequantize: (index) => tf.tidy(() => tf.gather(levels, tf.cast(index, "int32"))),
    fakeQuantize: <T extends tf.Tensor>(x: T) => tf.tidy(() => fakeQuantize(x, levels) as T),
  };
}

function flat(x: tf.Tensor): tf.Tensor1D {
  return tf.reshape(x, [x.size]);
}

function checkedCenters(centers: ArrayLike<number>): Float32Array {
  const held = Float32Array.from(centers);
  for (let i = 0; i < held.length; i++) {
    if (!Number.isFinite(held[i]))
      throw new RangeError(`centers[${i}]: expected a finite number, got ${centers[i]}`);
    if (i > 0 && !(held[i] > held[i - 1])) {
      throw new RangeError(
        `centers[${i}]: expected more than ${centers[i - 1]} in float32, got ${centers[i]}`,
      );
    }
  }
  return held;
}
