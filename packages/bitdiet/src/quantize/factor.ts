/**
 * Factors of a symmetric positive definite matrix for rounding with feedback: A = U D U^T with U unit upper triangular, so that
 *
 *     e A e^T = sum over c of D_c (e_c + sum over k < c of e_k U_kc)^2
 *
 * and the error of entry c can be chosen to make up for all errors before it. E.g. [[2, 1], [1, 1]] has U = [[1, 1], [0, 1]],
 * D = [1, 1].
 */

export interface Factors {
  size: number;
  /** U transposed: row c holds U_kc for k < c. size x size */
  feedback: Float64Array;
  /** D: what an error costs in entry c when later entries make up for it. */
  cost: Float64Array;
}

/**
 * @param matrix size x size, symmetric; only read
 * @param damping is added to the diagonal
 * @throws {RangeError} if it is not positive definite even so
 */
export function factor(matrix: Float64Array, size: number, damping: (index: number) => number): Factors {
  const m = Float64Array.from(matrix);
  for (let j = 0; j < size; j++) m[j * size + j] += damping(j);
  // M = U sqrt(D), from the last column to the first; row i of M is complete right of column j.
  for (let j = size - 1; j >= 0; j--) {
    const rowJ = j * size;
    let pivot = m[rowJ + j];
    for (let k = j + 1; k < size; k++) pivot -= m[rowJ + k] * m[rowJ + k];
    if (!(pivot > 0)) throw new RangeError(`matrix: not positive definite, pivot ${j} is ${pivot}`);
    const root = Math.sqrt(pivot);
    m[rowJ + j] = root;
    for (let i = 0; i < j; i++) {
      const rowI = i * size;
      let sum = m[rowI + j];
      for (let k = j + 1; k < size; k++) sum -= m[rowI + k] * m[rowJ + k];
      m[rowI + j] = sum / root;
    }
  }
  const feedback = new Float64Array(size * size);
  const cost = new Float64Array(size);
  for (let c = 0; c < size; c++) {
    const root = m[c * size + c];
    cost[c] = root * root;
    for (let k = 0; k < c; k++) feedback[c * size + k] = m[k * size + c] / root;
  }
  return { size, feedback, cost };
}

/** Solves A x = b in place, for each row b of `rows` (count x size). */
export function solve({ size, feedback, cost }: Factors, rows: Float64Array): void {
  for (let start = 0; start < rows.length; start += size) {
    // U y = b, last entry first: take what is known of y from the entries before it.
    for (let c = size - 1; c > 0; c--) {
      const y = rows[start + c];
      const at = c * size;
      for (let k = 0; k < c; k++) rows[start + k] -= feedback[at + k] * y;
    }
    // D U^T x = y, first entry first.
    for (let c = 0; c < size; c++) {
      let x = rows[start + c] / cost[c];
      const at = c * size;
      for (let k = 0; k < c; k++) x -= feedback[at + k] * rows[start + k];
      rows[start + c] = x;
    }
  }
}
