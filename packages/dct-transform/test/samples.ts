/** Seeded numbers and float64 references, written for clarity and independent of the code under test. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { uniform as unit } from "../../../test/random.js";

/** Uniform numbers in [−1, 1). */
export function uniform(count: number, seed: number): Float32Array {
  const next = unit(seed);
  return Float32Array.from({ length: count }, () => 2 * next() - 1);
}

/** ‖a − b‖ / ‖b‖. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths ${a.length} and ${b.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/** The definition of the orthonormal DCT-II of one row, in float64. */
export function dctByDefinition(x: ArrayLike<number>): Float64Array {
  const n = x.length;
  return Float64Array.from({ length: n }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += x[i] * Math.cos((Math.PI * (((2 * i + 1) * k) % (4 * n))) / (2 * n));
    return sum * Math.sqrt((k === 0 ? 1 : 2) / n);
  });
}

/** Random symmetric positive definite matrix: B Bᵀ/n + I/10. */
export function positiveDefinite(size: number, seed: number): Float64Array {
  const b = uniform(size * size, seed);
  const a = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = i === j ? 0.1 : 0;
      for (let k = 0; k < size; k++) sum += (b[i * size + k] * b[j * size + k]) / size;
      a[i * size + j] = sum;
    }
  }
  return a;
}

/** a · b for row-major n × n matrices. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>, n: number): Float64Array {
  const c = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) for (let k = 0; k < n; k++) c[i * n + j] += a[i * n + k] * b[k * n + j];
  return c;
}

export function transpose(a: ArrayLike<number>, n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => a[(at % n) * n + Math.floor(at / n)]);
}

export function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
}

interface Fixtures {
  dct2_ortho: { x: number[]; y: number[] }[];
  symmetric_eigen: { matrix: number[][]; eigenvalues_descending: number[] };
  elt: {
    weight_covariance: number[][];
    sensitivity: number[][];
    generalised_eigenvalues_descending: number[];
  };
}

/** Values computed by SciPy, kept outside the repository: the folder BITDIET_FIXTURES, else ../shared/fixtures. */
export function fixtures(): Fixtures | undefined {
  const beside = fileURLToPath(new URL("../../../../shared/fixtures", import.meta.url));
  const file = `${process.env.BITDIET_FIXTURES ?? beside}/transforms.json`;
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8"));
  console.warn(`Comparison with SciPy's values is skipped: no ${file} (set BITDIET_FIXTURES to its folder).`);
  return undefined;
}
