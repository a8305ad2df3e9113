/**
 * Eigenvalues and eigenvectors of a symmetric matrix in float64: Householder reflections to tridiagonal form, then QL with
 * implicit shifts (Golub and Van Loan, "Matrix Computations", sections 8.3.1 and 8.3.3). Errors are a few roundings of the
 * largest eigenvalue, so tiny eigenvalues beside it have no digits of their own; repeated and zero eigenvalues are fine.
 *
 * [[2, 1], [1, 2]] has the values 3 and 1 and the vectors [1, 1]/√2 and [1, −1]/√2.
 */
import { checkPositive, checkSymmetric } from "./check.js";

export interface SymmetricEigen {
  /** `size` eigenvalues, descending. */
  values: Float64Array;
  /**
   * size × size, row-major: row k is the unit eigenvector of `values[k]`. Its component of the largest magnitude is
   * positive (the first of them where several agree to twelve digits), so the sign does not hang on rounding.
   */
  vectors: Float64Array;
}

/**
 * @param matrix size × size, row-major, symmetric to a millionth of its largest entry (the mean with its transpose is used)
 * @throws {TypeError} where `matrix` is no array, RangeError where it is not size × size, finite and symmetric
 */
export function symmetricEigen(matrix: ArrayLike<number>, size: number): SymmetricEigen {
  checkPositive("size", size);
  checkSymmetric("matrix", matrix, size);
  // A power of two takes the largest entry into [1, 2): nothing overflows, and scaling is exact.
  let largest = 0;
  for (let i = 0; i < matrix.length; i++) largest = Math.max(largest, Math.abs(matrix[i]));
  const scale = largest === 0 ? 1 : 2 ** Math.floor(Math.log2(largest));
  const a = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++)
      a[i * size + j] = (matrix[i * size + j] / scale + matrix[j * size + i] / scale) / 2;
  }
  const diagonal = new Float64Array(size);
  const offDiagonal = new Float64Array(size);
  const columns = tridiagonalise(a, size, diagonal, offDiagonal);
  diagonalise(diagonal, offDiagonal, columns, size);

  const order = Uint32Array.from({ length: size }, (_, i) => i).sort(
    (i, j) => diagonal[j] - diagonal[i] || i - j,
  );
  const values = Float64Array.from(order, (i) => diagonal[i] * scale);
  const vectors = new Float64Array(size * size);
  for (let k = 0; k < size; k++) {
    let peak = 0;
    for (let i = 0; i < size; i++) {
      const component = columns[i * size + order[k]];
      vectors[k * size + i] = component;
      if (Math.abs(component) > Math.abs(peak) * (1 + 1e-12)) peak = component;
    }
    if (peak < 0) for (let i = 0; i < size; i++) vectors[k * size + i] *= -1;
  }
  return { values, vectors };
}

/**
 * A = Q T Qᵀ: row by row from the last, a reflection I − u uᵀ/h takes what lies left of the sub-diagonal to zero.
 * Reads and destroys the lower triangle of `a`; fills T (`offDiagonal[i]` couples i and i + 1) and returns Q.
 */
function tridiagonalise(
  a: Float64Array,
  size: number,
  diagonal: Float64Array,
  offDiagonal: Float64Array,
): Float64Array {
  const half = new Float64Array(size); // uᵀu/2 of each row's reflection, 0 for none; u itself stays in the row
  const p = new Float64Array(size);
  for (let i = size - 1; i > 0; i--) {
    const row = i * size;
    diagonal[i] = a[row + i];
    let rest = 0;
    for (let k = 0; k < i - 1; k++) rest += a[row + k] * a[row + k];
    const pivot = a[row + i - 1];
    // Beside a matrix of entries up to 2 this is nothing, and squaring it again below would underflow.
    if (rest < 1e-280) {
      offDiagonal[i - 1] = pivot;
      continue;
    }
    const norm = pivot > 0 ? -Math.sqrt(rest + pivot * pivot) : Math.sqrt(rest + pivot * pivot);
    offDiagonal[i - 1] = norm;
    a[row + i - 1] = pivot - norm;
    const h = (half[i] = norm * (norm - pivot));
    const u = a.subarray(row, row + i);

    // p = A u / h from the lower triangle alone: each row gives a dot product and, as a column, a multiple of itself.
    p.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      const uj = u[j];
      let dot = a[j * size + j] * uj;
      for (let k = 0, at = j * size; k < j; k++, at++) {
        dot += a[at] * u[k];
        p[k] += a[at] * uj;
      }
      p[j] += dot;
    }
    let up = 0;
    for (let j = 0; j < i; j++) up += u[j] * (p[j] /= h);
    // A ← A − u qᵀ − q uᵀ with q = p − (uᵀp / 2h) u.
    for (let j = 0; j < i; j++) p[j] -= (up / (2 * h)) * u[j];
    for (let j = 0; j < i; j++) {
      const uj = u[j];
      const qj = p[j];
      for (let k = 0, at = j * size; k <= j; k++, at++) a[at] -= uj * p[k] + qj * u[k];
    }
  }
  diagonal[0] = a[0];
  return reflectionProduct(a, half, size);
}

/**
 * Q, the product of the reflections I − u uᵀ/half[i] whose u are the rows of the lower triangle. Taken from the smallest, each
 * touches only the block that is not yet identity.
 */
function reflectionProduct(a: Float64Array, half: Float64Array, size: number): Float64Array {
  const p = new Float64Array(size);
  const q = new Float64Array(size * size);
  for (let i = 0; i < size; i++) q[i * (size + 1)] = 1;
  for (let i = 1; i < size; i++) {
    if (half[i] === 0) continue;
    const u = a.subarray(i * size, i * size + i);
    p.fill(0, 0, i);
    for (let k = 0; k < i; k++) {
      const uk = u[k];
      for (let j = 0, at = k * size; j < i; j++, at++) p[j] += uk * q[at];
    }
    for (let k = 0; k < i; k++) {
      const factor = u[k] / half[i];
      for (let j = 0, at = k * size; j < i; j++, at++) q[at] -= factor * p[j];
    }
  }
  return q;
}

/** The plane rotations of some sweeps, kept to be applied to the vectors together. */
interface Rotations {
  cosines: Float64Array;
  sines: Float64Array;
  /** For each sweep its first column and how many rotations it has; they run downwards from there. */
  sweeps: number[];
  count: number;
}

/** T → diagonal, by QL sweeps with Wilkinson's shift; `columns` is multiplied by the same rotations. */
function diagonalise(d: Float64Array, e: Float64Array, columns: Float64Array, size: number): void {
  let norm = 0;
  for (let i = 0; i < size; i++) norm = Math.max(norm, Math.abs(d[i]) + Math.abs(e[i]));
  const negligible = norm * Number.EPSILON;
  const capacity = 32 * size;
  const rotations = {
    cosines: new Float64Array(capacity),
    sines: new Float64Array(capacity),
    sweeps: [],
    count: 0,
  };

  for (let low = 0; low < size; low++) {
    for (let sweep = 0; ; sweep++) {
      let high = low;
      while (high < size - 1 && Math.abs(e[high]) > negligible) high++;
      if (high === low) break;
      // Two or three sweeps a value are usual; the bound only turns a defect into an error instead of a hang.
      if (sweep === 64) throw new Error("symmetricEigen: no convergence after 64 sweeps");
      if (rotations.count + size > capacity) apply(rotations, columns, size);
      chase(d, e, low, high, rotations);
    }
  }
  apply(rotations, columns, size);
}

/** One implicit sweep over the unreduced block low … high: a bulge enters at the bottom and is chased to the top. */
function chase(d: Float64Array, e: Float64Array, low: number, high: number, rotations: Rotations): void {
  const slope = (d[low + 1] - d[low]) / (2 * e[low]);
  const shift = d[low] - e[low] / (slope + Math.sign(slope || 1) * Math.hypot(slope, 1));
  let c = 1;
  let s = 1;
  let correction = 0;
  let g = d[high] - shift;
  let i = high - 1;
  for (; i >= low; i--) {
    const f = s * e[i];
    const b = c * e[i];
    const r = Math.sqrt(f * f + g * g);
    e[i + 1] = r;
    if (r === 0) {
      // The bulge vanished: the block splits here, and the next sweep starts on its upper part.
      d[i + 1] -= correction;
      break;
    }
    s = f / r;
    c = g / r;
    const previous = d[i + 1] - correction;
    const t = (d[i] - previous) * s + 2 * c * b;
    correction = s * t;
    d[i + 1] = previous + correction;
    g = c * t - b;
    const at = rotations.count++;
    rotations.cosines[at] = c;
    rotations.sines[at] = s;
  }
  rotations.sweeps.push(high - 1, high - 1 - i);
  if (i < low) {
    d[low] -= correction;
    e[low] = g;
  }
  e[high] = 0;
}

/**
 * Applies the kept rotations to columns i and i + 1 of every row, and forgets them. Rows are independent: four of them
 * stay in the cache while all sweeps run over them, and share each rotation's loads.
 */
function apply(rotations: Rotations, columns: Float64Array, size: number): void {
  const { cosines, sines, sweeps } = rotations;
  for (let row = 0; row < size; row += 4) {
    // Past the last row the remaining lanes repeat it on a scratch row.
    const lanes = [0, 1, 2, 3].map((lane) =>
      row + lane < size
        ? columns.subarray((row + lane) * size, (row + lane + 1) * size)
        : new Float64Array(size),
    );
    const [v0, v1, v2, v3] = lanes;
    let at = 0;
    for (let sweep = 0; sweep < sweeps.length; sweep += 2) {
      let i = sweeps[sweep];
      const end = at + sweeps[sweep + 1];
      let h0 = v0[i + 1];
      let h1 = v1[i + 1];
      let h2 = v2[i + 1];
      let h3 = v3[i + 1];
      for (; at < end; at++, i--) {
        const c = cosines[at];
        const s = sines[at];
        const x0 = v0[i];
        const x1 = v1[i];
        const x2 = v2[i];
        const x3 = v3[i];
        v0[i + 1] = s * x0 + c * h0;
        v1[i + 1] = s * x1 + c * h1;
        v2[i + 1] = s * x2 + c * h2;
        v3[i + 1] = s * x3 + c * h3;
        h0 = c * x0 - s * h0;
        h1 = c * x1 - s * h1;
        h2 = c * x2 - s * h2;
        h3 = c * x3 - s * h3;
      }
      v0[i + 1] = h0;
      v1[i + 1] = h1;
      v2[i + 1] = h2;
      v3[i + 1] = h3;
    }
  }
  rotations.sweeps = [];
  rotations.count = 0;
}
