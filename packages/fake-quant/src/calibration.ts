/**
 * Ranges for a quantizer from the statistics of sample data: what a scale should be before (or instead of) learning it.
 * Plain functions from numbers to numbers; `affineFromRange` turns a range into the options of `affineQuantizer`.
 *
 *     x = [0, 1, 2, 10]: minMaxRange [0, 10]; sigmaRange(moments(x), 1) = [0, 7.21]; percentileRange(x, 90) = [0.3, 7.6]
 *
 * All but minMaxRange clip: they trade the error of rare large values against the step of all others. Ranges never
 * exceed the data's own minimum and maximum, where levels would lie idle.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Grid, levelRange } from "./uniform.js";

/** Sample data: a tensor (read with `dataSync`) or numbers, such as a Float32Array. */
export type Values = tf.Tensor | ArrayLike<number>;

export interface Range {
  min: number;
  max: number;
}

/** Exact statistics of `count` values; `variance` is that of the population (divided by count). */
export interface Moments extends Range {
  count: number;
  mean: number;
  variance: number;
}

/**
 * The values as numbers.
 *
 * @throws {RangeError} if there are none, or one is NaN or infinite
 */
export function finiteValues(x: Values): ArrayLike<number> {
  const values = x instanceof tf.Tensor ? x.dataSync() : x;
  if (values.length === 0) throw new RangeError("x: expected at least one value, got none");
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]))
      throw new RangeError(`x: expected finite values, got ${values[i]} at ${i}`);
  }
  return values;
}

/**
 * Count, mean, variance, minimum and maximum, in two passes (no cancellation).
 *
 * @throws {RangeError} if x is empty or holds NaN or infinities
 */
export function moments(x: Values): Moments {
  const values = finiteValues(x);
  const count = values.length;
  const { min, max } = extremes(values);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[i];
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += (values[i] - mean) ** 2;
  return { count, mean, variance: squares / count, min, max };
}

/**
 * Moments of two samples together, exactly (Chan, Golub, LeVeque 1979), unlike a moving average, which is biased
 * towards its start and its end. Over batches: `batches.map(moments).reduce(mergeMoments)`.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  const delta = b.mean - a.mean;
  const share = b.count / count;
  return {
    count,
    mean: a.mean + delta * share,
    variance: a.variance * (1 - share) + b.variance * share + delta * delta * share * (1 - share),
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}

/**
 * Smallest and largest value.
 *
 * @throws {RangeError} if x is empty or holds NaN or infinities
 */
export function minMaxRange(x: Values): Range {
  return extremes(finiteValues(x));
}

/**
 * mean +- k standard deviations; k = 3 is where CAT starts its learned clip (Baskin et al. 2021).
 *
 * @throws {RangeError} if k is not positive
 */
export function sigmaRange(sample: Moments, k = 3): Range {
  if (!(k > 0)) throw new RangeError(`k: expected a positive number, got ${k}`);
  return around(sample, k * Math.sqrt(sample.variance));
}

/**
 * The clip of least mean squared error for Laplace data (ACIQ; Banner, Nahshan, Soudry 2019, arXiv 1810.05723):
 * mean +- a b, b = mean |x - mean|, where a e^a = 3 * 4^bits. a = 2.83 for 2 bits, 5.03 for 4, 9.89 for 8.
 * Data without negative values have all their levels on one side of 0, so they count as having one bit more.
 *
 * @throws {RangeError} if bits is not an integer in 1 .. 16, or x is empty or holds NaN or infinities
 */
export function laplaceRange(x: Values, bits: number): Range {
  levelRange({ bits });
  const sample = moments(x);
  const values = finiteValues(x);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i] - sample.mean);
  return around(sample, laplaceClip(bitsASide(sample, bits)) * (sum / values.length));
}

/**
 * The clip of least mean squared error for Gauss data (ACIQ, as above): mean +- a standard deviations, a = 1.71 for
 * 2 bits, 2.55 for 4, 3.92 for 8. Data without negative values count as having one bit more.
 *
 * @throws {RangeError} if bits is not an integer in 1 .. 16
 */
export function gaussRange(sample: Moments, bits: number): Range {
  levelRange({ bits });
  return around(sample, gaussClip(bitsASide(sample, bits)) * Math.sqrt(sample.variance));
}

/**
 * From the (100 - percent)th to the percent-th percentile, linearly interpolated between values.
 *
 * @param percent more than 50, at most 100
 * @throws {RangeError} if percent is out of range, or x is empty or holds NaN or infinities
 */
export function percentileRange(x: Values, percent = 99.9): Range {
  if (!(percent > 50 && percent <= 100)) {
    throw new RangeError(`percent: expected a number above 50, at most 100, got ${percent}`);
  }
  const sorted = Float64Array.from(finiteValues(x)).sort();
  const at = (fraction: number) => {
    const position = fraction * (sorted.length - 1);
    const below = Math.floor(position);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
  };
  return { min: at(1 - percent / 100), max: at(percent / 100) };
}

/**
 * The range of least mean squared quantization error on this very grid, searched among min-max ranges shrunken in
 * steps of 1/64: both ends together, then each alone where the grid can tell them apart. No assumption about the
 * distribution; 64 passes over the data (320 for values on both sides of 0 on an unsigned grid), so give it a sample.
 *
 * @throws {RangeError} if bits is out of range, or x is empty or holds NaN or infinities
 */
export function mseRange(x: Values, grid: Grid): Range {
  const values = finiteValues(x);
  const { min, max } = extremes(values);
  const full = { min: Math.min(0, min), max: Math.max(0, max) };
  const least = (candidates: Range[]) => {
    const errors = candidates.map((range) => squaredError(values, affineFromRange(range, grid)));
    return candidates[errors.indexOf(Math.min(...errors))];
  };
  const factors = Array.from({ length: 64 }, (_, i) => (64 - i) / 64);
  let best = least(factors.map((f) => ({ min: full.min * f, max: full.max * f })));
  if (full.min < 0 && full.max > 0 && !grid.signed) {
    for (let round = 0; round < 2; round++) {
      best = least(factors.map((f) => ({ min: best.min, max: full.max * f })));
      best = least(factors.map((f) => ({ min: full.min * f, max: best.max })));
    }
  }
  return best;
}

/** One grid for a whole tensor, as `affineQuantizer` takes it. */
export interface AffineGrid extends Grid {
  /** Distance between levels, positive. */
  scale: number;
  /** Index whose value is 0; none on a signed grid. */
  zeroPoint?: number;
}

/**
 * Options of the affine quantizer that covers a range. 0 is always a level: the range is widened to include it, and
 * the zero point rounded to an index. Signed grids take the larger side of the range for both.
 * An empty range at 0 gets scale 1; one constant value c other than 0 becomes the outermost level.
 *
 * @returns `{ bits, scale, zeroPoint }`, or `{ bits, signed, scale }` for a signed grid
 * @throws {RangeError} if range is not finite or upside down, or bits is out of range
 */
export function affineFromRange({ min, max }: Range, { bits, signed = false }: Grid): AffineGrid {
  checkRange({ min, max });
  const { high } = levelRange({ bits, signed });
  const lowest = Math.min(0, min);
  const highest = Math.max(0, max);
  const width = signed ? Math.max(-lowest, highest) : highest - lowest;
  const scale = width / high >= 2 ** -126 ? width / high : 1; // subnormal float32 scales are as good as none
  return signed
    ? { bits, signed, scale }
    : { bits, scale, zeroPoint: Math.min(high, Math.round((0 - lowest) / scale)) };
}

/** @throws {RangeError} if range is not finite or upside down */
export function checkRange({ min, max }: Range): void {
  if (!Number.isFinite(min) || !Number.isFinite(max) || min > max) {
    throw new RangeError(`range: expected finite min <= max, got ${min} .. ${max}`);
  }
}

function extremes(values: ArrayLike<number>): Range {
  let min = values[0];
  let max = values[0];
  for (let i = 1; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  return { min, max };
}

function around({ mean, min, max }: Moments, reach: number): Range {
  return { min: Math.max(min, mean - reach), max: Math.min(max, mean + reach) };
}

function bitsASide({ min }: Moments, bits: number): number {
  return min >= 0 ? bits + 1 : bits;
}

/** a of a e^a = 3 * 4^bits, by Newton's method on a + ln a. */
function laplaceClip(bits: number): number {
  const target = Math.log(3) + bits * Math.log(4);
  let a = target;
  for (let i = 0; i < 8; i++) a -= (a + Math.log(a) - target) / (1 + 1 / a);
  return a;
}

/**
 * Least mean squared error of a standard Gauss variable clipped to +-a and rounded to 2^bits levels: where the
 * derivative of clipping and rounding error, 2 a / (3 * 4^bits) - 4 (pdf(a) - a tail(a)), changes sign.
 */
function gaussClip(bits: number): number {
  let low = 0;
  let high = 10;
  for (let i = 0; i < 50; i++) {
    const a = (low + high) / 2;
    if (a / (6 * 4 ** bits) > gaussExcess(a)) high = a;
    else low = a;
  }
  return low;
}

/** E[max(0, z - a)] of a standard Gauss variable z: Simpson's rule over [a, a + 10]. */
function gaussExcess(a: number): number {
  const intervals = 400;
  const h = 10 / intervals;
  let sum = 0;
  for (let i = 0; i <= intervals; i++) {
    const weight = i === 0 || i === intervals ? 1 : i % 2 ? 4 : 2;
    sum += weight * i * h * Math.exp(-((a + i * h) ** 2) / 2);
  }
  return (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}

/** Mean squared error; which way a tie is rounded makes no difference to it. */
function squaredError(values: ArrayLike<number>, grid: AffineGrid): number {
  const { low, high } = levelRange(grid);
  const scale = grid.scale;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i] / scale;
    const level = Math.min(high, Math.max(low, Math.round(v)));
    sum += (v - level) ** 2;
  }
  return (sum * scale * scale) / values.length;
}
