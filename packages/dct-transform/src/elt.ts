/**
 * The end-to-end learned transform (ELT) of Young, Wang, Taubman and Girod, "Transform quantization for CNN compression"
 * (IEEE TPAMI 2021, theorem 3): the basis U that diagonalises the weights' covariance Ct and the inverse of the outputs'
 * sensitivity Cg together, UᵀCtU = Λ and UᵀCg⁻¹U = I. It is not orthogonal: coefficients are Uᵀθ, weights come back by U⁻ᵀ.
 * With Cg = LLᵀ (Cholesky) and LᵀCtL = VΛVᵀ it is U = LV, which needs no generalised eigensolver.
 *
 * Ct = [[2, 1], [1, 2]], Cg = [[1, .5], [.5, 3]], no damping: Λ = (7.964102, 1.035898), first basis row (.596374, 1.629325).
 */
import { checkPositive, checkSymmetric } from "./check.js";
import { symmetricEigen } from "./eigen.js";
import type { Transform } from "./transform.js";

export interface EltTransform extends Transform {
  synthesis: Float32Array;
  /**
   * Λ, descending: second moment of each coefficient. An error ε in any coefficient changes the output by ε² on average,
   * so one step size serves all and bits follow Λ alone.
   */
  variances: Float64Array;
}

/**
 * @param weightCovariance Ct, size × size, row-major: (1/m) Σ θθᵀ over the weight vectors θ; see `secondMoment`
 * @param sensitivity Cg, size × size: Σ of g gᵀ over gradients g of the network's outputs; its scale only scales Λ
 * @param options.damping δ ≥ 0: Cg + δ‖Cg‖I is used (Frobenius norm; default 0.001, as the authors'), because few calibration
 *   images leave Cg nearly singular
 * @throws {TypeError} where a matrix is no array; RangeError where it is not square, finite and symmetric, where Cg is not
 *   positive definite after damping, or where `damping` is negative
 */
export function eltTransform(
  weightCovariance: ArrayLike<number>,
  sensitivity: ArrayLike<number>,
  { damping = 1e-3 }: { damping?: number } = {},
): EltTransform {
  const size = Math.round(Math.sqrt(weightCovariance?.length ?? 0));
  checkPositive("size of weightCovariance", size);
  checkSymmetric("weightCovariance", weightCovariance, size);
  checkSymmetric("sensitivity", sensitivity, size);
  if (!(damping >= 0 && damping < Infinity))
    throw new RangeError(`damping: expected a number ≥ 0, got ${damping}`);

  const l = cholesky(sensitivity, size, damping);
  // LᵀCtL, L being lower triangular: two products that skip its zeros.
  const ctL = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < size; k++) {
      const value = weightCovariance[i * size + k];
      for (let j = 0; j <= k; j++) ctL[i * size + j] += value * l[k * size + j];
    }
  }
  const m = new Float64Array(size * size);
  for (let k = 0; k < size; k++) {
    for (let i = 0; i <= k; i++) {
      const value = l[k * size + i];
      for (let j = 0; j < size; j++) m[i * size + j] += value * ctL[k * size + j];
    }
  }
  const { values, vectors } = symmetricEigen(m, size);

  const basis = new Float32Array(size * size);
  const synthesis = new Float32Array(size * size);
  const row = new Float64Array(size);
  for (let k = 0; k < size; k++) {
    const v = vectors.subarray(k * size, (k + 1) * size);
    // Row k of Uᵀ = VᵀLᵀ, and of U⁻¹ = VᵀL⁻¹ by back substitution in xL = v.
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let j = 0; j <= i; j++) sum += l[i * size + j] * v[j];
      basis[k * size + i] = sum;
    }
    for (let j = size - 1; j >= 0; j--) {
      let sum = v[j];
      for (let i = j + 1; i < size; i++) sum -= row[i] * l[i * size + j];
      row[j] = sum / l[j * size + j];
    }
    synthesis.set(row, k * size);
  }
  return { basis, rows: size, size, synthesis, variances: values.map((value) => Math.max(0, value)) };
}

/** Lower triangular L with LLᵀ = A + damping · ‖A‖ · I. */
function cholesky(matrix: ArrayLike<number>, size: number, damping: number): Float64Array {
  let squares = 0;
  for (let i = 0; i < matrix.length; i++) squares += matrix[i] * matrix[i];
  const norm = Math.sqrt(squares);
  const l = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * size + j] + (i === j ? damping * norm : 0);
      for (let k = 0; k < j; k++) sum -= l[i * size + k] * l[j * size + k];
      if (i > j) l[i * size + j] = sum / l[j * size + j];
      else if (sum > Number.EPSILON * norm) l[i * size + i] = Math.sqrt(sum);
      else
        throw new RangeError(
          `sensitivity: expected a positive definite matrix after damping ${damping}, got pivot ${sum}`,
        );
    }
  }
  return l;
}
