/**
 * Weights to integers by rate and distortion, from the weights alone: where nobody can say how much an output depends on a row,
 * all rows of a tensor are worth the same, so each is allowed the same error relative to its own size.
 *
 *     quantizeWeights({ values, shape: [32, 16, 3, 3], axis: 0 }, 3)   // 32 steps of about a quarter of their row's rms; 2 to 3 bits a weight
 *
 * Minimising sum_r |e_r|^2 / rms_r^2 + lambda * bits at high rate gives steps in proportion to rms_r (Gish and Pierce 1968). Integers are
 * then chosen one by one for the least error + lambda * bits by the coder's own adaptive estimates (Wiedemann et al., arXiv 1907.11900). Where
 * inputs are likely to have something in common, each weight first makes up for the errors of those before it (as in round-row.ts); else
 * each row's step is fitted last to its integers by least squares.
 */
import { type WeightRateModel, weightRateModel } from "@bitdiet/cabac";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { rowsOf, toRows } from "../file/rows.js";
import { nearestOnGrid } from "../file/step-grid.js";
import type { InputsOf, LikelyInputs } from "./likely-inputs.js";

export interface Weights {
  values: Float32Array;
  shape: readonly number[];
  /** The axis of the output channels, as in QuantizedTensor. */
  axis: number;
}

/** What a bit is worth in squared steps; at high rate the slope of distortion over rate is 1 / (12 / (2 ln 2)) = 0.116. */
const RATE_WEIGHT = 0.08;
/** Share of it where later weights make up for errors: more of them would be pulled to 0, and add up. */
const FEEDBACK_RATE = 0.2;
/**
 * From this fineness on integers are the nearest ones: beside steps that small a row's density hardly changes, so that choosing by
 * rate gains nothing (on ResNet-20 and MobileNet: within 0.004 bits a weight at equal error) and takes forty times as long.
 */
const NEAREST_FROM = 4;
/** Parts of an octave on which steps lie. Finer ones cost more than they gain. */
const STEP_PARTS = 8;
const GOLDEN_RATIO = 0.6180339887498949;
/**
 * @param fineness steps are 2^(1 - fineness) times the rms of their row: about `fineness` bits a weight above 2, fewer below. Any real
 *   number; each unit more halves the steps
 * @param inputsOf gives what inputs of rows of so many kernels are likely to have in common: steps are larger then, for errors that matter
 *   as much. Default: nothing
 * @returns undefined where there is nothing to quantize: values that are all 0, or not all finite
 * @throws {RangeError} if there are not as many values as the shape says
 */
export function quantizeWeights(
  { values, shape, axis }: Weights,
  fineness: number,
  inputsOf?: InputsOf,
): QuantizedTensor | undefined {
  const { extents, kernel } = rowsOf(shape, axis);
  const [rows, middle, inner] = extents;
  const columns = middle * inner;
  if (rows * columns !== values.length)
    throw new RangeError(`values: expected ${rows * columns} for the shape [${shape}], got ${values.length}`);
  const inRows = toRows(values, shape, axis);
  const rms = rootMeanSquares(inRows, rows, columns);
  if (!rms.every((size) => size < 1e30) || rms.every((size) => size === 0)) return undefined;

  const inputs = inputsOf?.(columns / (kernel[0] * kernel[1]), kernel);
  const relativeStep = 2 ** (1 - fineness) / Math.sqrt(inputs?.cost ?? 1);
  const integers = new Int32Array(values.length);
  const steps = new Float32Array(rows);
  const model = fineness < NEAREST_FROM ? weightRateModel({ rowLength: columns, kernel }) : undefined;
  for (let row = 0; row < rows; row++) {
    if (rms[row] < 1e-30) continue;
    // Rows take their turns in crossing to the next step of the grid, so that a tensor's size changes in small steps.
    const dither = ((row * GOLDEN_RATIO) % 1) - 0.5;
    const step = nearestOnGrid(rms[row] * relativeStep * 2 ** (dither / STEP_PARTS), STEP_PARTS);
    const wanted = inRows.subarray(row * columns, (row + 1) * columns);
    const own = integers.subarray(row * columns, (row + 1) * columns);
    if (inputs) roundWithFeedback(wanted, inputs, { step, model }, own);
    else for (let i = 0; i < columns; i++) own[i] = integerFor(wanted[i] / step, RATE_WEIGHT, model);
    // A step that is fitted to weights, not to sums of them, would undo the feedback.
    steps[row] = inputs ? (own.some((integer) => integer !== 0) ? step : 0) : fittedStep(wanted, own);
  }
  return { shape, integers, axis, steps };
}

/** Integers of a row, each of which makes up for what those before it are off. */
function roundWithFeedback(
  wanted: Float32Array,
  { kernels, cost: meanCost }: LikelyInputs,
  { step, model }: { step: number; model?: WeightRateModel },
  integers: Int32Array,
): void {
  const errors = new Float64Array(kernels[0].size);
  let [i, sum] = [0, 0];
  for (const { size, feedback, cost } of kernels) {
    errors[0] = sum;
    for (let c = 1; c < size; c++, i++) {
      let target = wanted[i];
      for (let k = 0, at = c * size; k < c; k++) target += feedback[at + k] * errors[k];
      const rate = (FEEDBACK_RATE * RATE_WEIGHT * meanCost) / cost[c];
      integers[i] = integerFor(target / step, rate, model);
      errors[c] = wanted[i] - integers[i] * step;
      sum += errors[c];
    }
  }
}

/** The nearest, or the cheapest that a model of the coder knows, which then learns it. */
function integerFor(exact: number, rate: number, model: WeightRateModel | undefined): number {
  if (!model) return Math.round(exact);
  const integer = cheapest(exact, rate, model);
  model.update(integer);
  return integer;
}

/** The step with which integers come closest to a row; 0 if all are 0. */
export function fittedStep(wanted: Float32Array, integers: Int32Array): number {
  let product = 0;
  let square = 0;
  for (let i = 0; i < wanted.length; i++) {
    product += integers[i] * wanted[i];
    square += integers[i] * integers[i];
  }
  return square > 0 ? nearestOnGrid(product / square, STEP_PARTS) : 0;
}

/**
 * The integer with the least (exact - integer)^2 + rate * bits: one of the two neighbours, or 0. Bits are never below 0, and take the
 * time: nobody asks for those of an integer whose error alone is too much.
 */
export function cheapest(exact: number, rate: number, model: WeightRateModel): number {
  const nearest = Math.round(exact);
  if (nearest === 0) return 0;
  const error = exact - nearest;
  let least = error * error + rate * model.bits(nearest);
  let integer = nearest;
  // The neighbour towards 0: never the one away from it, which is farther and dearer.
  const other = nearest - Math.sign(nearest);
  const farther = (exact - other) * (exact - other);
  if (farther < least) {
    const cost = farther + rate * model.bits(other);
    if (cost < least) {
      least = cost;
      integer = other;
    }
  }
  const square = exact * exact;
  if (other !== 0 && square < least && square + rate * model.bits(0) < least) integer = 0;
  return integer;
}

function rootMeanSquares(inRows: Float32Array, rows: number, columns: number): Float64Array {
  const rms = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) sum += inRows[i] ** 2;
    rms[row] = Math.sqrt(sum / columns);
  }
  return rms;
}
