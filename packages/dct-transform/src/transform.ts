/**
 * A linear transform is data: a matrix whose rows are basis vectors, and a mean. A coefficient is the dot product of a
 * basis vector with the centred sample; the sample comes back as the mean plus the coefficients' sum of synthesis
 * vectors (Goyal, "Theoretical foundations of transform coding", IEEE Signal Processing Magazine, 2001).
 *
 * [3, 1] in the basis {[1, 1]/√2, [1, −1]/√2}: coefficients [2√2, √2] = [2.828, 1.414].
 */
import { checkFloat32, checkPositive, checkRows } from "./check.js";

export interface Transform {
  /** rows × size, row-major: row k is the vector that measures coefficient k. */
  basis: Float32Array;
  /** How many coefficients: `size` for a complete transform, fewer for a truncated one. */
  rows: number;
  /** How many values a sample has. */
  size: number;
  /** `size` values, subtracted before the analysis and added after the synthesis; zero where absent. */
  mean?: Float32Array;
  /** rows × size: row k is the vector that coefficient k adds to the sample. Absent where it is `basis` (orthonormal rows). */
  synthesis?: Float32Array;
}

/** Shapes of a transform that came from elsewhere, a file for instance. */
export function checkTransform(transform: Transform): void {
  const { basis, rows, size, mean, synthesis } = transform;
  checkPositive("transform.rows", rows);
  checkPositive("transform.size", size);
  checkFloat32("transform.basis", basis, rows * size);
  if (mean !== undefined) checkFloat32("transform.mean", mean, size);
  if (synthesis !== undefined) checkFloat32("transform.synthesis", synthesis, rows * size);
}

/**
 * Coefficients of samples: `basis · (x − mean)` for each row x. Sums are float64, rounded to float32 once.
 *
 * @param rows count × transform.size samples, row-major
 * @returns count × transform.rows coefficients, row-major
 * @throws {TypeError} where `rows` is no Float32Array, RangeError where it does not hold whole samples
 */
export function forward(transform: Transform, rows: Float32Array): Float32Array {
  checkTransform(transform);
  const { basis, size, mean } = transform;
  checkRows("rows", rows, size);
  return products(rows, size, Float64Array.from(basis), transform.rows, mean, undefined);
}

/**
 * Samples from coefficients: `mean + synthesisᵀ · c` for each row c, `synthesis` being `basis` where absent.
 * `inverse(t, forward(t, x))` is x to float32 rounding for a complete transform, and for a truncated orthonormal one
 * the nearest sample that the kept vectors span.
 *
 * @param coefficients count × transform.rows, row-major
 * @returns count × transform.size samples, row-major
 * @throws {TypeError} where `coefficients` is no Float32Array, RangeError where it does not hold whole rows
 */
export function inverse(transform: Transform, coefficients: Float32Array): Float32Array {
  checkTransform(transform);
  const { basis, rows, size, mean, synthesis = basis } = transform;
  checkRows("coefficients", coefficients, rows);
  const columns = new Float64Array(size * rows);
  for (let k = 0; k < rows; k++)
    for (let i = 0; i < size; i++) columns[i * rows + k] = synthesis[k * size + i];
  return products(coefficients, rows, columns, size, undefined, mean);
}

/**
 * The transform with only some of its coefficients.
 *
 * @param selection how many leading coefficients, or `transform.rows` flags (0 or false drops that coefficient)
 * @throws {RangeError} where nothing would be left, or more is asked than there is
 */
export function keep(transform: Transform, selection: number | ArrayLike<number | boolean>): Transform {
  checkTransform(transform);
  const { basis, rows, size, mean, synthesis } = transform;
  if (typeof selection === "number") {
    checkPositive("selection", selection);
    if (selection > rows)
      throw new RangeError(`selection: expected at most ${rows} coefficients, got ${selection}`);
  } else if (selection?.length !== rows) {
    throw new RangeError(`selection: expected a count or ${rows} flags, got ${selection?.length} flags`);
  }
  const kept: number[] = [];
  for (let k = 0; k < rows; k++)
    if (typeof selection === "number" ? k < selection : selection[k]) kept.push(k);
  if (kept.length === 0)
    throw new RangeError("selection: expected at least one coefficient to keep, got none");
  const pick = (matrix: Float32Array): Float32Array => {
    const picked = new Float32Array(kept.length * size);
    for (const [to, from] of kept.entries())
      picked.set(matrix.subarray(from * size, (from + 1) * size), to * size);
    return picked;
  };
  return {
    basis: pick(basis),
    rows: kept.length,
    size,
    ...(mean && { mean }),
    ...(synthesis && { synthesis: pick(synthesis) }),
  };
}

/** The transform that changes nothing: the baseline every other is compared with. */
export function identityTransform(size: number): Transform {
  checkPositive("size", size);
  const basis = new Float32Array(size * size);
  for (let k = 0; k < size; k++) basis[k * (size + 1)] = 1;
  return { basis, rows: size, size };
}

/**
 * output[i, k] = after[k] + Σ_j (rows[i, j] − before[j]) · vectors[k, j], four rows by two vectors at a time: eight
 * sums stay in registers and every load serves two or four of them.
 */
function products(
  rows: Float32Array,
  length: number,
  vectors: Float64Array,
  outputs: number,
  before: Float32Array | undefined,
  after: Float32Array | undefined,
): Float32Array {
  const count = rows.length / length;
  const output = new Float32Array(count * outputs);
  const tile = new Float64Array(4 * length);
  for (let first = 0; first < count; first += 4) {
    const present = Math.min(4, count - first);
    tile.fill(0);
    for (let r = 0; r < present; r++) {
      const row = (first + r) * length;
      for (let j = 0; j < length; j++) tile[4 * j + r] = rows[row + j] - (before ? before[j] : 0);
    }
    for (let k = 0; k < outputs; k += 2) {
      const v = k * length;
      // With an odd number of vectors the last one is its own partner; the second result is then not stored.
      const w = k + 1 < outputs ? v + length : v;
      const offset0 = after ? after[k] : 0;
      const offset1 = after && k + 1 < outputs ? after[k + 1] : 0;
      let a0 = offset0;
      let a1 = offset0;
      let a2 = offset0;
      let a3 = offset0;
      let b0 = offset1;
      let b1 = offset1;
      let b2 = offset1;
      let b3 = offset1;
      for (let j = 0, t = 0; j < length; j++, t += 4) {
        const x0 = tile[t];
        const x1 = tile[t + 1];
        const x2 = tile[t + 2];
        const x3 = tile[t + 3];
        const p = vectors[v + j];
        const q = vectors[w + j];
        a0 += x0 * p;
        a1 += x1 * p;
        a2 += x2 * p;
        a3 += x3 * p;
        b0 += x0 * q;
        b1 += x1 * q;
        b2 += x2 * q;
        b3 += x3 * q;
      }
      for (let r = 0; r < present; r++) {
        const at = (first + r) * outputs + k;
        output[at] = r === 0 ? a0 : r === 1 ? a1 : r === 2 ? a2 : a3;
        if (k + 1 < outputs) output[at + 1] = r === 0 ? b0 : r === 1 ? b1 : r === 2 ? b2 : b3;
      }
    }
  }
  return output;
}
