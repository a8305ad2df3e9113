/**
 * A seeded sub-sample of a tensor in O(sample): the tensor's N elements, in memory order, are cut into `size` equal
 * stretches, and one element is drawn uniformly from each (jittered sampling). Every element is drawn size / N times
 * on average, so a mean over the sample estimates the mean over the tensor without bias, and the stretches spread the
 * sample over batch, positions and channels. CAT samples for the same reason, but from one image of the batch.
 *
 * N = 10, size = 4: one of elements 0..2, one of 2..4, one of 5..7, one of 7..9
 */
import {
  customGrad,
  gatherND,
  reshape,
  scatterND,
  Tensor,
  type Tensor1D,
  tensor2d,
  tidy,
} from "@tensorflow/tfjs-core";
import { describe } from "./levels.js";

/**
 * `size` elements of x, in memory order, or all of them where x has no more. Differentiable: the gradient goes to the
 * drawn elements, and is zero elsewhere. Sample first and scale the sample, and the scaling costs no pass over x.
 *
 * @param x float32 tensor of any shape
 * @param size positive integer
 * @param seed integer: the same seed draws the same positions, so pass another one at every step
 * @returns shape [min(size, x.size)]
 * @throws TypeError if x is no tensor, RangeError if size or seed is not such a number
 */
export function sampleElements(x: Tensor, size: number, seed = 0): Tensor1D {
  if (!(x instanceof Tensor)) throw new TypeError(`x: expected a tensor, got ${describe(x)}`);
  if (!(Number.isInteger(size) && size > 0))
    throw new RangeError(`sampleSize: expected a positive integer, got ${size}`);
  if (!Number.isInteger(seed)) throw new RangeError(`seed: expected an integer, got ${seed}`);
  const { shape, size: length } = x;
  if (size >= length) {
    return customGrad<Tensor1D>((input) => ({
      value: reshape(input as Tensor, [-1]),
      gradFunc: (dy: Tensor1D) => reshape(dy, shape),
    }))(x);
  }
  const indices = sampleIndices(length, size, seed);
  return tidy(() =>
    customGrad<Tensor1D>((input) => ({
      value: gatherND(reshape(input as Tensor, [-1]), tensor2d(indices, [size, 1], "int32")) as Tensor1D,
      // An element drawn twice, at the seam of two stretches, gets both gradients: scatterND adds.
      gradFunc: (dy: Tensor1D) =>
        reshape(scatterND(tensor2d(indices, [size, 1], "int32"), dy, [length]), shape),
    }))(x),
  );
}

/** One position in each of `size` equal stretches of 0 .. length - 1, ascending. */
export function sampleIndices(length: number, size: number, seed: number): Int32Array {
  const stretch = length / size;
  const indices = new Int32Array(size);
  let state = seed | 0;
  for (let i = 0; i < size; i++) {
    // Counter through MurmurHash3's finalizer (Appleby, public domain), from a start that differs by seed alone.
    state = (state + 0x9e3779b9) | 0;
    let hash = state ^ (state >>> 16);
    hash = Math.imul(hash, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 16;
    // Rounding can carry the last position to `length`.
    indices[i] = Math.min(length - 1, Math.floor((i + (hash >>> 0) / 2 ** 32) * stretch));
  }
  return indices;
}
