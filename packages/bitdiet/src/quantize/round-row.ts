/**
 * Rounds one row of weights so that the output changes least, not the weights (optimal brain surgeon, Hassibi and Stork 1993; GPTQ,
 * Frantar et al., arXiv 2210.17323; in this form LDLQ, Chee et al., arXiv 2307.13304): each weight first moves to make up for the errors of
 * those before it, and a weak rate term prefers levels that the coder has learned to expect.
 *
 *     inputs that are always equal, wanted [0.4, 0.4], step 1: nearest levels are 0, 0 and the sum is 0.8 off;
 *     with feedback 0, then 0.4 + 0.4 = 0.8 rounds to 1, and the sum is 0.2 off
 */
import type { WeightRateModel } from "@bitdiet/cabac";
import type { Factors } from "./factor.js";
import { cheapest } from "./weights.js";

export interface Rounding {
  step: number;
  /** What a bit is worth, in the unit of the factors' cost. */
  rate: number;
  /** Prices levels and learns those chosen, row after row. */
  model: WeightRateModel;
}

/**
 * @param wanted the row's weights, then its bias; only read
 * @param inputs factors of the inputs' second moments, of the same size
 * @param levels is given one level a weight
 */
export function roundRow(
  wanted: Float64Array,
  { size, feedback, cost }: Factors,
  { step, rate, model }: Rounding,
  levels: Int32Array,
): void {
  const errors = new Float64Array(size - 1);
  for (let c = 0; c < size - 1; c++) {
    let target = wanted[c];
    for (let k = 0, at = c * size; k < c; k++) target += feedback[at + k] * errors[k];
    const level = cheapest(target / step, rate / (cost[c] * step * step), model);
    model.update(level);
    levels[c] = level;
    errors[c] = wanted[c] - level * step;
  }
}

/**
 * The step and the bias with which these levels come closest to the wanted row on these inputs: linear regression in closed form.
 *
 * @param wanted the row's weights, then its bias
 * @param inputs covariance of the inputs, columns x columns, damped: of those that never moved, the nearest weights are taken; and means
 * @returns step 0 where no positive step is of use
 */
export function fitRow(
  wanted: Float64Array,
  levels: Int32Array,
  { covariance, means }: { covariance: Float64Array; means: Float64Array },
): { step: number; biasAt(step: number): number } {
  const columns = levels.length;
  let meanLevel = 0; // of the levels' output; likewise of the wanted one, bias included
  let meanWanted = wanted[columns];
  // Variance of the levels' output, and its covariance with the wanted one.
  let square = 0;
  let product = 0;
  for (let c = 0; c < columns; c++) {
    meanLevel += levels[c] * means[c];
    meanWanted += wanted[c] * means[c];
    if (levels[c] === 0) continue;
    let own = 0;
    let other = 0;
    for (let k = 0, at = c * columns; k < columns; k++) {
      own += covariance[at + k] * levels[k];
      other += covariance[at + k] * wanted[k];
    }
    square += levels[c] * own;
    product += levels[c] * other;
  }
  const step = square > 0 ? Math.max(0, product / square) : 0;
  return { step, biasAt: (used) => meanWanted - used * meanLevel };
}
