/**
 * A network to integers with the help of calibration inputs: in network order, each layer against the inputs that the quantized layers
 * before it give it, and for the outputs that the float network has.
 *
 *     const sensitivities = await measureSensitivities(network);
 *     const { layers } = await quantizeCalibrated(network, sensitivities, 1e-5);   // a point of the curve; smaller is finer
 *
 * The loss of a layer is taken as 1/2 tr(G E H E^T): E the errors of its weights (rows x columns), H the second moments of its inputs, G those
 * of the gradients at its outputs (Martens and Grosse, arXiv 1503.05671). Rounding goes along both: within a row later weights make
 * up for earlier ones (H), and later rows for earlier ones (G; Tseng et al., arXiv 2505.22988).
 */
import { weightRateModel } from "@bitdiet/cabac";
import { nearestOnGrid } from "../file/step-grid.js";
import type {
  CalibrationLayer,
  CalibrationNetwork,
  InputStatistics,
  LayerParameters,
} from "../networks/network.js";
import { type Factors, factor, solve } from "./factor.js";
import { learnPrices, refineRow } from "./refine.js";
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

/** Of H's mean diagonal, added to all of it: inputs that were never seen to move alone must not matter. */
const INPUT_DAMPING = 0.05;
/** Of G's mean diagonal. G comes from few gradients, and of calibration images that the network may have been trained on. */
const OUTPUT_DAMPING = 1;
/** Share of the rate in the first rounding. More loses: levels that are pulled to 0 before the later ones are known add up. */
const ROUNDING_RATE = 0.2;
/** Times that all rows are refined. */
const SWEEPS = 3;
/** Parts of an octave for the steps used in rounding, and for those fitted afterwards. */
const STEP_PARTS = 4;
const FIT_PARTS = 8;

/** What stands in for variances of 0. */
const LEAST = 1e-30;
/** No level gets larger than this, whatever the sensitivities say. */
const LARGEST_LEVEL = 2 ** 20;

/**
 * For each layer the second moments of the gradients of its weights along rows, rows x rows: how much the outputs depend on each row, and
 * on which pairs of rows in the same way.
 */
export async function measureSensitivities(
  network: CalibrationNetwork,
  parameters?: readonly LayerParameters[],
): Promise<Float64Array[]> {
  const sums = network.layers.map(({ rows }) => new Float64Array(rows * rows));
  let count = 0;
  await network.gradients((gradients) => {
    count++;
    network.layers.forEach((layer, i) => {
      addRowProducts(sums[i], gradients[i], layer);
    });
  }, parameters);
  return sums.map((sum) => sum.map((total) => total / count));
}

/** sum += d d^T of d, rows x columns */
function addRowProducts(sum: Float64Array, d: Float32Array, { rows, columns }: CalibrationLayer): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let product = 0;
      for (let a = i * columns, b = j * columns, end = a + columns; a < end; a++, b++) product += d[a] * d[b];
      sum[i * rows + j] += product;
      if (i !== j) sum[j * rows + i] += product;
    }
  }
}

/**
 * @param sensitivities of measureSensitivities; the same for all points of a curve
 * @param lambda nats of KL divergence that a bit is worth, above 0; four times as much is a bit less for each weight
 * @returns the layers, and the outputs for the calibration inputs, inputs x classes
 */
export async function quantizeCalibrated(
  network: CalibrationNetwork,
  sensitivities: readonly Float64Array[],
  lambda: number,
): Promise<{ layers: QuantizedLayer[]; outputs: Float32Array }> {
  if (!(lambda > 0 && lambda < Infinity)) throw new RangeError(`lambda: expected above 0, got ${lambda}`);
  const layers: QuantizedLayer[] = [];
  const outputs = await network.walk((index, statistics) => {
    layers[index] = quantizeLayer(network.layers[index], statistics, sensitivities[index], lambda);
    return layers[index];
  });
  return { layers, outputs };
}

export function quantizeLayer(
  layer: CalibrationLayer,
  { gram, residual }: InputStatistics,
  sensitivity: Float64Array,
  lambda: number,
): QuantizedLayer {
  const { rows, columns, kernel } = layer;
  const size = columns + 1;
  const energy = trace(gram, size) - gram[size * size - 1];
  const damping = Math.max((INPUT_DAMPING * energy) / columns, LEAST);
  const inputs = factor(gram, size, (c) => (c < columns ? damping : 0));
  // The gradient of a weight is that of its output times its input: divide by the inputs' energy.
  const outputGram = sensitivity.map((product) => product / Math.max(energy, LEAST));
  const outputDamping = Math.max((OUTPUT_DAMPING * trace(outputGram, rows)) / rows, LEAST);
  const outputs = factor(outputGram, rows, () => outputDamping);

  let columnCost = 0;
  for (let c = 0; c < columns; c++) columnCost += inputs.cost[c] / columns;
  // A weight's loss is cost step^2 / 24; its slope over the rate, 2 ln 2 times that, shall be lambda.
  const stepFor = (cost: number) => Math.sqrt((12 * lambda) / (Math.LN2 * cost));
  let meanLog = 0;
  for (let r = 0; r < rows; r++) meanLog += Math.log(outputs.cost[r]) / rows;
  const wanted = bestParameters(layer, residual, inputs);
  const stepOn = (parts: number, step: number, largest: number) =>
    nearestOnGrid(Math.min(2 ** 60, Math.max(step, largest / LARGEST_LEVEL, 2 ** -60)), parts);
  const biasStep = stepOn(1, stepFor(Math.exp(meanLog)), largestOf(layer.biases));

  const result: QuantizedLayer = {
    levels: new Int32Array(rows * columns),
    steps: new Float32Array(rows),
    biasLevels: new Int32Array(rows),
    biasStep,
    weights: new Float32Array(rows * columns),
    biases: new Float32Array(rows),
  };
  const target = wanted.slice();
  const errors = new Float64Array(rows * size); // of the layer's final parameters, against what was wanted
  const made = new Float64Array(rows * size); // the same against rows that had moved to make up for others

  /** Fits the row's step and bias to its levels, and notes what is off. */
  function finishRow(r: number): void {
    const row = target.subarray(r * size, (r + 1) * size);
    const levels = result.levels.subarray(r * columns, (r + 1) * columns);
    const fit = fitRow(row, levels, gram);
    const step = fit.step > 0 ? stepOn(FIT_PARTS, fit.step, 0) : 0;
    result.steps[r] = step;
    result.biasLevels[r] = Math.round(fit.biasAt(step) / biasStep);
    result.biases[r] = result.biasLevels[r] * biasStep;
    for (let c = 0; c < size; c++) {
      const value = c < columns ? levels[c] * step : result.biases[r];
      if (c < columns) result.weights[r * columns + c] = value;
      errors[r * size + c] = wanted[r * size + c] - value;
      made[r * size + c] = row[c] - value;
    }
  }

  const model = weightRateModel({ rowLength: columns, kernel });
  for (let r = 0; r < rows; r++) {
    const row = target.subarray(r * size, (r + 1) * size);
    for (let k = 0; k < r; k++) {
      const share = outputs.feedback[r * rows + k];
      for (let c = 0, at = k * size; c < size; c++) row[c] += share * made[at + c];
    }
    const step = stepOn(STEP_PARTS, stepFor(outputs.cost[r] * columnCost), largestOf(row));
    const rate = (2 * ROUNDING_RATE * lambda) / outputs.cost[r];
    roundRow(row, inputs, { step, rate, model }, result.levels.subarray(r * columns, (r + 1) * columns));
    finishRow(r);
  }

  // Now that all rows are there, each once more against the errors of all others.
  const covariance = covarianceOf(gram, columns, damping);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const prices = learnPrices(result.levels, columns);
    for (let r = 0; r < rows; r++) {
      const row = target.subarray(r * size, (r + 1) * size);
      row.set(wanted.subarray(r * size, (r + 1) * size));
      const own = outputGram[r * rows + r] + outputDamping;
      for (let k = 0; k < rows; k++) {
        if (k === r) continue;
        const share = outputGram[r * rows + k] / own;
        for (let c = 0, at = k * size; c < size; c++) row[c] += share * errors[at + c];
      }
      const settings = { step: result.steps[r], rate: (2 * lambda) / own, prices };
      const levels = result.levels.subarray(r * columns, (r + 1) * columns);
      if (settings.step > 0) refineRow(row, covariance, settings, levels);
      finishRow(r);
    }
  }
  return result;
}

/** Of the inputs without the constant one, damped. */
function covarianceOf(gram: Float64Array, columns: number, damping: number): Float64Array {
  const size = columns + 1;
  const means = gram.subarray(columns * size, columns * size + columns);
  const covariance = new Float64Array(columns * columns);
  for (let a = 0; a < columns; a++) {
    for (let b = 0; b < columns; b++) covariance[a * columns + b] = gram[a * size + b] - means[a] * means[b];
    covariance[a * columns + a] += damping;
  }
  return covariance;
}

/** The float parameters with which the layer makes good what the layers before it got wrong: W + residual (gram + damping)^-1. */
function bestParameters(
  { rows, columns, weights, biases }: CalibrationLayer,
  residual: Float64Array,
  inputs: Factors,
): Float64Array {
  const wanted = Float64Array.from(residual);
  solve(inputs, wanted);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) wanted[i] += weights[r * columns + c];
    wanted[i++] += biases[r];
  }
  return wanted;
}

function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += matrix[i * size + i];
  return sum;
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
}
