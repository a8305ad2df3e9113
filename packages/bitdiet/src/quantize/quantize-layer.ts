/**
 * One layer to integers: each row rounded along its inputs, later rows making up for earlier ones, then every row once more against the
 * errors of all others.
 *
 *     const { levels, steps, weights } = quantizeLayer(layer, { gram, residual }, sensitivity, 1e-5);
 */
import { type WeightRateModel, weightRateModel } from "@bitdiet/cabac";
import { nearestOnGrid } from "../file/step-grid.js";
import type { CalibrationLayer, InputStatistics, LayerParameters } from "../networks/network.js";
import { type Block, blocksOf } from "./block.js";
import { learnPrices, type Prices, refineRow } from "./refine.js";
import { fitRow, roundRow } from "./round-row.js";

export interface QuantizedLayer extends LayerParameters {
  /** rows x columns; weights = levels * step of their row */
  levels: Int32Array;
  /** One a row, on the grid of 1/8 octaves; 0 = pruned. */
  steps: Float32Array;
  /** One a row; biases = biasLevels * biasStep */
  biasLevels: Int32Array;
  biasStep: number;
}

/** Share of the rate in the first rounding. More loses: levels that are pulled to 0 before the later ones are known add up. */
const ROUNDING_RATE = 0.2;
/** Times that all rows are refined. */
const SWEEPS = 3;
/** Parts of an octave for the steps used in rounding, and for those fitted afterwards. */
const STEP_PARTS = 4;
const FIT_PARTS = 8;
/** No level gets larger than this, whatever the sensitivities say. */
const LARGEST_LEVEL = 2 ** 20;

/**
 * @param sensitivity rows x rows, or only its diagonal, one a row
 * @param lambda what a bit is worth
 */
export function quantizeLayer(
  layer: CalibrationLayer,
  statistics: InputStatistics,
  sensitivity: Float64Array,
  lambda: number,
): QuantizedLayer {
  const { rows, columns, kernel } = layer;
  const blocks = blocksOf(layer, statistics, sensitivity);
  let meanLog = 0;
  for (const { rowCost } of blocks) for (const cost of rowCost) meanLog += Math.log(cost) / rows;
  const result: QuantizedLayer = {
    levels: new Int32Array(rows * columns),
    steps: new Float32Array(rows),
    biasLevels: new Int32Array(rows),
    biasStep: stepOn(1, stepFor(lambda, Math.exp(meanLog)), largestOf(layer.biases)),
    weights: new Float32Array(rows * columns),
    biases: new Float32Array(rows),
  };
  const model = weightRateModel({ rowLength: columns, kernel });
  for (const block of blocks) roundBlock(block, result, lambda, model);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const prices = learnPrices(result.levels, columns);
    for (const block of blocks) refineBlock(block, result, lambda, prices);
  }
  return result;
}

/** Rounds all rows, each of which first makes up for what the rows before it got wrong. */
function roundBlock(block: Block, result: QuantizedLayer, lambda: number, model: WeightRateModel): void {
  const { rows, columns, inputs, columnCost, rowCost, feedback, target, made } = block;
  const size = columns + 1;
  for (let r = 0; r < rows; r++) {
    const row = target.subarray(r * size, (r + 1) * size);
    for (let k = 0; feedback && k < r; k++) {
      const share = feedback[r * rows + k];
      for (let c = 0, at = k * size; c < size; c++) row[c] += share * made[at + c];
    }
    const step = stepOn(STEP_PARTS, stepFor(lambda, rowCost[r] * columnCost), largestOf(row));
    const rate = (2 * ROUNDING_RATE * lambda) / rowCost[r];
    roundRow(row, inputs, { step, rate, model }, levelsOf(block, result, r));
    finishRow(block, result, r);
  }
}

/** Refines all rows, each against the errors of all others. */
function refineBlock(block: Block, result: QuantizedLayer, lambda: number, prices: Prices): void {
  const { first, rows, columns, covariance, outputGram, ownCost, wanted, target, errors } = block;
  const size = columns + 1;
  for (let r = 0; r < rows; r++) {
    const row = target.subarray(r * size, (r + 1) * size);
    row.set(wanted.subarray(r * size, (r + 1) * size));
    for (let k = 0; outputGram && k < rows; k++) {
      if (k === r) continue;
      const share = outputGram[r * rows + k] / ownCost[r];
      for (let c = 0, at = k * size; c < size; c++) row[c] += share * errors[at + c];
    }
    const settings = { step: result.steps[first + r], rate: (2 * lambda) / ownCost[r], prices };
    if (settings.step > 0) refineRow(row, covariance, settings, levelsOf(block, result, r));
    finishRow(block, result, r);
  }
}

/** Fits the row's step and bias to its levels, and notes what is off. */
function finishRow(block: Block, result: QuantizedLayer, r: number): void {
  const { first, columns, wanted, target, errors, made } = block;
  const size = columns + 1;
  const row = target.subarray(r * size, (r + 1) * size);
  const levels = levelsOf(block, result, r);
  const fit = fitRow(row, levels, block);
  const step = fit.step > 0 ? stepOn(FIT_PARTS, fit.step, 0) : 0;
  const at = first + r;
  result.steps[at] = step;
  result.biasLevels[at] = Math.round(fit.biasAt(step) / result.biasStep);
  result.biases[at] = result.biasLevels[at] * result.biasStep;
  for (let c = 0; c < size; c++) {
    const value = c < columns ? levels[c] * step : result.biases[at];
    if (c < columns) result.weights[at * columns + c] = value;
    errors[r * size + c] = wanted[r * size + c] - value;
    made[r * size + c] = row[c] - value;
  }
}

function levelsOf({ first, columns }: Block, { levels }: QuantizedLayer, r: number): Int32Array {
  return levels.subarray((first + r) * columns, (first + r + 1) * columns);
}

/** A weight's loss is cost step^2 / 24; its slope over the rate, 2 ln 2 times that, shall be lambda. */
export function stepFor(lambda: number, cost: number): number {
  return Math.sqrt((12 * lambda) / (Math.LN2 * cost));
}

/** The nearest step of the grid that holds the largest value. */
export function stepOn(parts: number, step: number, largest: number): number {
  return nearestOnGrid(Math.min(2 ** 60, Math.max(step, largest / LARGEST_LEVEL, 2 ** -60)), parts);
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
}
