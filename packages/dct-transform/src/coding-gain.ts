/**
 * Coding gain: by what factor a transform lowers the output error of optimally allocated scalar quantization at equal bits
 * (Young et al., "Transform quantization for CNN compression", theorems 1 and 2). It saves log2(gain)/2 bits a value.
 *
 * Ct = [[2, 1], [1, 2]], Cg = [[1, .5], [.5, 3]]: KLT 1.032796, ELT 1.206045.
 */
import { checkNumbers } from "./check.js";
import type { Transform } from "./transform.js";

/**
 * The n-th root of Π_k Cg_kk Ct_kk over Π_k (s_k·Cg·s_k)(b_k·Ct·b_k), b_k and s_k the transform's basis and synthesis rows.
 *
 * @param transform complete: as many rows as values
 * @param covariance Ct, size × size, row-major: second moments of the values that are quantized
 * @param sensitivity Cg, size × size: what an error costs at the output; the identity where absent, which is the classic
 *   coding gain of a transform
 * @returns 1 for the identity, `Infinity` where the transform finds a direction without energy
 * @throws {RangeError} where the transform is truncated or a matrix does not fit it
 */
export function codingGain(
  transform: Transform,
  covariance: ArrayLike<number>,
  sensitivity?: ArrayLike<number>,
): number {
  const { basis, rows, size, synthesis = basis } = transform;
  if (rows !== size)
    throw new RangeError(`transform: expected ${size} rows (a complete transform), got ${rows}`);
  checkNumbers("covariance", covariance, size * size);
  if (sensitivity !== undefined) checkNumbers("sensitivity", sensitivity, size * size);
  const cost = (vectors: Float32Array, k: number, matrix: ArrayLike<number> | undefined): number => {
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const vi = vectors[k * size + i];
      if (matrix === undefined) sum += vi * vi;
      else for (let j = 0; j < size; j++) sum += vi * matrix[i * size + j] * vectors[k * size + j];
    }
    return sum;
  };
  let logGain = 0;
  for (let k = 0; k < size; k++) {
    const diagonal = k * (size + 1);
    logGain += Math.log(covariance[diagonal]) + (sensitivity ? Math.log(sensitivity[diagonal]) : 0);
    logGain -= Math.log(Math.max(0, cost(basis, k, covariance))) + Math.log(cost(synthesis, k, sensitivity));
  }
  return Math.exp(logGain / size);
}
