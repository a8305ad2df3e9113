/**
 * How much a network's outputs depend on its weights, by gradients of TF.js: of random projections of the outputs, whose covariance is
 * the Hessian of the divergence (divergence.ts).
 */
import * as tf from "@tensorflow/tfjs-core";
import { toRows } from "../../file/rows.js";
import type { LayerParameters } from "../network.js";
import { normal, uniform } from "../random.js";
import type { Batches } from "./batches.js";
import type { Program } from "./program.js";
import { tensorsOf } from "./walk.js";

/** Inputs of which one gradient is taken. */
const GRADIENT_BATCH = 4;
const SEED = 21;
/** A classifier this sure of its inputs has been trained on them, and its own softmax hardly moves any more. */
const SURE = 0.99;
/** Softmax temperature for a classifier that has memorised its inputs: all classes count alike. */
const MEMORISED_TEMPERATURE = 1000;

/** What an output is measured by. */
interface Measure {
  /** Temperature of a classifier's softmax. */
  temperature?: number;
  /** Factor of the projection of other outputs: their squared error counts in units of their variance. */
  scale: number;
}

/** @param visit is given the gradient of each layer's weights, rows x columns */
export async function gradients(
  program: Program,
  batches: Batches,
  visit: (gradients: readonly Float32Array[]) => void,
  parameters: readonly LayerParameters[] = program.layers,
): Promise<void> {
  const next = uniform(SEED);
  const { layers } = program;
  const tensors = layers.map((layer, index) => tensorsOf(layer, parameters[index]));
  const filters = tensors.map(({ filter }) => filter);
  const biases = tensors.map(({ bias }) => bias);
  const measures = measuresOf(program, batches, filters, biases);
  const size = batches.size === 1 ? 1 : Math.min(GRADIENT_BATCH, batches.count);
  for (let from = 0; from + size <= batches.count; from += size) {
    const found = tf.tidy(() => {
      const inputs = batches.slice(from, from + size);
      let projections: tf.Tensor[] | undefined;
      const { grads } = tf.valueAndGrads((...filters: tf.Tensor[]) => {
        const outputs = outputsOf(program, inputs, filters, biases);
        projections ??= outputs.map((output, o) => projectionOf(output, measures[o], next));
        return tf.addN(outputs.map((output, o) => tf.sum(tf.mul(output, projections![o])) as tf.Tensor));
      })(filters);
      return grads.map((gradient, i) => {
        const values = gradient.dataSync<"float32">().map((value) => value / Math.sqrt(size));
        return toRows(values, layers[i].matrix.shape, layers[i].matrix.axis);
      });
    });
    visit(found);
    await new Promise((resolve) => setTimeout(resolve));
  }
  tf.dispose([filters, biases]);
}

function outputsOf(
  { operations, outputs }: Program,
  inputs: readonly tf.Tensor[],
  filters: readonly tf.Tensor[],
  biases: readonly tf.Tensor1D[],
): tf.Tensor[] {
  const values = [...inputs];
  for (const { inputs: from, run, finish, layer } of operations) {
    const given = layer === undefined ? undefined : { filter: filters[layer], bias: biases[layer] };
    const output = run(
      from.map((j) => values[j]),
      given,
    );
    values.push(finish ? finish(output) : output);
  }
  return outputs.map(({ value }) => values[value]);
}

/** What the outputs are measured by, from what they are on the calibration inputs. */
function measuresOf(
  program: Program,
  batches: Batches,
  filters: readonly tf.Tensor[],
  biases: readonly tf.Tensor1D[],
): Measure[] {
  const totals = program.outputs.map(() => ({ sure: 0, rows: 0, count: 0, sum: 0, squares: 0 }));
  for (let from = 0; from < batches.count; from += batches.size) {
    tf.tidy(() => {
      const inputs = batches.slice(from, Math.min(batches.count, from + batches.size));
      for (const [o, output] of outputsOf(program, inputs, filters, biases).entries()) {
        const total = totals[o];
        total.rows += output.size / output.shape.at(-1)!;
        total.count += output.size;
        if (program.outputs[o].isClassifier)
          total.sure += tf.sum(tf.max(tf.softmax(output), -1)).dataSync()[0];
        total.sum += tf.sum(output).dataSync()[0];
        total.squares += tf.sum(tf.square(output)).dataSync()[0];
      }
    });
  }
  return program.outputs.map(({ isClassifier }, o) => {
    const { sure, rows, count, sum, squares } = totals[o];
    const weight = 1 / Math.sqrt(program.outputs.length);
    // A classifier of several positions counts as their mean.
    if (isClassifier)
      return {
        temperature: sure / rows > SURE ? MEMORISED_TEMPERATURE : 1,
        scale: weight / Math.sqrt(rows / batches.count),
      };
    const variance = squares / count - (sum / count) ** 2;
    // The Hessian of squared error over variance, mean over the outputs' numbers, is 2 / variance.
    return { scale: variance > 0 ? weight * Math.sqrt((2 * batches.count) / (count * variance)) : 0 };
  });
}

/**
 * A direction whose covariance is the Hessian of the loss in the outputs: diag(p) - p p^T for the KL divergence of a softmax at a
 * temperature, the identity for the squared error.
 */
function projectionOf(output: tf.Tensor, { temperature, scale }: Measure, next: () => number): tf.Tensor {
  const direction = Float32Array.from({ length: output.size }, () => scale * normal(next));
  if (temperature === undefined) return tf.tensor(direction, output.shape);
  const classes = output.shape.at(-1)!;
  const p = tf.softmax(tf.div(output, temperature)).dataSync<"float32">();
  for (let from = 0; from < p.length; from += classes) {
    let sum = 0;
    for (let c = from; c < from + classes; c++) {
      direction[c] *= Math.sqrt(p[c]);
      sum += direction[c];
    }
    // z_c = sqrt(p_c) n_c has covariance diag(p); less p times their sum, it is what is wanted.
    for (let c = from; c < from + classes; c++) direction[c] -= p[c] * sum;
  }
  return tf.tensor(direction, output.shape);
}
