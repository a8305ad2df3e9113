/** Backends, gradients, and an independent float64 reference: the dense formulas of CAT, written out plainly. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-layers";

export { tf };

await tf.setBackend("cpu");

export const backends = ["cpu", "wasm"];

export interface Reference {
  histogram: number[];
  bits: number;
  /** dH/dx */
  gradient: number[];
}

/** Soft histogram, entropy and gradient by full sums over all levels, for levels however spaced. */
export function reference(x: ArrayLike<number>, levels: ArrayLike<number>, sharpness: number): Reference {
  const last = levels.length - 1;
  const rows = Array.from(x, (value) => {
    let gap = 0;
    while (gap < last - 1 && value >= levels[gap + 1]) gap++;
    const width = last > 0 ? levels[gap + 1] - levels[gap] : 1;
    const y = gap + (value - levels[gap]) / width;
    const squares = Array.from(levels, (_, k) => (y - k) ** 2);
    const least = Math.min(...squares);
    const weights = squares.map((square) => Math.exp(-sharpness * (square - least)));
    const total = weights.reduce((a, b) => a + b);
    return { width, q: weights.map((weight) => weight / total) };
  });
  const histogram = Array.from(levels, (_, k) => rows.reduce((sum, { q }) => sum + q[k], 0) / rows.length);
  const log2 = histogram.map((p) => Math.log2(Math.max(p, 1e-300)));
  const gradient = rows.map(({ width, q }) => {
    const mean = q.reduce((sum, weight, k) => sum + weight * k, 0);
    const covariance = q.reduce((sum, weight, k) => sum + weight * (k - mean) * log2[k], 0);
    return (-2 * sharpness * covariance) / (rows.length * width);
  });
  return { histogram, bits: -histogram.reduce((sum, p, k) => sum + p * log2[k], 0), gradient };
}

export const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Greatest difference of two lists, in units of the expected list's largest element. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const scale = largest(expected) || 1;
  return Array.from(expected, (value, i) => Math.abs(actual[i] - value) / scale).reduce(
    (most, d) => (Number.isNaN(d) ? d : Math.max(most, d)),
    0,
  );
}

export const uniformLevels = (count: number): tf.Tensor1D =>
  tf.tensor1d(Array.from({ length: count }, (_, k) => k));

export interface Fixture {
  name: string;
  bits: number;
  sharpness: number;
  x: number[];
  min: number;
  max: number;
  histogram: number[];
  entropy_bits: number;
  hard_entropy_bits: number;
  gradient_wrt_level_units: number[];
}

/** Values made with PyTorch in float64; undefined, with a message, where the folder isn't there. */
export function fixtures(): Fixture[] | undefined {
  const folder =
    process.env.BITDIET_FIXTURES ?? fileURLToPath(new URL("../../../../shared/fixtures", import.meta.url));
  const path = `${folder}/soft-entropy.json`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")).cases;
  console.warn(`The comparison with PyTorch is skipped: no ${path} (set BITDIET_FIXTURES to its folder).`);
  return undefined;
}

/** Seeded values of a Laplace distribution of scale 1. */
export function laplace(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const u = (state + 0.5) / 2 ** 32 - 0.5;
    return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u));
  });
}
