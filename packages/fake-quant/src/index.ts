/**
 * Quantizers with straight-through gradients for TensorFlow.js, the calibration of their ranges, and bit widths that are
 * learned, computed or searched for.
 *
 *     affineQuantizer({ bits: 4, scale: 0.1 }).fakeQuantize([0.26, 9]) = [0.3, 1.5]
 */
export { type AffineOptions, affineQuantizer } from "./affine.js";
export { allocateBits, allocateFromCurves, type Budget, bitsAtSlope } from "./bit-allocation.js";
export {
  type BitSearchOptions,
  bitsFromAction,
  keptWeights,
  type SizeOptions,
  searchBits,
  sizeBits,
} from "./bit-search.js";
export {
  type AffineGrid,
  affineFromRange,
  gaussRange,
  laplaceRange,
  type Moments,
  mergeMoments,
  minMaxRange,
  moments,
  mseRange,
  percentileRange,
  type Range,
  sigmaRange,
  type Values,
} from "./calibration.js";
export { clipQuantizer } from "./clip.js";
export { type Clusters, clusterLoss, type Power, softClusterLoss } from "./cluster-loss.js";
export { codebookQuantizer } from "./codebook.js";
export { lsqInitialScale, lsqScale } from "./learned-scale.js";
export {
  type BitInterval,
  bitsFromLogits,
  gaussianNoise,
  logitsFromBits,
  modelBits,
  type Noise,
  type NoiseOptions,
  type NoiseQuantizer,
  noiseQuantizer,
  roundedBits,
  uniformNoise,
} from "./pseudo-noise.js";
export type { Quantizer } from "./quantizer.js";
export { nearestInteger } from "./rounding.js";
export { scaleGradient, stopGradient, straightThrough } from "./straight-through.js";
export { ternaryQuantizer, twnRule } from "./ternary.js";
export type { Grid } from "./uniform.js";
