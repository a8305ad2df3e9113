/**
 * Principal components, also called the Karhunen-Loève transform (KLT): the orthonormal basis in which the samples'
 * components are uncorrelated, those of the largest variance first (Hotelling, 1933). Over the channels of a feature map it
 * is the transform of Chmiel et al., "Feature map transform coding for energy-efficient CNN inference" (arXiv 1905.10830).
 *
 * Samples (1, 1.1), (2, 1.9), (3, 3.2), (4, 3.8): mean (2.5, 2.5), variances 2.3642 and 0.0108, first component (0.7256, 0.6881).
 */
import { checkNumbers, checkPositive, checkRows } from "./check.js";
import { symmetricEigen } from "./eigen.js";
import type { Transform } from "./transform.js";

export interface PcaTransform extends Transform {
  mean: Float32Array;
  /** Variance of each coefficient, descending, never negative: what bit allocation takes. */
  variances: Float64Array;
}

/**
 * The complete PCA of samples, `size` components; truncate it with `keep(t, componentsForEnergy(t.variances, 0.99))`.
 *
 * @param samples count × size values, row-major; at least one row
 * @throws {TypeError} where `samples` is no Float32Array, RangeError where it is empty, not whole rows, or not finite
 */
export function pcaTransform(samples: Float32Array, size: number): PcaTransform {
  const mean = sampleMean(samples, size);
  const { values, vectors } = symmetricEigen(secondMoment(samples, size, mean), size);
  return {
    basis: Float32Array.from(vectors),
    rows: size,
    size,
    mean: Float32Array.from(mean),
    variances: values.map((value) => Math.max(0, value)),
  };
}

/**
 * The fewest leading components that together hold at least `energy` of the total variance:
 * of variances 6, 3, 0.8, 0.2 a share of 0.95 needs three (two hold 0.90).
 *
 * @param variances descending, not negative
 * @param energy share in (0, 1]; 1 keeps all, whatever rounding does to the sum
 * @throws {RangeError} where `energy` is outside (0, 1] or `variances` is empty, negative or not descending
 */
export function componentsForEnergy(variances: ArrayLike<number>, energy: number): number {
  if (!(energy > 0 && energy <= 1)) throw new RangeError(`energy: expected a share in (0, 1], got ${energy}`);
  if (!(variances?.length > 0)) throw new RangeError("variances: expected at least one variance, got none");
  let total = 0;
  for (let k = 0; k < variances.length; k++) {
    if (!(variances[k] >= 0) || (k > 0 && variances[k] > variances[k - 1])) {
      throw new RangeError(
        `variances: expected numbers ≥ 0 in descending order, got ${variances[k]} at ${k}`,
      );
    }
    total += variances[k];
  }
  if (energy === 1) return variances.length;
  let sum = 0;
  let kept = 0;
  do sum += variances[kept++];
  while (sum < energy * total);
  return kept;
}

/**
 * Mean of each of the `size` columns, float64.
 *
 * @param samples count × size values, row-major; at least one row
 * @throws as `pcaTransform`
 */
export function sampleMean(samples: Float32Array, size: number): Float64Array {
  checkPositive("size", size);
  const count = checkRows("samples", samples, size);
  if (count === 0) throw new RangeError("samples: expected at least one row, got none");
  const mean = new Float64Array(size);
  for (let i = 0; i < samples.length; ) for (let j = 0; j < size; j++) mean[j] += samples[i++];
  for (let j = 0; j < size; j++) {
    mean[j] /= count;
    // float32 cannot overflow a float64 sum, so only a sample that is not finite gets here.
    if (!Number.isFinite(mean[j]))
      throw new RangeError(`samples: expected finite values, got one that is not in column ${j}`);
  }
  return mean;
}

/**
 * Second moments (1/count) Σ (x − mean)(x − mean)ᵀ, float64: the covariance matrix with `mean = sampleMean(samples, size)`,
 * and with `mean` left at zero what the ELT takes of weights and of gradients.
 *
 * @param samples count × size values, row-major; at least one row
 * @param mean `size` values; zero where absent
 * @returns size × size, symmetric
 * @throws as `pcaTransform`
 */
export function secondMoment(samples: Float32Array, size: number, mean?: ArrayLike<number>): Float64Array {
  checkPositive("size", size);
  const count = checkRows("samples", samples, size);
  if (count === 0) throw new RangeError("samples: expected at least one row, got none");
  if (mean !== undefined) checkNumbers("mean", mean, size);
  const moments = new Float64Array(size * size);
  // A batch of centred samples, column by column, so that an entry is a dot product that stays in registers.
  const batch = Math.min(count, 64);
  const columns = new Float64Array(size * batch);
  for (let first = 0; first < count; first += batch) {
    const present = Math.min(batch, count - first);
    for (let j = 0; j < size; j++) {
      const shift = mean ? mean[j] : 0;
      for (let r = 0; r < present; r++) columns[j * batch + r] = samples[(first + r) * size + j] - shift;
    }
    for (let i = 0; i < size; i++) {
      const x = i * batch;
      let j = 0;
      for (; j + 3 <= i; j += 4) {
        const y = j * batch;
        let s0 = 0;
        let s1 = 0;
        let s2 = 0;
        let s3 = 0;
        for (let r = 0; r < present; r++) {
          const value = columns[x + r];
          s0 += value * columns[y + r];
          s1 += value * columns[y + batch + r];
          s2 += value * columns[y + 2 * batch + r];
          s3 += value * columns[y + 3 * batch + r];
        }
        moments[i * size + j] += s0;
        moments[i * size + j + 1] += s1;
        moments[i * size + j + 2] += s2;
        moments[i * size + j + 3] += s3;
      }
      for (; j <= i; j++) {
        let sum = 0;
        for (let r = 0; r < present; r++) sum += columns[x + r] * columns[j * batch + r];
        moments[i * size + j] += sum;
      }
    }
  }
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) moments[j * size + i] = moments[i * size + j] /= count;
  }
  return moments;
}
