// Dropout (Srivastava et al. 2014), seeded: an element is zero with probability `rate`, else divided by 1 - rate.
// Example: of ones at rate 0.1 about a tenth are 0 and the others 1.1111.
import * as tf from "@tensorflow/tfjs-core";
import { namedSeed } from "./named-seed.js";

/** Drops elements of an activation on its way into the layer called `name`. */
export type Dropout = <T extends tf.Tensor>(x: T, name: string) => T;

/**
 * A dropout whose masks depend on the seed, the name and the shape alone: a resumed run, another worker or a finite
 * difference sees the same ones. Take a new seed for every step.
 *
 * @param rate probability of zero, in [0, 1)
 * @throws {RangeError} if the rate is outside.
 */
export function seededDropout(rate: number, seed: number): Dropout {
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`rate must be in [0, 1), got ${rate}.`);
  return (x, name) => {
    if (rate === 0) return x;
    const mask = tf.tensor(dropoutMask(x.size, rate, namedSeed(name, seed)), x.shape);
    return tf.mul(x, mask);
  };
}

// xorshift32 (Marsaglia 2003), inlined and two 16-bit decisions a word: a training step needs millions of them.
function dropoutMask(size: number, rate: number, seed: number): Float32Array {
  const threshold = Math.round(rate * 65536);
  const kept = 65536 / (65536 - threshold);
  const mask = new Float32Array(size);
  let state = seed;
  for (let i = 0; i < size; i += 2) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    mask[i] = (state & 0xffff) >= threshold ? kept : 0;
    if (i + 1 < size) mask[i + 1] = state >>> 16 >= threshold ? kept : 0;
  }
  return mask;
}
