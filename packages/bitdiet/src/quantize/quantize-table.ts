/**
 * A table of embeddings to integers. Errors of its rows have nothing to do with each other, and matter as often as the row is looked up:
 *
 *     loss = 1/2 sum over rows v and columns d of p_v g_d e_vd^2
 *
 * Rows that calibration never looked up share the probability that what comes next is new (Good, Biometrika 40, 1953): as many inputs
 * were seen but once, so many will be seen for the first time.
 */
import { weightRateModel } from "@bitdiet/cabac";
import { nearestOnGrid } from "../file/step-grid.js";
import type { CalibrationLayer } from "../networks/network.js";
import { type QuantizedLayer, stepFor, stepOn } from "./quantize-layer.js";
import { cheapest } from "./weights.js";

const STEP_PARTS = 8;
const LEAST = 1e-30;

/**
 * @param shares of the inputs that look up each row
 * @param sensitivity second moments of the gradients at the output, one a column
 * @param lambda what a bit is worth
 */
export function quantizeTable(
  { rows, columns, weights }: CalibrationLayer,
  shares: Float64Array,
  sensitivity: Float64Array,
  lambda: number,
): QuantizedLayer {
  const levels = new Int32Array(rows * columns);
  const steps = new Float32Array(rows);
  const rounded = new Float32Array(rows * columns);
  const model = weightRateModel({ rowLength: columns, kernel: [1, 1] });
  const meanGradient = sensitivity.reduce((sum, g) => sum + g, 0) / columns;
  // Columns that nothing seems to depend on count as half the others.
  const gradients = sensitivity.map((g) => Math.max((g + meanGradient) / 2, LEAST));
  const mean = gradients.reduce((sum, g) => sum + g, 0) / columns;
  for (const [v, share] of probabilities(shares).entries()) {
    const row = weights.subarray(v * columns, (v + 1) * columns);
    const largest = row.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    const step = stepOn(STEP_PARTS, stepFor(lambda, share * mean), largest);
    let [product, square] = [0, 0];
    for (let d = 0; d < columns; d++) {
      const level = cheapest(row[d] / step, (2 * lambda) / (share * gradients[d] * step * step), model);
      model.update(level);
      levels[v * columns + d] = level;
      product += gradients[d] * level * row[d];
      square += gradients[d] * level * level;
    }
    steps[v] = square > 0 ? nearestOnGrid(product / square, STEP_PARTS) : 0;
    for (let d = v * columns; d < (v + 1) * columns; d++) rounded[d] = levels[d] * steps[v];
  }
  return {
    levels,
    steps,
    weights: rounded,
    biasLevels: new Int32Array(rows),
    biasStep: 1,
    biases: new Float32Array(rows),
  };
}

/** Of each row to be looked up next. */
export function probabilities(shares: Float64Array): Float64Array {
  const seen = shares.filter((share) => share > 0);
  const once = seen.reduce((least, share) => Math.min(least, share), Infinity);
  const unseen = shares.length - seen.length;
  if (unseen === 0 || seen.length === 0) return shares.map((share) => Math.max(share, LEAST));
  // Nothing was seen but once where the least share is that of many: half an input then.
  const singles = Math.max(0.5, seen.filter((share) => share === once).length);
  const fresh = Math.min(0.5, singles * once);
  return shares.map((share) => (share > 0 ? share * (1 - fresh) : fresh / unseen));
}
