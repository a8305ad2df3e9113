/**
 * Pseudo-quantization noise with learned bit widths (DiffQ; Defossez, Adi, Synnaeve 2021, arXiv 2104.09987): training
 * adds noise as large as the quantization step, which has a gradient by the width, and evaluation rounds for real.
 *
 *     step   = (max - min) / (2^b - 1)       range of the tensor, real-valued b of the group
 *     train  : w + step * n,  n in -1/2 .. 1/2       d unit step / d b = -ln 2 * u (1 + u),  u = 1 / (2^b - 1)
 *     deploy : index = round((w - min) / (max - min) * (2^B - 1)),  B = round(b)
 *
 * w = [-1, -0.2, 0.3, 1], b = 2: step 2/3, indices [0, 1, 2, 3], values [-1, -1/3, 1/3, 1]; d unit step / d b = -0.308065.
 */
import * as tf from "@tensorflow/tfjs-core";
import { checkRange, finiteValues, type Range, type Values } from "./calibration.js";
import { checkSeed, normalSource, uniformSource } from "./random.js";

/** A source of noise: a new float32 tensor of this shape, in units of the step, other values at each call. */
export type Noise = (shape: number[]) => tf.Tensor;

export interface NoiseOptions {
  /** Bit widths, real numbers from 1 up, shape [groups]; usually `bitsFromLogits` of a variable. Not checked. */
  bits: tf.Tensor1D;
  /**
   * How many neighbouring elements of the flattened tensor share a width; it must divide its size. The size of the
   * tensor itself makes one group of all.
   */
  groupSize: number;
  /** `uniformNoise` of a random seed by default. To repeat a run, create one source and pass it at each step. */
  noise?: Noise;
}

/**
 * The three verbs of a `Quantizer`. It is none: each group has a grid of its own, so no list of levels serves all, and
 * `fakeQuantize` is random, with the error of `dequantize(quantize(w))` in size only.
 */
export interface NoiseQuantizer {
  /**
   * w plus noise of one step: gradient 1 to w, that of the step to `bits`. The range is that of w, held constant: the
   * paper's code lets a gradient through to the two extreme weights, which makes them drift.
   */
  fakeQuantize<T extends tf.Tensor>(w: T): T;
  /** Indices 0 .. 2^B - 1 of w's groups, B their `roundedBits`: int32, of w's shape. Beyond the range they are clamped. */
  quantize(w: tf.Tensor, range: Range): tf.Tensor;
  /** Values of such indices: float32, of their shape. */
  dequantize(indices: tf.Tensor, range: Range): tf.Tensor;
}

/**
 * Quantizer of learned, mixed bit widths. Building one costs nothing and it owns no tensor, so rebuild it each step:
 * `noiseQuantizer({ bits: bitsFromLogits(logits), groupSize: 8, noise }).fakeQuantize(w)`. To deploy, take the range
 * once, `minMaxRange(w)`, and store it with the indices and the rounded widths. A constant tensor gets no noise.
 *
 * A tfjs kernel of shape [height, width, in, out], flattened, has its output channels side by side: transpose it first
 * if a group should lie within one of them.
 *
 * @throws {TypeError} if bits is no tensor
 * @throws {RangeError} if bits is not one-dimensional, or groupSize no positive integer; on use, if the groups do not
 *   make up the tensor exactly, the noise has another shape than w, or the range is not finite or upside down
 */
export function noiseQuantizer({
  bits,
  groupSize,
  noise = uniformNoise(Math.floor(Math.random() * 2 ** 32)),
}: NoiseOptions): NoiseQuantizer {
  checkGroups(bits, groupSize);
  const grouped = [bits.size, groupSize];

  const checkSize = (w: tf.Tensor) => checkGroupedSize(w, bits, groupSize);
  // Looked up rather than computed: a GPU's power of two may be a little off.
  const highest = () => tf.reshape(tf.gather(tf.tensor1d(HIGHEST), roundedBits(bits)), [-1, 1]);

  return {
    fakeQuantize: <T extends tf.Tensor>(w: T) => {
      checkSize(w);
      return tf.tidy(() => perturb(w, bits, groupSize, noise) as T);
    },
    quantize: (w, range) => {
      checkSize(w);
      checkRange(range);
      const width = range.max - range.min;
      return tf.tidy(() => {
        const fraction = tf.clipByValue(tf.div(tf.sub(w, range.min), width > 0 ? width : 1), 0, 1);
        const level = tf.round(tf.mul(tf.reshape(fraction, grouped), highest()));
        return tf.cast(tf.reshape(level, w.shape), "int32");
      });
    },
    dequantize: (indices, range) => {
      checkSize(indices);
      checkRange(range);
      return tf.tidy(() => {
        const fraction = tf.div(tf.reshape(tf.cast(indices, "float32"), grouped), highest());
        return tf.reshape(tf.add(tf.mul(fraction, range.max - range.min), range.min), indices.shape);
      });
    },
  };
}

function checkGroupedSize(w: tf.Tensor, bits: tf.Tensor1D, groupSize: number): void {
  if (w.size === bits.size * groupSize) return;
  if (w.size % groupSize !== 0) {
    throw new RangeError(`groupSize: expected a divisor of the tensor's ${w.size} values, got ${groupSize}`);
  }
  throw new RangeError(
    `bits: expected shape [${w.size / groupSize}], one a group of ${groupSize}, got [${bits.size}]`,
  );
}

/**
 * A tensor plus noise of one step. It has a gradient of its own, which keeps the range out of it and the noise in memory
 * only once.
 */
function perturb(w: tf.Tensor, bits: tf.Tensor1D, groupSize: number, noise: Noise): tf.Tensor {
  const grouped = [bits.size, groupSize];
  const add = tf.customGrad((...inputs) => {
    const [w, bits, save] = inputs as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const sample = noise(w.shape);
    if (!tf.util.arraysEqual(sample.shape, w.shape)) {
      throw new RangeError(`noise: expected a tensor of shape [${w.shape}], got [${sample.shape}]`);
    }
    const unit = tf.reciprocal(tf.expm1(tf.mul(bits, Math.LN2)));
    const step = tf.mul(tf.sub(tf.max(w), tf.min(w)), unit);
    const error = tf.mul(tf.reshape(sample, grouped), tf.reshape(step, [-1, 1]));
    save([error, unit]);
    const gradFunc = (dy: tf.Tensor, [error, unit]: tf.Tensor[]) => [
      dy.clone(),
      tf.tidy(() =>
        tf.mul(tf.sum(tf.mul(tf.reshape(dy, grouped), error), 1), tf.mul(tf.add(unit, 1), -Math.LN2)),
      ),
    ];
    return { value: tf.add(w, tf.reshape(error, w.shape)), gradFunc };
  });
  return add(w, bits);
}

/** Noise of the quantization error itself, uniform in [-1/2, 1/2): variance 1/12. */
export function uniformNoise(seed: number): Noise {
  checkSeed(seed);
  const next = uniformSource(seed);
  return (shape) => filled(shape, () => next() - 0.5);
}

/** Gauss noise of deviation 1/2, the default of the paper's code: variance 1/4, three times that of rounding. */
export function gaussianNoise(seed: number): Noise {
  checkSeed(seed);
  const next = normalSource(seed);
  return (shape) => filled(shape, () => next() / 2);
}

/** The interval that learned widths stay in. */
export interface BitInterval {
  /** 2 by default. */
  minBits?: number;
  /** 15 by default. */
  maxBits?: number;
}

/**
 * Learned widths that cannot leave their interval: minBits + sigmoid(logits) * (maxBits - minBits). Differentiable.
 *
 * @throws {RangeError} if not 1 <= minBits < maxBits <= 16
 */
export function bitsFromLogits<T extends tf.Tensor>(logits: T, interval: BitInterval = {}): T {
  const { minBits, maxBits } = checkedInterval(interval);
  return tf.tidy(() => tf.add(tf.mul(tf.sigmoid(logits), maxBits - minBits), minBits) as T);
}

/**
 * The logits that `bitsFromLogits` turns into these widths, to start from: 8 bits in 2 .. 15 are -0.154151.
 *
 * @returns shape [groups]
 * @throws {RangeError} if a width is not strictly inside the interval, or bits is empty
 */
export function logitsFromBits(bits: Values, interval: BitInterval = {}): tf.Tensor1D {
  const { minBits, maxBits } = checkedInterval(interval);
  const logit = (b: number, at: number) => {
    if (b > minBits && b < maxBits) return Math.log((b - minBits) / (maxBits - b));
    throw new RangeError(`bits[${at}]: expected a number between ${minBits} and ${maxBits}, got ${b}`);
  };
  return tf.tensor1d(Float32Array.from(Float64Array.from(finiteValues(bits)), logit));
}

/** The widths that evaluation uses: to the nearest integer (ties to even), 1 .. 16. int32, of shape [groups]. */
export function roundedBits(bits: tf.Tensor1D): tf.Tensor1D {
  return tf.tidy(() => tf.cast(tf.clipByValue(tf.round(tf.cast(bits, "float32")), 1, 16), "int32"));
}

/**
 * Size of one tensor in bits, for the loss: the indices, the range in two float32, and each group's width, coded in
 * ceil(log2(1 + round(max b) - minBits)) bits after one byte that says how many those are. Groups of 8, 144 weights,
 * 8 bits each: 1152 + 64 + 8 + 18 * 3 = 1278. Differentiable; the width code counts as a constant, so the gradient
 * by each width is groupSize. With `roundedBits(bits)` it is the size as it will be stored, without entropy coding.
 *
 * @param bits shape [groups]
 * @param minBits the smallest width there can be
 * @throws {TypeError} if bits is no tensor
 * @throws {RangeError} if bits is not one-dimensional, groupSize no positive integer, or minBits not an integer in 1 .. 16
 */
export function modelBits(bits: tf.Tensor1D, groupSize: number, minBits = 2): tf.Scalar {
  checkGroups(bits, groupSize);
  if (!Number.isInteger(minBits) || minBits < 1 || minBits > 16) {
    throw new RangeError(`minBits: expected an integer from 1 to 16, got ${minBits}`);
  }
  const size = tf.customGrad((...inputs) => {
    const bits = inputs[0] as tf.Tensor;
    const widths = tf.add(tf.sub(tf.round(tf.max(bits)), minBits), 1);
    // ceil(log2 n) is the number of powers of two below n: exact, as a logarithm in float32 is not.
    const widthBits = tf.sum(tf.step(tf.sub(widths, [1, 2, 4, 8])));
    const value = tf.add(
      tf.mul(tf.sum(bits), groupSize),
      tf.add(tf.mul(widthBits, bits.size), RANGE_BITS + 8),
    );
    return { value, gradFunc: (dy: tf.Tensor) => tf.mul(tf.fill(bits.shape, groupSize), dy) };
  });
  return tf.tidy(() => size(tf.cast(bits, "float32")) as tf.Scalar);
}

const RANGE_BITS = 2 * 32;

/** Highest index of each width 0 .. 16. */
const HIGHEST = /* @__PURE__ */ Float32Array.from({ length: 17 }, (_, width) => 2 ** width - 1);

function checkGroups(bits: tf.Tensor, groupSize: number): void {
  if (!(bits instanceof tf.Tensor)) throw new TypeError(`bits: expected a tensor, got ${typeof bits}`);
  if (bits.rank !== 1 || bits.size === 0) {
    throw new RangeError(`bits: expected shape [groups], at least one, got [${bits.shape}]`);
  }
  if (!Number.isInteger(groupSize) || groupSize < 1) {
    throw new RangeError(`groupSize: expected a positive integer, got ${groupSize}`);
  }
}

function checkedInterval({ minBits = 2, maxBits = 15 }: BitInterval): { minBits: number; maxBits: number } {
  if (!(minBits >= 1 && minBits < maxBits && maxBits <= 16)) {
    throw new RangeError(`bits: expected 1 <= minBits < maxBits <= 16, got ${minBits} and ${maxBits}`);
  }
  return { minBits, maxBits };
}

function filled(shape: number[], next: () => number): tf.Tensor {
  return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, next), shape);
}
