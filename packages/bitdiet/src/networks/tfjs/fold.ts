/** A layer of a program from the variables of TF.js: its kernel as rows, a batch norm after it multiplied in. */
import type * as tf from "@tensorflow/tfjs-core";
import { rowsOf, scatterRows, toRows } from "../../file/rows.js";
import type { Matrix } from "./matrix.js";
import type { LayerNames, ProgramLayer, TrainedStatistics } from "./program.js";

/** What is used of a weight of TF.js: a variable of a layer, or a constant of a graph. */
export interface Variable {
  originalName: string;
  read(): tf.Tensor;
}

export interface MatrixPart {
  matrix: Matrix;
  kernel: Variable;
  bias?: Variable;
}

export interface NormVariables {
  gamma?: Variable;
  beta?: Variable;
  mean: Variable;
  variance: Variable;
  epsilon: number;
}

export function foldedLayer(
  name: string,
  { matrix, kernel, bias }: MatrixPart,
  norm?: NormVariables,
): ProgramLayer {
  const { rows, columns, groups } = matrix;
  const weights = toRows(valuesOf(kernel), matrix.shape, matrix.axis);
  const biases = bias ? valuesOf(bias) : new Float32Array(rows);
  const names: LayerNames = { kernel: kernel.originalName, bias: bias?.originalName };
  if (norm) {
    const { gamma, beta, mean, variance, epsilon } = norm;
    const [g, b] = [gamma && valuesOf(gamma), beta && valuesOf(beta)];
    const [m, v] = [valuesOf(mean), valuesOf(variance)];
    for (let row = 0; row < rows; row++) {
      const factor = (g?.[row] ?? 1) / Math.sqrt(v[row] + epsilon);
      for (let c = row * columns; c < (row + 1) * columns; c++) weights[c] *= factor;
      biases[row] = (biases[row] - m[row]) * factor + (b?.[row] ?? 0);
    }
    names.norm = {
      gamma: gamma?.originalName,
      beta: beta?.originalName,
      mean: mean.originalName,
      variance: variance.originalName,
      epsilon,
    };
  }
  const hasBias = norm !== undefined || bias !== undefined;
  const trained = norm && trainedStatistics(norm, rows);
  return {
    name,
    tensor: names.kernel,
    rows,
    columns,
    kernel: matrix.kernel,
    groups,
    weights,
    biases,
    matrix,
    names,
    hasBias,
    trained,
  };
}

/** What a norm makes of its inputs, whose means and variances it has from training. */
function trainedStatistics({ gamma, beta }: NormVariables, rows: number): TrainedStatistics {
  return {
    means: beta ? valuesOf(beta) : new Float32Array(rows),
    deviations: gamma ? valuesOf(gamma).map(Math.abs) : new Float32Array(rows).fill(1),
  };
}

/** A kernel in the model's own order. @param weights its rows */
export function kernelValues({ shape, axis, rows }: Matrix, weights: Float32Array): Float32Array {
  const same = new Float64Array(rows).fill(1);
  return scatterRows(new Float32Array(weights.length), weights, rowsOf(shape, axis), same);
}

function valuesOf(variable: Variable): Float32Array {
  return variable.read().dataSync<"float32">().slice();
}
