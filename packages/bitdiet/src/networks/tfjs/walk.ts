/**
 * Calibration inputs through a program of TF.js, as it is and with its layers replaced one after the other: second moments of each
 * layer's inputs, and what the layers before it got wrong.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { InputStatistics, LayerParameters } from "../network.js";
import { uniform } from "../random.js";
import type { Batches } from "./batches.js";
import { kernelValues } from "./fold.js";
import { momentsOf } from "./moments.js";
import type { LayerTensors, Operation, Program, ProgramLayer } from "./program.js";

const SEED = 20;

/** Values of one network, by operation and batch. */
type Values = tf.Tensor[][];

/**
 * @param onLayer called before each layer
 * @returns the outputs of the replaced network, one input after another
 */
export async function walk(
  { inputs, layers, operations, outputs }: Program,
  batches: Batches,
  replace: (layer: number, statistics: InputStatistics) => LayerParameters,
  onLayer: (layer: number) => void,
): Promise<Float32Array> {
  const next = uniform(SEED);
  const starts = Array.from({ length: Math.ceil(batches.count / batches.size) }, (_, b) => b * batches.size);
  const exact: Values = inputs.map(() => []);
  for (const from of starts) {
    const tensors = batches.slice(from, Math.min(batches.count, from + batches.size));
    tensors.forEach((tensor, i) => void exact[i].push(tensor));
  }
  const changed: Values = exact.map((list) => list.map((tensor) => tf.clone(tensor)));
  const lastUses = lastUsesOf(operations, inputs.length, outputs);

  for (const [i, operation] of operations.entries()) {
    const layer = operation.layer === undefined ? undefined : layers[operation.layer];
    const floats = layer && tensorsOf(layer, layer);
    const moments = layer && momentsOf(layer, batches.count, next);
    exact.push(
      starts.map((_, b) => {
        const output = runOn(operation, exact, b, floats);
        const input = operation.inputs[0];
        tf.tidy(() => {
          moments?.add(changed[input][b], errorOf(operation, output, exact, changed, b, floats!));
        });
        return finished(operation, output);
      }),
    );
    let replaced: LayerTensors | undefined;
    if (layer && moments) {
      onLayer(operation.layer!);
      replaced = tensorsOf(layer, replace(operation.layer!, moments.means()));
    }
    changed.push(starts.map((_, b) => finished(operation, runOn(operation, changed, b, replaced))));
    tf.dispose([{ ...floats }, { ...replaced }]);
    for (let value = 0; value < exact.length; value++) {
      if ((lastUses[value] ?? -1) > i) continue;
      tf.dispose([exact[value], changed[value]]);
      exact[value] = changed[value] = [];
    }
    // Where a page or a bar wants to be drawn.
    await new Promise((resolve) => setTimeout(resolve));
  }
  const all = starts.map((_, b) => tf.tidy(() => flatOutputs(outputs.map(({ value }) => changed[value][b]))));
  tf.dispose([...exact, ...changed]);
  return Float32Array.from(all.flatMap((part) => [...part]));
}

/** Kernel and biases as tensors, from rows. */
export function tensorsOf({ matrix }: ProgramLayer, { weights, biases }: LayerParameters): LayerTensors {
  return { filter: tf.tensor(kernelValues(matrix, weights), matrix.shape), bias: tf.tensor1d(biases) };
}

/** Outputs of each input one after another, those of a network with several outputs side by side. */
export function flatOutputs(outputs: readonly tf.Tensor[]): Float32Array {
  const rows = outputs.map((output) => tf.reshape(output, [output.shape[0], -1]));
  return tf.concat(rows, 1).dataSync<"float32">().slice();
}

function runOn({ inputs, run }: Operation, values: Values, b: number, tensors?: LayerTensors): tf.Tensor {
  return tf.tidy(() =>
    run(
      inputs.map((j) => values[j][b]),
      tensors,
    ),
  );
}

function finished({ finish }: Operation, output: tf.Tensor): tf.Tensor {
  if (!finish) return output;
  const value = tf.tidy(() => finish(output));
  output.dispose();
  return value;
}

/** What the float network has less what the other has with the layer's float parameters, after the sum if it is only added. */
function errorOf(
  operation: Operation,
  output: tf.Tensor,
  exact: Values,
  changed: Values,
  b: number,
  floats: LayerTensors,
): tf.Tensor {
  const { addedTo } = operation;
  return tf.tidy(() => {
    const error = tf.sub(output, runOn(operation, changed, b, floats));
    return addedTo === undefined ? error : tf.add(error, tf.sub(exact[addedTo][b], changed[addedTo][b]));
  });
}

/** The last operation that needs each value. */
function lastUsesOf(operations: readonly Operation[], inputs: number, outputs: Program["outputs"]): number[] {
  const uses: number[] = [];
  for (const [i, operation] of operations.entries()) {
    for (const input of operation.inputs) uses[input] = i;
    if (operation.addedTo !== undefined) uses[operation.addedTo] = i;
    uses[inputs + i] ??= i;
  }
  for (const { value } of outputs) uses[value] = Infinity;
  return uses;
}
