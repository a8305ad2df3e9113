/**
 * The rows of a layer that see the same inputs, and what rounding them wants to know: all rows of most layers, the rows of one group
 * of a grouped convolution, a single row of a depthwise one.
 */
import type { CalibrationLayer, InputStatistics } from "../networks/network.js";
import { type Factors, factor, solve } from "./factor.js";

export interface Block {
  /** Rows first .. first + rows - 1 of the layer. */
  first: number;
  rows: number;
  columns: number;
  /** Factors of the inputs' second moments, the last of which is always 1, damped. */
  inputs: Factors;
  /** Means and covariance of the inputs without the constant one, the latter damped. */
  means: Float64Array;
  covariance: Float64Array;
  /** Mean cost of an error in a column, where later columns make up for it. */
  columnCost: number;
  /** Cost of an error in each row: where later rows make up for it, and where all others stay. */
  rowCost: Float64Array;
  ownCost: Float64Array;
  /** How later rows make up for earlier ones, and second moments of the outputs' gradients, rows x rows; only where these are known. */
  feedback?: Float64Array;
  outputGram?: Float64Array;
  /** The float parameters that make good what earlier layers got wrong; rows x (columns + 1), as are the following. */
  wanted: Float64Array;
  /** The same, moved to make up for other rows. */
  target: Float64Array;
  /** What the parameters so far are off what was wanted, and off the target. */
  errors: Float64Array;
  made: Float64Array;
}

/**
 * Share of H's mean diagonal that is added to all of it: inputs that were never seen to move alone matter little. The mean is that of all
 * groups where it is larger: a channel that calibration inputs left at 0 is not one that no input moves.
 */
const INPUT_DAMPING = 0.05;
/** The same of G, which comes from few gradients, and of calibration images that the network may have been trained on. */
const OUTPUT_DAMPING = 1;
/** What stands in for variances of 0. */
const LEAST = 1e-30;

/** @throws {RangeError} if the sensitivity is neither rows x rows nor one a row */
export function blocksOf(
  layer: CalibrationLayer,
  { gram, residual }: InputStatistics,
  sensitivity: Float64Array,
): Block[] {
  const { rows, columns, groups = 1 } = layer;
  const size = columns + 1;
  const isDiagonal = sensitivity.length === rows;
  if (!isDiagonal && sensitivity.length !== rows * rows)
    throw new RangeError(
      `sensitivity: expected ${rows} numbers or ${rows} times as many, got ${sensitivity.length}`,
    );
  const grams = Array.from({ length: groups }, (_, g) => gram.subarray(g * size ** 2, (g + 1) * size ** 2));
  // The gradient of a weight is that of its output times its input: divide by the inputs' energy.
  const energies = grams.map((own) => Math.max(trace(own, size) - own[size * size - 1], LEAST));
  const perGroup = rows / groups;
  const own = Float64Array.from({ length: rows }, (_, r) => {
    return sensitivity[isDiagonal ? r : r * (rows + 1)] / energies[Math.floor(r / perGroup)];
  });
  const outputDamping = Math.max((OUTPUT_DAMPING * own.reduce((sum, g) => sum + g, 0)) / rows, LEAST);
  const ownCost = own.map((g) => g + outputDamping);
  const meanEnergy = energies.reduce((sum, energy) => sum + energy, 0) / groups;
  return grams.map((ownGram, group) => {
    const first = group * perGroup;
    const damping = Math.max((INPUT_DAMPING * Math.max(meanEnergy, energies[group])) / columns, LEAST);
    const inputs = factor(ownGram, size, (c) => (c < columns ? damping : 0));
    const wanted = bestParameters(layer, first, perGroup, residual, inputs);
    const block: Block = {
      first,
      rows: perGroup,
      columns,
      inputs,
      means: meansOf(ownGram, columns),
      covariance: covarianceOf(ownGram, columns, damping),
      columnCost: inputs.cost.subarray(0, columns).reduce((sum, cost) => sum + cost, 0) / columns,
      rowCost: ownCost.slice(first, first + perGroup),
      ownCost: ownCost.slice(first, first + perGroup),
      wanted,
      target: wanted.slice(),
      errors: new Float64Array(perGroup * size),
      made: new Float64Array(perGroup * size),
    };
    if (isDiagonal || perGroup === 1) return block;
    const outputGram = new Float64Array(perGroup * perGroup);
    for (let a = 0, i = 0; a < perGroup; a++) {
      for (let b = 0; b < perGroup; b++, i++)
        outputGram[i] = sensitivity[(first + a) * rows + first + b] / energies[group];
    }
    const { cost, feedback } = factor(outputGram, perGroup, () => outputDamping);
    return { ...block, rowCost: cost, feedback, outputGram };
  });
}

/** Of the inputs without the constant one. */
function meansOf(gram: Float64Array, columns: number): Float64Array {
  return gram.subarray(columns * (columns + 1), columns * (columns + 1) + columns);
}

/** Covariance of the inputs without the constant one, damped. */
function covarianceOf(gram: Float64Array, columns: number, damping: number): Float64Array {
  const size = columns + 1;
  const means = meansOf(gram, columns);
  const covariance = new Float64Array(columns * columns);
  for (let a = 0; a < columns; a++) {
    for (let b = 0; b < columns; b++) covariance[a * columns + b] = gram[a * size + b] - means[a] * means[b];
    covariance[a * columns + a] += damping;
  }
  return covariance;
}

/** The float parameters with which rows make good what the layers before them got wrong: W + residual (gram + damping)^-1. */
function bestParameters(
  { columns, weights, biases }: CalibrationLayer,
  first: number,
  rows: number,
  residual: Float64Array,
  inputs: Factors,
): Float64Array {
  const size = columns + 1;
  const wanted = residual.slice(first * size, (first + rows) * size);
  solve(inputs, wanted);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) wanted[i] += weights[(first + r) * columns + c];
    wanted[i++] += biases[first + r];
  }
  return wanted;
}

function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += matrix[i * size + i];
  return sum;
}
