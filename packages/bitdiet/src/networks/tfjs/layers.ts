/**
 * A layers model of TF.js as a program: convolutions, depthwise, separable and transposed ones, and dense layers with their weights as
 * arguments and batch norm folded into them, everything else as TF.js runs it.
 *
 *     const program = layersProgram(model);
 *     program.layers[0]; // { name: "conv2d_1", rows: 16, columns: 27, kernel: [3, 3], weights, biases, ... }
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, layers } from "@tensorflow/tfjs-layers";
import type { RunInput } from "../runner.js";
import { foldedLayer, type NormVariables, type Variable } from "./fold.js";
import { matricesOf } from "./layer-matrices.js";
import { CalibrationError, type Program, type ProgramBuilder, programBuilder } from "./program.js";

export type Layer = Omit<layers.Layer, "weights"> & { weights: Variable[] };

/** A tensor of the model before it has values, and the layer that makes it. */
interface Symbolic {
  id: number;
  shape: (number | null)[];
  dtype?: string;
  sourceLayer: Layer;
  nodeIndex: number;
  tensorIndex?: number;
}
interface Activated {
  activation?: { apply(x: tf.Tensor): tf.Tensor; getClassName(): string };
}

/** What the construction needs to know of the whole model. */
interface Context {
  builder: ProgramBuilder<number>;
  /** What takes each symbolic tensor. */
  consumers: Map<number, Symbolic[]>;
  /** Times that each layer is used. */
  uses: Map<Layer, number>;
  /** Tensors of the softmaxes that outputs come from, and those of them that were left out. */
  softmaxes: Set<number>;
  leftOut: Set<number>;
  outputs: Set<number>;
}

/** Layers that only put numbers in other places, or drop none: a softmax before them is still at the end. */
const SHAPING = new Set(["Reshape", "Flatten", "Dropout"]);

/** @throws {CalibrationError} if there is no layer that is a matrix */
export function layersProgram(model: LayersModel): Program {
  const inputs = model.inputs as unknown as Symbolic[];
  const outputs = model.outputs as unknown as Symbolic[];
  const builder = programBuilder(
    inputs.map(({ sourceLayer, shape, dtype }) => ({
      name: sourceLayer.name,
      dtype: (dtype ?? "float32") as RunInput["dtype"],
      shape: shape.map((extent) => extent ?? undefined),
    })),
    inputs.map(({ id }) => id),
  );
  const steps = inOrder(outputs);
  const consumers = new Map<number, Symbolic[]>();
  const uses = new Map<Layer, number>();
  for (const step of steps) {
    uses.set(step.sourceLayer, (uses.get(step.sourceLayer) ?? 0) + 1);
    for (const { id } of inputsOf(step)) consumers.set(id, [...(consumers.get(id) ?? []), step]);
  }
  const softmaxes = new Set(outputs.map((output) => softmaxBefore(output, consumers)?.id ?? -1));
  const leftOut = new Set<number>();
  const outputIds = new Set(outputs.map(({ id }) => id));
  const context = { builder, consumers, uses, softmaxes, leftOut, outputs: outputIds };
  for (const step of steps) if (!builder.values.has(step.id)) addStep(step, context);
  const { program, values } = builder;
  if (program.layers.length === 0)
    throw new CalibrationError("model: expected a layer with a matrix and something after it, got none");
  program.outputs = outputs.map((output) => ({
    value: values.get(output.id)!,
    isClassifier: leftOut.has(softmaxBefore(output, consumers)?.id ?? -1),
  }));
  return program;
}

function addStep(step: Symbolic, context: Context): void {
  const { builder, consumers, uses, softmaxes, leftOut, outputs } = context;
  const { sourceLayer: layer } = step;
  const inputs = inputsOf(step);
  const isOnlyUse = consumers.get(inputs[0].id)?.length === 1 && !outputs.has(inputs[0].id);
  const parts = uses.get(layer) === 1 ? matricesOf(layer, inputs[0].shape.length) : undefined;
  if (!parts) {
    addOpaque(step, isOnlyUse, context);
    return;
  }
  const after = consumers.get(step.id) ?? [];
  const next = after.length === 1 && isLinear(layer) && !outputs.has(step.id) ? after[0] : undefined;
  const norm = next && isFoldable(next, step) ? next : undefined;
  const output = norm ?? step;
  let input = inputs[0].id;
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1;
    // Values between the parts of a layer have no tensor of their own.
    const key = isLast ? output.id : -step.id - 1;
    const other = isLast && isLinear(layer) ? addedTo(output, context) : undefined;
    const name = parts.length > 1 ? `${layer.name}/${i}` : layer.name;
    builder.addLayer(foldedLayer(name, part, isLast && norm ? normOf(norm) : undefined), input, key, other);
    input = key;
  }
  const { activation } = layer as Layer & Activated;
  if (!activation || isLinear(layer)) return;
  if (softmaxes.has(step.id)) leftOut.add(step.id);
  else builder.follow(step.id, true, (x) => activation.apply(x), step.id);
}

/** Adds a layer as TF.js runs it; a softmax at the end is left out. */
function addOpaque(step: Symbolic, isOnlyUse: boolean, { builder, softmaxes, leftOut }: Context): void {
  const { sourceLayer: layer } = step;
  const inputs = inputsOf(step);
  if (inputs.length > 1) {
    const from = inputs.map(({ id }) => builder.values.get(id)!);
    builder.add({ inputs: from, run: (tensors) => callLayer(step, tensors) }, step.id);
    return;
  }
  const isLeftOut = softmaxes.has(step.id) && layer.weights.length === 0;
  if (isLeftOut) leftOut.add(step.id);
  const run = (x: tf.Tensor) => (isLeftOut ? tf.clone(x) : callLayer(step, [x]));
  builder.follow(inputs[0].id, isOnlyUse, run, step.id);
}

/** The symbolic tensors that a model computes, each after what it is computed from. */
function inOrder(outputs: readonly Symbolic[]): Symbolic[] {
  const order: Symbolic[] = [];
  const seen = new Set<number>();
  const visit = (tensor: Symbolic): void => {
    if (seen.has(tensor.id)) return;
    seen.add(tensor.id);
    for (const input of inputsOf(tensor)) visit(input);
    if (tensor.sourceLayer.getClassName() !== "InputLayer") order.push(tensor);
  };
  outputs.forEach(visit);
  return order;
}

function inputsOf({ sourceLayer, nodeIndex }: Symbolic): Symbolic[] {
  const { inboundNodes } = sourceLayer as unknown as { inboundNodes: { inputTensors: Symbolic[] }[] };
  return inboundNodes[nodeIndex].inputTensors;
}

function callLayer({ sourceLayer: layer, tensorIndex }: Symbolic, tensors: tf.Tensor[]): tf.Tensor {
  const output = layer.call(tensors.length === 1 ? tensors[0] : tensors, { training: false });
  // A value of its own, even of a layer that gives back its input, such as dropout.
  return tf.clone(Array.isArray(output) ? output[tensorIndex ?? 0] : output);
}

function isLinear(layer: Layer): boolean {
  const { activation } = layer as Layer & Activated;
  return !activation || activation.getClassName() === "linear";
}

/** The softmax that an output comes from, with nothing in between but other shapes of the same rows. */
function softmaxBefore(output: Symbolic, consumers: Map<number, Symbolic[]>): Symbolic | undefined {
  const { sourceLayer: layer } = output;
  const kind = layer.getClassName();
  const isSoftmax =
    kind === "Softmax" || (layer as Layer & Activated).activation?.getClassName() === "softmax";
  if (isSoftmax) return output;
  const [input] = SHAPING.has(kind) ? inputsOf(output) : [];
  const isSame = input?.shape.at(-1) === output.shape.at(-1) && consumers.get(input.id)?.length === 1;
  return isSame ? softmaxBefore(input, consumers) : undefined;
}

/** Whether a step is a batch norm over the channels of this tensor. */
function isFoldable({ sourceLayer: layer }: Symbolic, { shape }: Symbolic): boolean {
  if (layer.getClassName() !== "BatchNormalization") return false;
  const { axis = -1 } = layer.getConfig() as { axis?: number | number[] };
  const [channels] = [axis].flat();
  return channels === -1 || channels === shape.length - 1;
}

function normOf({ sourceLayer: layer }: Symbolic): NormVariables {
  const config = layer.getConfig() as { epsilon?: number; scale?: boolean; center?: boolean };
  const variables = [...layer.weights];
  const gamma = config.scale === false ? undefined : variables.shift();
  const beta = config.center === false ? undefined : variables.shift();
  const [mean, variance] = variables;
  return { gamma, beta, mean, variance, epsilon: config.epsilon ?? 1e-3 };
}

/** If a value is only added to another that is there already: that other. */
function addedTo(output: Symbolic, { consumers, builder, outputs }: Context): number | undefined {
  const after = consumers.get(output.id) ?? [];
  if (after.length !== 1 || after[0].sourceLayer.getClassName() !== "Add" || outputs.has(output.id))
    return undefined;
  const others = inputsOf(after[0]).filter(({ id }) => id !== output.id);
  return others.length === 1 ? builder.values.get(others[0].id) : undefined;
}
