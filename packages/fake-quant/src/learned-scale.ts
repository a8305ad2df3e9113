/**
 * The two formulas around a learned scale: where it starts, and how far its gradient is damped so that it moves in
 * proportion to the weights (LSQ; Esser et al. 2020, arXiv 1902.08153, sections 2.1 and 2.2).
 *
 *     w = [0.5, -0.25, 0.125, -1], 4 bits signed: start 0.331456, gradient times 1 / sqrt(4 * 7) = 0.188982
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { finiteValues, type Values } from "./calibration.js";
import { scaleGradient } from "./straight-through.js";
import { type Grid, levelRange } from "./uniform.js";

/**
 * A scale to start from: 2 mean|x| / sqrt(Q), Q = 2^(bits - 1) if signed, 2^bits if not (the paper's Q
 * is one less). 1 if every value is 0.
 *
 * @throws {RangeError} if x is empty or holds NaN or infinities, or bits is out of range
 */
export function lsqInitialScale(x: Values, grid: Grid): number {
  const { high } = levelRange(grid);
  const values = finiteValues(x);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  return (2 * (sum / values.length)) / Math.sqrt(high + 1) || 1;
}

/**
 * `scale` with its gradient multiplied by 1 / sqrt(size * highest level). Pass the result on as a quantizer's scale:
 * `affineQuantizer({ bits: 4, signed: true, scale: lsqScale(s, w.size, { bits: 4, signed: true }) })`.
 *
 * @param size number of elements that share one scale; for activations those of one image, not of the batch
 * @throws {RangeError} if size is not positive or bits is out of range
 */
export function lsqScale<T extends Tensor>(scale: T, size: number, grid: Grid): T {
  if (!(size > 0)) throw new RangeError(`size: expected a positive number, got ${size}`);
  return scaleGradient(scale, 1 / Math.sqrt(size * levelRange(grid).high));
}
