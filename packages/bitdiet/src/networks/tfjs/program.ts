/**
 * A network of TF.js as operations that can be run one by one: those that are matrices with their kernels as arguments, everything else
 * as TF.js runs it. Layers models and graph models both become one.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { CalibrationLayer } from "../network.js";
import type { RunInput } from "../runner.js";
import type { Matrix } from "./matrix.js";

/** What a layer with weights is run with. */
export interface LayerTensors {
  /** Kernel, of its shape in the model. */
  filter: tf.Tensor;
  bias: tf.Tensor1D;
}

/** Operation i makes value i + the number of inputs; values before that are the network's inputs. */
export interface Operation {
  inputs: number[];
  run(values: tf.Tensor[], parameters?: LayerTensors): tf.Tensor;
  /** What follows and nothing else needs the value before, such as an activation and a pooling: less has to be kept. */
  finish?(output: tf.Tensor): tf.Tensor;
  /** Index among the layers of an operation with weights. */
  layer?: number;
  /** The value that this operation's output is only added to. */
  addedTo?: number;
}

/** A layer, the tensors of the model that it came from, and what has to become of a batch norm folded into it. */
export interface ProgramLayer extends CalibrationLayer {
  matrix: Matrix;
  names: LayerNames;
  /** Whether there is something to put biases in. */
  hasBias: boolean;
  /** Means and deviations that the outputs had in training, one a row, by the batch norm that was folded in. */
  trained?: TrainedStatistics;
}

export interface TrainedStatistics {
  means: Float32Array;
  deviations: Float32Array;
}

export interface LayerNames {
  kernel: string;
  bias?: string;
  norm?: { gamma?: string; beta?: string; mean: string; variance: string; epsilon: number };
}

export interface Program {
  inputs: RunInput[];
  layers: ProgramLayer[];
  operations: Operation[];
  /** Values, and whether a softmax at the end was left out: then they are logits. */
  outputs: { value: number; isClassifier: boolean }[];
}

/** A network that cannot be run operation by operation; the message says why. */
export class CalibrationError extends Error {
  override name = "CalibrationError";
}

/** Builds a program value by value; values are known by keys of the builder's user. */
export function programBuilder<Key>(inputs: RunInput[], keys: readonly Key[]) {
  const program: Program = { inputs, layers: [], operations: [], outputs: [] };
  const values = new Map<Key, number>(keys.map((key, i) => [key, i]));
  const { operations, layers } = program;
  const last = () => inputs.length + operations.length - 1;

  function add(operation: Operation, key: Key): void {
    operations.push(operation);
    values.set(key, last());
  }
  /** Appends to the operation before if its value is all that this one needs, and for nothing else. */
  function follow(input: Key, isOnlyUse: boolean, run: (x: tf.Tensor) => tf.Tensor, key: Key): void {
    const value = values.get(input)!;
    const before = operations.at(-1);
    if (!before || value !== last() || !isOnlyUse) {
      add({ inputs: [value], run: ([x]) => run(x) }, key);
      return;
    }
    const { finish } = before;
    before.finish = finish ? (x) => run(finish(x)) : run;
    values.set(key, last());
  }
  function addLayer(layer: ProgramLayer, input: Key, key: Key, addedTo?: number): void {
    const { run } = layer.matrix;
    add(
      {
        inputs: [values.get(input)!],
        layer: layers.length,
        addedTo,
        run: ([x], parameters) => {
          const { filter, bias } = parameters!;
          const y = run(x, filter);
          return layer.hasBias ? tf.add(y, bias) : y;
        },
      },
      key,
    );
    layers.push(layer);
  }
  return { program, values, add, follow, addLayer };
}

export type ProgramBuilder<Key> = ReturnType<typeof programBuilder<Key>>;
