/**
 * A layers model of TF.js as operations that calibration can run one by one: convolutions and dense layers with their weights as
 * arguments and batch norm folded into them, everything else as TF.js runs it.
 *
 *     const network = layersNetwork(model);
 *     network.layers[0]; // { name: "conv2d_1", rows: 16, columns: 27, kernel: [3, 3], weights, biases }
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, layers } from "@tensorflow/tfjs-layers";
import type { CalibrationLayer } from "./network.js";

/** What a layer with weights is run with. */
export interface LayerTensors {
  /** HWIO; [1, 1, in, out] of a dense layer. */
  filter: tf.Tensor4D;
  bias: tf.Tensor1D;
}

/** Operation i makes value i + 1; value 0 is the network's input. */
export interface Operation {
  inputs: number[];
  run(values: tf.Tensor[], parameters?: LayerTensors): tf.Tensor;
  /** What follows and nothing else needs the value before, such as an activation and a pooling: less has to be kept. */
  finish?(output: tf.Tensor): tf.Tensor;
  /** Of an operation with weights: its index among the layers, and how patches lie. */
  layer?: { index: number; strides: [number, number]; kernel: [number, number]; pad: "same" | "valid" };
  /** The value that this operation's output is only added to. */
  addedTo?: number;
}

/** Which tensors of the model a layer's weights and biases are, and what has to become of a batch norm folded into it. */
export interface LayerNames {
  kernel: string;
  /** Rank 2 of a dense layer, 4 of a convolution. */
  kernelShape: number[];
  bias?: string;
  norm?: { gamma?: string; beta?: string; mean: string; variance: string; epsilon: number };
}

export interface LayersNetwork {
  layers: CalibrationLayer[];
  names: LayerNames[];
  operations: Operation[];
  /** Whether the last operation is followed by a softmax, which is left out: the outputs are logits. */
  isClassifier: boolean;
}

type Layer = layers.Layer;
type Symbolic = ReturnType<Layer["apply"]> & {
  id: number;
  sourceLayer: Layer;
  nodeIndex: number;
  tensorIndex?: number;
};
interface Node {
  inputTensors: Symbolic[];
}
interface Activated {
  activation?: { apply(x: tf.Tensor): tf.Tensor; getClassName(): string };
}

/** @throws {Error} if the model has not one input and one output */
export function layersNetwork(model: LayersModel): LayersNetwork {
  if (model.inputs.length !== 1 || model.outputs.length !== 1)
    throw new Error(
      `expected a model with one input and one output, got ${model.inputs.length} and ${model.outputs.length}`,
    );
  const steps = inOrder(model.outputs[0] as unknown as Symbolic);
  const consumers = new Map<number, Symbolic[]>();
  for (const step of steps) {
    for (const { id } of nodeOf(step).inputTensors) consumers.set(id, [...(consumers.get(id) ?? []), step]);
  }
  const network: LayersNetwork = { layers: [], names: [], operations: [], isClassifier: false };
  const uses = new Map<Layer, number>();
  for (const { sourceLayer } of steps) uses.set(sourceLayer, (uses.get(sourceLayer) ?? 0) + 1);
  /** Values by the symbolic tensors that they are. */
  const values = new Map<number, number>([[(model.inputs[0] as unknown as Symbolic).id, 0]]);
  const add = (operation: Operation, step: Symbolic) => {
    network.operations.push(operation);
    values.set(step.id, network.operations.length);
  };
  /** Appends to the operation before where that is all that its value is for. */
  const follow = (input: number, isOnlyUse: boolean, run: (x: tf.Tensor) => tf.Tensor, step: Symbolic) => {
    const before = network.operations.at(-1);
    if (!before || input !== network.operations.length || !isOnlyUse)
      return add({ inputs: [input], run: ([x]) => run(x) }, step);
    const { finish } = before;
    before.finish = finish ? (x) => run(finish(x)) : run;
    values.set(step.id, network.operations.length);
  };
  for (const step of steps) {
    const { sourceLayer: layer } = step;
    if (values.has(step.id)) continue;
    const inputs = nodeOf(step).inputTensors.map(({ id }) => values.get(id)!);
    const isLast = step === steps.at(-1);
    const description = uses.get(layer) === 1 ? weightedLayer(layer) : undefined;
    const after = consumers.get(step.id) ?? [];
    const next = after.length === 1 && isLinear(layer) ? after[0] : undefined;
    const norm = next && foldable(next.sourceLayer, step) ? next : undefined;
    // Quantizing moves the biases: there must be something to put them in.
    if (!description || (layer.weights.length < 2 && !norm)) {
      if (isLast && isSoftmax(layer)) {
        network.isClassifier = true;
        continue;
      }
      if (inputs.length !== 1) add({ inputs, run: (tensors) => callLayer(layer, tensors) }, step);
      else {
        const isOnlyUse = consumers.get(nodeOf(step).inputTensors[0].id)?.length === 1;
        follow(inputs[0], isOnlyUse, (x) => callLayer(layer, [x]), step);
      }
      continue;
    }
    const { weights, biases, names, kernel, strides, pad, rows, columns } = folded(
      layer,
      description,
      norm?.sourceLayer,
    );
    const output = norm ?? step;
    const operation: Operation = {
      inputs,
      run: ([x], parameters) => runWeighted(x, parameters!, strides, pad),
      layer: { index: network.layers.length, strides, kernel, pad },
      addedTo: isLinear(layer) ? addedTo(output, consumers, values) : undefined,
    };
    network.layers.push({ name: layer.name, rows, columns, kernel, weights, biases });
    network.names.push(names);
    add(operation, step);
    values.set(output.id, network.operations.length);
    const { activation } = layer as Layer & Activated;
    if (!activation || isLinear(layer)) continue;
    if (isLast && isSoftmax(layer)) network.isClassifier = true;
    else follow(network.operations.length, true, (x) => activation.apply(x), step);
  }
  return network;
}

/** The symbolic tensors that a model computes, each after what it is computed from. */
function inOrder(output: Symbolic): Symbolic[] {
  const order: Symbolic[] = [];
  const seen = new Set<number>();
  const visit = (tensor: Symbolic): void => {
    if (seen.has(tensor.id)) return;
    seen.add(tensor.id);
    for (const input of nodeOf(tensor).inputTensors) visit(input);
    if (tensor.sourceLayer.getClassName() !== "InputLayer") order.push(tensor);
  };
  visit(output);
  return order;
}

function nodeOf({ sourceLayer, nodeIndex }: Symbolic): Node {
  return (sourceLayer as unknown as { inboundNodes: Node[] }).inboundNodes[nodeIndex];
}

function callLayer(layer: Layer, tensors: tf.Tensor[]): tf.Tensor {
  const output = layer.call(tensors.length === 1 ? tensors[0] : tensors, { training: false });
  // A value of its own, even of a layer that gives back its input, such as dropout.
  return tf.clone(Array.isArray(output) ? output[0] : output);
}

interface Weighted {
  kernel: [number, number];
  strides: [number, number];
  pad: "same" | "valid";
}

/** How a layer runs that is a matrix for each patch of its input; undefined if it is none. */
function weightedLayer(layer: Layer): Weighted | undefined {
  const config = layer.getConfig() as Record<string, unknown>;
  if (layer.getClassName() === "Dense") {
    const { inputTensors } = (layer as unknown as { inboundNodes: Node[] }).inboundNodes[0];
    const { shape } = inputTensors[0] as unknown as { shape: number[] };
    return shape.length === 2 ? { kernel: [1, 1], strides: [1, 1], pad: "valid" } : undefined;
  }
  if (layer.getClassName() !== "Conv2D") return undefined;
  const pair = (value: unknown): [number, number] =>
    Array.isArray(value) ? [value[0], value[1] ?? value[0]] : [value as number, value as number];
  const isPlain =
    pair(config["dilationRate"] ?? 1).every((rate) => rate === 1) &&
    (config["dataFormat"] ?? "channelsLast") === "channelsLast" &&
    (config["padding"] === "same" || config["padding"] === "valid");
  if (!isPlain) return undefined;
  return {
    kernel: pair(config["kernelSize"]),
    strides: pair(config["strides"]),
    pad: config["padding"] as "same" | "valid",
  };
}

function isLinear(layer: Layer): boolean {
  const { activation } = layer as Layer & Activated;
  return !activation || activation.getClassName() === "linear";
}

function isSoftmax(layer: Layer): boolean {
  if (layer.getClassName() === "Softmax") return true;
  return (layer as Layer & Activated).activation?.getClassName() === "softmax";
}

/** Whether a layer is a batch norm over the channels of this tensor. */
function foldable(layer: Layer, input: Symbolic): boolean {
  if (layer.getClassName() !== "BatchNormalization") return false;
  const rank = (input as unknown as { shape: number[] }).shape.length;
  const { axis = -1 } = layer.getConfig() as { axis?: number };
  return axis === -1 || axis === rank - 1;
}

/** If a value is only added to another that is there already: that other. */
function addedTo(
  output: Symbolic,
  consumers: Map<number, Symbolic[]>,
  values: Map<number, number>,
): number | undefined {
  const after = consumers.get(output.id) ?? [];
  if (after.length !== 1 || after[0].sourceLayer.getClassName() !== "Add") return undefined;
  const others = nodeOf(after[0]).inputTensors.filter(({ id }) => id !== output.id);
  return others.length === 1 ? values.get(others[0].id) : undefined;
}

/** Weights as rows (OI, HW) and biases, those of a batch norm multiplied in. */
function folded(layer: Layer, { kernel, strides, pad }: Weighted, norm?: Layer) {
  const [kernelVariable, biasVariable] = layer.weights;
  const nameOf = (variable: { originalName: string }) => variable.originalName;
  const read = (variable: { read(): tf.Tensor }) => variable.read().dataSync<"float32">().slice();
  const kernelShape = kernelVariable.shape as number[];
  const rows = kernelShape.at(-1)!;
  const columns = kernelShape.reduce((a, b) => a * b, 1) / rows;
  const hwio = read(kernelVariable as never);
  const weights = toRows(hwio, rows, columns, kernel);
  const biases = biasVariable ? read(biasVariable as never) : new Float32Array(rows);
  const names: LayerNames = {
    kernel: nameOf(kernelVariable as never),
    kernelShape,
    bias: biasVariable && nameOf(biasVariable as never),
  };
  if (norm) {
    const config = norm.getConfig() as { epsilon?: number; scale?: boolean; center?: boolean };
    const epsilon = config.epsilon ?? 1e-3;
    const variables = [...norm.weights];
    const gamma = config.scale === false ? undefined : variables.shift();
    const beta = config.center === false ? undefined : variables.shift();
    const [mean, variance] = variables;
    const [g, b] = [gamma && read(gamma as never), beta && read(beta as never)];
    const [m, v] = [read(mean as never), read(variance as never)];
    for (let row = 0; row < rows; row++) {
      const factor = (g?.[row] ?? 1) / Math.sqrt(v[row] + epsilon);
      for (let c = row * columns; c < (row + 1) * columns; c++) weights[c] *= factor;
      biases[row] = (biases[row] - m[row]) * factor + (b?.[row] ?? 0);
    }
    names.norm = {
      gamma: gamma && nameOf(gamma as never),
      beta: beta && nameOf(beta as never),
      mean: nameOf(mean as never),
      variance: nameOf(variance as never),
      epsilon,
    };
  }
  return { weights, biases, names, kernel, strides, pad, rows, columns };
}

/** HWIO to one row an output channel, its kernels one after another. */
export function toRows<Values extends Float32Array | Int32Array>(
  hwio: Values,
  rows: number,
  columns: number,
  [height, width]: readonly [number, number],
): Values {
  const positions = height * width;
  return reverseAxes(hwio, [positions, columns / positions, rows]);
}

/** The inverse of `toRows`. */
export function fromRows<Values extends Float32Array | Int32Array>(
  inRows: Values,
  rows: number,
  columns: number,
  [height, width]: readonly [number, number],
): Values {
  const positions = height * width;
  return reverseAxes(inRows, [rows, columns / positions, positions]);
}

/** The transpose of a tensor of three axes, last axis first: [i][j][k] goes to [k][j][i]. */
function reverseAxes<Values extends Float32Array | Int32Array>(
  values: Values,
  [first, second, third]: readonly [number, number, number],
): Values {
  const reversed = values.slice() as Values;
  for (let i = 0; i < first; i++) {
    for (let j = 0; j < second; j++) {
      for (let k = 0; k < third; k++)
        reversed[(k * second + j) * first + i] = values[(i * second + j) * third + k];
    }
  }
  return reversed;
}

function runWeighted(
  x: tf.Tensor,
  { filter, bias }: LayerTensors,
  strides: [number, number],
  pad: "same" | "valid",
): tf.Tensor {
  if (x.rank === 2) {
    const [, , inputs, outputs] = filter.shape;
    return tf.add(tf.matMul(x as tf.Tensor2D, tf.reshape(filter, [inputs, outputs])), bias);
  }
  return tf.add(tf.conv2d(x as tf.Tensor4D, filter, strides, pad), bias);
}
