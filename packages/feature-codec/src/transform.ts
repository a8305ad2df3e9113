/**
 * The transform of each pixel in integers: exact, so that neither the order of a sum nor the engine matters. Numbers are
 * float64 because engines are quickest with these; all stay below 2^53.
 *
 *     steps = round((features − reference) · analysis / step),   features = reference + Σ steps · gain · synthesis
 */
import { type FeatureModel, MAX_ADDED, MAX_FEATURE, type Matrix, scaled } from "./model.js";
import { MAX_MAGNITUDE } from "./tokens.js";

/** Where rounding goes up: a dead zone saves bits, but shifts the features' means, which costs the outputs more. */
const ROUNDING = 0.5;

/** Both directions of one codec; the matrices are turned into float64 once. */
export interface FixedTransform {
  /** Steps of all coefficients of all pixels, in rows of `model.rows`. @param differences pixels less their reference */
  analyse(differences: Float64Array, coarseness: number): Int32Array;
  /** Adds what steps stand for to pixels, and clips these. @param pixels integers; of whole pixels, as `steps` are */
  synthesise(steps: Int32Array, coarseness: number, pixels: Float64Array): void;
}

export function fixedTransform(model: FeatureModel): FixedTransform {
  const { channels, rows, analysis, steps, gains } = model;
  const measured = analysis && Float64Array.from(analysis.entries);
  const synthesis = model.synthesis ?? analysis;
  const strips = synthesis && inStrips(synthesis, rows, channels);
  const coefficients = new Float64Array(4 * rows);
  const sum = new Float64Array(Math.ceil(channels / STRIP) * STRIP);
  const present = { starts: new Int32Array(rows), factors: new Float64Array(rows) };
  return {
    analyse(differences, coarseness) {
      const lengths = Float64Array.from(steps, (step) => scaled(step, coarseness));
      const most = Float64Array.from(gains, (gain) =>
        Math.min(MAX_MAGNITUDE, Math.floor(MAX_ADDED / scaled(gain, coarseness))),
      );
      const pixels = differences.length / channels;
      const out = new Int32Array(pixels * rows);
      if (measured === undefined) {
        quantize(differences, differences.length, out, 0, lengths, most);
        return out;
      }
      const tile = new Float64Array(4 * channels);
      for (let first = 0; first < pixels; first += 4) {
        const present = Math.min(4, pixels - first);
        interleave(differences, first * channels, present, channels, tile);
        measure(measured, tile, channels, rows, coefficients);
        quantize(coefficients, present * rows, out, first * rows, lengths, most);
      }
      return out;
    },
    synthesise(integers, coarseness, pixels) {
      const factors = Float64Array.from(gains, (gain) => scaled(gain, coarseness));
      const { least, greatest, precision } = model;
      for (let at = 0, pixel = 0; pixel < pixels.length; at += rows, pixel += channels) {
        if (strips === undefined) for (let k = 0; k < rows; k++) sum[k] = integers[at + k] * factors[k];
        else add(strips, integers, at, factors, present, sum);
        settle(sum, channels, 2 ** -precision, least, greatest, pixels, pixel);
      }
    },
  };
}

/** Four pixels, channel by channel; those that are not there are zeros. */
function interleave(
  from: Float64Array,
  start: number,
  present: number,
  channels: number,
  tile: Float64Array,
) {
  if (present < 4) tile.fill(0);
  for (let p = 0; p < present; p++) {
    const pixel = start + p * channels;
    for (let j = 0; j < channels; j++) tile[4 * j + p] = from[pixel + j];
  }
}

/** Coefficients of four pixels, pixel by pixel: two rows of the matrix at a time, so that eight sums stay in registers. */
function measure(
  matrix: Float64Array,
  tile: Float64Array,
  channels: number,
  rows: number,
  out: Float64Array,
) {
  for (let k = 0; k < rows; k += 2) {
    const v = k * channels;
    const w = k + 1 < rows ? v + channels : v;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    let b0 = 0;
    let b1 = 0;
    let b2 = 0;
    let b3 = 0;
    for (let j = 0, t = 0; j < channels; j++, t += 4) {
      const p = matrix[v + j];
      const q = matrix[w + j];
      const x0 = tile[t];
      const x1 = tile[t + 1];
      const x2 = tile[t + 2];
      const x3 = tile[t + 3];
      a0 += x0 * p;
      a1 += x1 * p;
      a2 += x2 * p;
      a3 += x3 * p;
      b0 += x0 * q;
      b1 += x1 * q;
      b2 += x2 * q;
      b3 += x3 * q;
    }
    out[k] = a0;
    out[rows + k] = a1;
    out[2 * rows + k] = a2;
    out[3 * rows + k] = a3;
    if (w === v) continue;
    out[k + 1] = b0;
    out[rows + k + 1] = b1;
    out[2 * rows + k + 1] = b2;
    out[3 * rows + k + 1] = b3;
  }
}

/** Coefficients in units of their steps, to the nearest. */
function quantize(
  from: Float64Array,
  count: number,
  out: Int32Array,
  start: number,
  lengths: Float64Array,
  most: Float64Array,
): void {
  const rows = lengths.length;
  for (let i = 0, k = 0; i < count; i++) {
    const value = from[i];
    const magnitude = Math.min(most[k], Math.floor(Math.abs(value) / lengths[k] + ROUNDING));
    out[start + i] = value < 0 ? -magnitude : magnitude;
    if (++k === rows) k = 0;
  }
}

/** The coefficients of a pixel that are not zero: where their rows start in a strip, and what these are multiplied by. */
interface Present {
  starts: Int32Array;
  factors: Float64Array;
}

/** Channels summed at a time: sums that fit the registers, entries that fill a line of the cache. */
const STRIP = 8;

/** A matrix in strips of STRIP columns, row by row within a strip; columns that are not there are zeros. */
function inStrips({ entries }: Matrix, rows: number, channels: number): Float64Array {
  const strips = Math.ceil(channels / STRIP);
  const out = new Float64Array(strips * rows * STRIP);
  for (let k = 0; k < rows; k++) {
    for (let j = 0; j < channels; j++) {
      out[((j >> 3) * rows + k) * STRIP + (j & 7)] = entries[k * channels + j];
    }
  }
  return out;
}

/** The sum over the coefficients of a pixel that are not zero. @param strips see inStrips */
function add(
  strips: Float64Array,
  steps: Int32Array,
  at: number,
  gains: Float64Array,
  { starts, factors }: Present,
  sum: Float64Array,
): void {
  const rows = gains.length;
  let count = 0;
  for (let k = 0; k < rows; k++) {
    const step = steps[at + k];
    starts[count] = k * STRIP;
    factors[count] = step * gains[k];
    // A branch here would be mispredicted as often as coefficients are hard to code.
    count += step === 0 ? 0 : 1;
  }
  for (let j = 0, strip = 0; j < sum.length; j += STRIP, strip += rows * STRIP) {
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    let s4 = 0;
    let s5 = 0;
    let s6 = 0;
    let s7 = 0;
    for (let i = 0; i < count; i++) {
      const factor = factors[i];
      const row = strip + starts[i];
      s0 += factor * strips[row];
      s1 += factor * strips[row + 1];
      s2 += factor * strips[row + 2];
      s3 += factor * strips[row + 3];
      s4 += factor * strips[row + 4];
      s5 += factor * strips[row + 5];
      s6 += factor * strips[row + 6];
      s7 += factor * strips[row + 7];
    }
    sum[j] = s0;
    sum[j + 1] = s1;
    sum[j + 2] = s2;
    sum[j + 3] = s3;
    sum[j + 4] = s4;
    sum[j + 5] = s5;
    sum[j + 6] = s6;
    sum[j + 7] = s7;
  }
}

/** Adds a sum to a pixel, rounded to the nearest with halves up, and clips. */
function settle(
  sum: Float64Array,
  channels: number,
  unit: number,
  least: number,
  greatest: number,
  pixels: Float64Array,
  pixel: number,
): void {
  for (let j = 0; j < channels; j++) {
    const value = pixels[pixel + j] + Math.floor(sum[j] * unit + 0.5);
    pixels[pixel + j] = Math.max(least, Math.min(greatest, value));
  }
}

/**
 * Features as integers, rounded to the nearest, halves up, and clipped, less others.
 *
 * @param less what they are predicted from; zeros where absent
 * @throws {RangeError} for NaN and infinities
 */
export function toFixed(features: Float32Array, fraction: number, less?: Float64Array): Float64Array {
  const unit = 2 ** fraction;
  const out = new Float64Array(features.length);
  for (let i = 0; i < out.length; i++) {
    const value = features[i] * unit;
    if (Math.abs(value) < MAX_FEATURE) out[i] = Math.floor(value + 0.5);
    else if (Math.abs(value) < Infinity) out[i] = value < 0 ? -MAX_FEATURE : MAX_FEATURE;
    else throw new RangeError(`features: expected finite numbers, got ${features[i]} at ${i}`);
  }
  if (less) for (let i = 0; i < out.length; i++) out[i] -= less[i];
  return out;
}

/** The mean pixel everywhere. */
export function meanPixels({ height, width, channels, mean }: FeatureModel): Float64Array {
  const pixels = new Float64Array(height * width * channels);
  pixels.set(mean);
  for (let set = channels; set < pixels.length; set *= 2) pixels.copyWithin(set, 0, set);
  return pixels;
}

/** The features that integers stand for, exactly: they have at most 24 bits. */
export function fromFixed(pixels: Float64Array, fraction: number): Float32Array {
  const unit = 2 ** -fraction;
  const features = new Float32Array(pixels.length);
  for (let i = 0; i < features.length; i++) features[i] = pixels[i] * unit;
  return features;
}
