/**
 * A seeded sub-sample of a tensor in O(sample): the tensor's N elements, in memory order, are cut into `size` equal
 * stretches, and one element is drawn uniformly from each (jittered sampling). Every element is drawn size / N times
 * on average, so a mean over the sample estimates the mean over the tensor without bias, and the stretches spread the
 * sample over batch, positions and channels. CAT samples for the same reason, but from one image of the batch.
 *
 * N = 10, size = 4: one of elements 0..2, one of 2..4, one of 5..7, one of 7..9
 */
import {
  add,
  customGrad,
  engine,
  gatherND,
  getBackend,
  getKernel,
  registerGradient,
  registerKernel,
  reshape,
  scatterND,
  Tensor,
  type Tensor1D,
  type Tensor2D,
  tensor2d,
  tensorScatterUpdate,
  tidy,
} from "@tensorflow/tfjs-core";
import { describe } from "./levels.js";

/**
 * `size` elements of x, in memory order, or all of them where x has no more. Differentiable: the gradient goes to the
 * drawn elements, and is zero elsewhere. Sample first and scale the sample, and the scaling costs no pass over x.
 *
 * Where x is also used otherwise, as an activation is, `withSample` gives the same gradient for much less.
 *
 * @param x float32 tensor of any shape
 * @param size positive integer
 * @param seed integer: the same seed draws the same positions, so pass another one at every step
 * @returns shape [min(size, x.size)]
 * @throws {TypeError} if x is no tensor, RangeError if size or seed is not such a number
 */
export function sampleElements(x: Tensor, size: number, seed = 0): Tensor1D {
  checkArguments(x, size, seed);
  const { shape, size: length } = x;
  return tidy(() =>
    customGrad<Tensor1D>((input) => ({
      value: drawn(input as Tensor, size, seed),
      gradFunc: (dy: Tensor1D) =>
        reshape(
          size < length ? scatterND(column(sampleIndices(length, size, seed)), dy, [length]) : dy,
          shape,
        ),
    }))(x),
  );
}

/**
 * `[x, sampleElements(x, size, seed)]`, for an x that is used otherwise too: go on with the x returned, which shares
 * the data of the one given. Values and gradients are those of two separate uses, but backpropagation then makes one
 * copy of the gradient that comes back to x, with the sample's added in place, where it would fill a tensor of zeros
 * for the sample and add it to the other.
 *
 * @param x float32 tensor of any shape
 * @param size positive integer
 * @param seed integer: the same seed draws the same positions, so pass another one at every step
 * @returns x, and the sample, of shape [min(size, x.size)]
 * @throws {TypeError} if x is no tensor, RangeError if size or seed is not such a number
 */
export function withSample<T extends Tensor>(x: T, size: number, seed = 0): [T, Tensor1D] {
  checkArguments(x, size, seed);
  registerOn(getBackend());
  return engine().runKernel(WITH_SAMPLE, { x }, { size, seed }) as Tensor[] as [T, Tensor1D];
}

const WITH_SAMPLE = "BitdietWithSample";

/**
 * A kernel of our own, because only kernels may have several results, and so one gradient for all of them. It is made
 * of tfjs's operations and so is the same for every backend. Registered at the first call: importing has no effects.
 */
function registerOn(backendName: string): void {
  if (getKernel(WITH_SAMPLE, backendName)) return;
  registerGradient({
    kernelName: WITH_SAMPLE,
    gradFunc: (dy, _, attrs) => {
      const [byX, bySample] = dy as [Tensor, Tensor1D];
      const { size, seed } = attrs as { size: number; seed: number };
      return { x: () => addAt(byX, bySample, size, seed) };
    },
  });
  registerKernel({
    kernelName: WITH_SAMPLE,
    backendName,
    kernelFunc: ({ inputs, attrs }) => {
      const x = inputs.x as Tensor;
      const { size, seed } = attrs as { size: number; seed: number };
      return tidy(() => [reshape(x, x.shape), drawn(x, size, seed)]);
    },
  });
}

function drawn(x: Tensor, size: number, seed: number): Tensor1D {
  const flat: Tensor1D = reshape(x, [-1]);
  return size < x.size ? (gatherND(flat, column(sampleIndices(x.size, size, seed))) as Tensor1D) : flat;
}

/** The gradient by x with the gradient by its sample added. */
function addAt(byX: Tensor, bySample: Tensor1D, size: number, seed: number): Tensor {
  const flat: Tensor1D = reshape(byX, [-1]);
  if (size >= byX.size) return reshape(add(flat, bySample), byX.shape);
  const { positions, slots } = distinct(sampleIndices(byX.size, size, seed));
  const at = column(positions);
  // Summed first where an element was drawn twice, because updates replace.
  const byPosition =
    positions.length < size ? scatterND(column(slots), bySample, [positions.length]) : bySample;
  return reshape(tensorScatterUpdate(flat, at, add(gatherND(flat, at), byPosition)), byX.shape);
}

/** Ascending indices without repetitions, which occur at the seam of two stretches, and where among them each went. */
function distinct(indices: Int32Array): { positions: Int32Array; slots: Int32Array } {
  const positions = new Int32Array(indices.length);
  const slots = new Int32Array(indices.length);
  let last = -1;
  for (let i = 0; i < indices.length; i++) {
    if (last < 0 || indices[i] !== positions[last]) positions[++last] = indices[i];
    slots[i] = last;
  }
  return { positions: positions.subarray(0, last + 1), slots };
}

function column(indices: Int32Array): Tensor2D {
  return tensor2d(indices, [indices.length, 1], "int32");
}

function checkArguments(x: Tensor, size: number, seed: number): void {
  if (!(x instanceof Tensor)) throw new TypeError(`x: expected a tensor, got ${describe(x)}`);
  if (!(Number.isInteger(size) && size > 0))
    throw new RangeError(`sampleSize: expected a positive integer, got ${size}`);
  if (!Number.isInteger(seed)) throw new RangeError(`seed: expected an integer, got ${seed}`);
}

/**
 * The positions that `withSample` and `sampleElements` draw from a tensor of `length` elements, in memory order: one in
 * each of `size` equal stretches of 0 .. length - 1, ascending. For terms that also look at what lies beside a sample.
 *
 * @param size at most `length`; a larger sample is the whole tensor
 */
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
