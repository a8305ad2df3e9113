/**
 * A transform of real numbers as one of integers, at a step.
 *
 * A row of the basis is stretched to entries of 12 bits; how much so goes into the length of its step on one side and what
 * a step adds on the other, so that neither the units of the features nor those of the transform cost precision.
 */
import { describe } from "@bitdiet/stream";
import { type FeatureModel, MAX_ENTRY, MAX_GAIN, MAX_STEP, type Matrix } from "./model.js";

/** A linear transform of pixels as @bitdiet/dct-transform has them: coefficients are basis · (x − mean). */
export interface LinearTransform {
  /** rows × size, row-major. */
  basis: Float32Array;
  /** 1 .. size coefficients. */
  rows: number;
  /** Channels of a pixel. */
  size: number;
  /** `size` values; zeros where absent. */
  mean?: Float32Array;
  /** rows × size: what a coefficient adds; `basis` where absent. */
  synthesis?: Float32Array;
}

/** Pixels that a transform is fitted to, at most: of all samples, evenly. */
const FITTED = 2 ** 22;
/** Coefficients that are zero for all samples two octaves finer than asked are left out. */
const LEFT_OUT = 2 ** -2;
/** The greatest sample is below this, as an integer. */
const SAMPLE_BITS = 15;

/** What samples and transform say, before there is a step. */
export interface Spread {
  transform?: LinearTransform;
  channels: number;
  fraction: number;
  /** The transform's mean, or zeros: then what a ReLU has set to zero stays exactly that. */
  mean: Float64Array;
  /** Root mean square, and greatest magnitude, of each coefficient. */
  deviations: Float64Array;
  greatest: Float64Array;
  /** Root mean square of all. */
  deviation: number;
}

export function spreadOf(
  frames: readonly Float32Array[],
  channels: number,
  fit?: (pixels: Float32Array, channels: number) => LinearTransform,
): Spread {
  const pixels = somePixels(frames, channels);
  const transform = fit && checkedTransform(fit(pixels, channels), channels);
  const mean = Float64Array.from(transform?.mean ?? new Float32Array(channels));
  const rows = transform?.rows ?? channels;
  const squares = new Float64Array(rows);
  const greatest = new Float64Array(rows);
  for (let at = 0; at < pixels.length; at += channels) {
    for (let k = 0; k < rows; k++) {
      let sum = transform ? 0 : pixels[at + k] - mean[k];
      if (transform) {
        const row = k * channels;
        for (let j = 0; j < channels; j++) sum += transform.basis[row + j] * (pixels[at + j] - mean[j]);
      }
      squares[k] += sum * sum;
      greatest[k] = Math.max(greatest[k], Math.abs(sum));
    }
  }
  const deviations = squares.map((square) => Math.sqrt((square * channels) / pixels.length));
  const deviation = Math.sqrt(deviations.reduce((sum, each) => sum + each * each, 0) / rows) || 1;
  return { transform, channels, fraction: fractionOf(pixels), mean, deviations, greatest, deviation };
}

function somePixels(frames: readonly Float32Array[], channels: number): Float32Array {
  const all = frames.reduce((sum, frame) => sum + frame.length, 0) / channels;
  const stride = Math.ceil((all * channels) / FITTED);
  const pixels = new Float32Array(Math.ceil(all / stride) * channels);
  let [to, next] = [0, 0];
  for (const frame of frames) {
    for (; next < frame.length; next += stride * channels, to += channels) {
      pixels.set(frame.subarray(next, next + channels), to);
    }
    next -= frame.length;
  }
  const wrong = pixels.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new RangeError(`samples: expected finite numbers, got ${pixels[wrong]}`);
  return pixels.subarray(0, to);
}

/** Features times 2^fraction are below 2^SAMPLE_BITS. */
function fractionOf(pixels: Float32Array): number {
  const greatest = pixels.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const octave = greatest > 0 ? Math.floor(Math.log2(greatest)) + 1 : 0;
  return Math.max(-100, Math.min(100, SAMPLE_BITS - octave));
}

function checkedTransform(transform: LinearTransform, channels: number): LinearTransform {
  const { basis, rows, size, mean, synthesis } = transform ?? {};
  if (size !== channels || !Number.isInteger(rows) || rows < 1 || rows > channels) {
    throw new RangeError(`transform: expected 1..${channels} rows of ${channels}, got ${rows} of ${size}`);
  }
  for (const [name, array, length] of [
    ["basis", basis, rows * size],
    ["mean", mean ?? new Float32Array(size), size],
    ["synthesis", synthesis ?? basis, rows * size],
  ] as const) {
    if (!(array instanceof Float32Array)) {
      throw new TypeError(`transform.${name}: expected a Float32Array, got ${describe(array)}`);
    }
    if (array.length !== length || !array.every(Number.isFinite)) {
      throw new RangeError(`transform.${name}: expected ${length} finite numbers`);
    }
  }
  return transform;
}

type Linear = Pick<
  FeatureModel,
  "fraction" | "mean" | "rows" | "analysis" | "synthesis" | "steps" | "gains" | "precision" | "sizes"
>;

/** The integers of a transform with steps of one length in its own units. */
export function linearModel(spread: Spread, step: number): Linear {
  const { transform, channels, fraction, deviations, greatest } = spread;
  const unit = 2 ** fraction;
  const kept = [...greatest.keys()].filter((k) => !transform || greatest[k] > LEFT_OUT * step);
  if (kept.length === 0) kept.push(0);
  const measured = transform && stretched(transform.basis, kept, channels);
  const added = transform?.synthesis ? stretched(transform.synthesis, kept, channels) : measured;
  const real = kept.map((_, i) => step * unit * (added ? added.lengths[i] : 1));
  const most = real.reduce((a, b) => Math.max(a, b));
  const precision = Math.max(0, Math.min(30, Math.floor(Math.log2(MAX_GAIN / most)) - 1));
  const within = (value: number, limit: number) => Math.max(1, Math.min(limit, Math.round(value)));
  return {
    fraction,
    mean: Int32Array.from(spread.mean, (value) => Math.round(value * unit)),
    rows: kept.length,
    analysis: measured?.matrix,
    synthesis: transform?.synthesis && added?.matrix,
    steps: Int32Array.from(kept, (_, i) =>
      within((step * unit) / (measured ? measured.lengths[i] : 1), MAX_STEP),
    ),
    gains: Int32Array.from(real, (value) => within(value * 2 ** precision, MAX_GAIN)),
    precision,
    sizes: Uint8Array.from(kept, (k) =>
      Math.max(0, Math.min(127, Math.round(4 * Math.log2(deviations[k] / step)) + 24)),
    ),
  };
}

/** Rows whose greatest entries are MAX_ENTRY, and what one of each row's units is worth. */
function stretched(rows: Float32Array, kept: number[], size: number): { matrix: Matrix; lengths: number[] } {
  const entries = new Int16Array(kept.length * size);
  const lengths = kept.map((k, i) => {
    const row = rows.subarray(k * size, (k + 1) * size);
    const length = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / MAX_ENTRY || 1;
    for (let j = 0; j < size; j++) entries[i * size + j] = Math.round(row[j] / length);
    return length;
  });
  return { matrix: { entries }, lengths };
}
