/**
 * Nodes of a graph that multiply their input by constant weights, as rows x columns: convolutions of any group and dimension, transposed
 * ones, Gemm, and MatMul with a constant on either side.
 *
 *     const [conv] = layersOf(prepareGraph(graph));
 *     conv; // { name: "w", rows: 16, columns: 27, kernel: [3, 3], weight: "w", bias: "b", axis: 0, … }
 */
import { rowsOf, toRows } from "../../file/rows.js";
import type { CalibrationLayer } from "../network.js";
import { type CalibrationGraph, type Constant, floatOf, floatsIn, intOf, type OnnxNode } from "./graph.js";
import { consumersOf } from "./prepare.js";
import type { Product, WithStates } from "./recurrent.js";
import { convolutionWindow, matrixWindow, type Window } from "./window.js";

export interface OnnxLayer extends CalibrationLayer {
  /** Where its node is among the graph's. */
  at: number;
  /** Constants that hold the weights, and the biases if there are any. */
  weight: string;
  bias?: string;
  /** Axis of the rows in the weights' shape. */
  axis: number;
  /** Values that it reads and that it makes, biases included; "" where nobody sees that. */
  input: string;
  output: string;
  /** The value that the output is only added to, where that is there before. */
  addedTo?: string;
  /** Axis of the rows in the output's shape, from the end where negative. */
  outputAxis: number;
  window: Window;
}

interface Found {
  weight: string;
  bias?: string;
  axis: number;
  input: string;
  groups?: number;
  isTable?: boolean;
  outputAxis: number;
  window: Window;
}

/** @param graph of `withStates` for recurrent layers to be among them */
export function layersOf(graph: CalibrationGraph & Partial<WithStates>): OnnxLayer[] {
  const { nodes, constants, products, copies } = graph;
  const consumers = consumersOf(nodes);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const madeAt = new Map(nodes.flatMap((node, at) => node.outputs.map((name) => [name, at] as const)));
  const isFree = (name: string | undefined, size?: number): name is string => {
    const constant = constants.get(name ?? "");
    const length = constant?.shape.reduce((a, b) => a * b, 1);
    return (
      constant?.dtype === "float32" &&
      (size === undefined || length === size) &&
      consumers.get(name!)?.filter((node) => !copies?.has(node)).length === 1
    );
  };
  return nodes.flatMap((node, at) => {
    const product = products?.get(node);
    const plain = node.domain === "" ? layerIn(node, constants) : undefined;
    const found = product ? recurrentLayer(product, constants) : plain;
    if (!found || !isFree(found.weight) || constants.has(found.input)) return [];
    const { weight, axis, groups, window, input, outputAxis, isTable } = found;
    const { shape } = constants.get(weight)!;
    const [rows, middle, inner] = rowsOf(shape, axis).extents;
    const only = (name: string) =>
      consumers.get(name)?.length === 1 && !outputs.has(name) ? consumers.get(name)![0] : undefined;
    // What a recurrent node makes of its products is not to be seen.
    let output = product ? "" : node.outputs[0];
    let bias = isFree(found.bias, rows) ? found.bias : undefined;
    const next = only(output);
    const added = node.opType === "MatMul" && next?.opType === "Add" ? otherOf(next, output) : undefined;
    // A vector along the last axis, which is that of the rows.
    if (axis === 1 && isFree(added, rows) && constants.get(added)!.shape.at(-1) === rows) {
      bias = added;
      [output] = next!.outputs;
    }
    const sum = only(output);
    const other = sum?.opType === "Add" ? otherOf(sum, output) : undefined;
    const isThere = other !== undefined && !constants.has(other) && (madeAt.get(other) ?? -1) < at;
    const layer: OnnxLayer = {
      name: weight,
      at,
      weight,
      bias,
      axis,
      input,
      output,
      addedTo: isThere && !isTable ? other : undefined,
      outputAxis,
      window,
      rows,
      isTable,
      columns: middle * inner,
      groups,
      kernel: rowsOf(shape, axis).kernel,
      weights: toRows(floatsIn(constants.get(weight)!), shape, axis),
      biases: bias === undefined ? new Float32Array(rows) : floatsIn(constants.get(bias)!).slice(),
    };
    return [layer];
  });
}

/** The operand of a sum that is not this one; undefined where both are. */
function otherOf({ inputs }: OnnxNode, value: string): string | undefined {
  return inputs.find((name) => name !== value);
}

function layerIn(node: OnnxNode, constants: ReadonlyMap<string, Constant>): Found | undefined {
  const [first, second, bias] = node.inputs;
  const shape = constants.get(second)?.shape;
  if (node.opType === "Conv" && shape) {
    const groups = intOf(node, "group", 1);
    const window = convolutionWindow(node, shape, 0);
    return window && { input: first, weight: second, bias, axis: 0, groups, outputAxis: 1, window };
  }
  if (node.opType === "ConvTranspose" && shape) {
    const groups = intOf(node, "group", 1);
    // Rows of other groups than one channel each would be spread over the weights.
    const isDepthwise = groups === shape[0] && shape[1] === 1;
    if (groups !== 1 && !isDepthwise) return undefined;
    const axis = isDepthwise ? 0 : 1;
    const window = convolutionWindow(node, shape, axis);
    return window && { input: first, weight: second, bias, axis, groups, outputAxis: 1, window };
  }
  if (node.opType === "Gemm" && shape) {
    if (floatOf(node, "alpha", 1) !== 1 || floatOf(node, "beta", 1) !== 1) return undefined;
    const axis = intOf(node, "transB", 0) === 1 ? 0 : 1;
    const side = intOf(node, "transA", 0) === 1 ? "columns" : "rows";
    return {
      input: first,
      weight: second,
      bias,
      axis,
      outputAxis: -1,
      window: matrixWindow(side, "rows", shape[axis]),
    };
  }
  const table = constants.get(first)?.shape;
  if (node.opType === "Gather" && table?.length === 2 && intOf(node, "axis", 0) === 0)
    return { input: second, weight: first, axis: 0, isTable: true, outputAxis: -1, window: oneByOne };
  if (node.opType !== "MatMul") return undefined;
  if (shape?.length === 2)
    return {
      input: first,
      weight: second,
      axis: 1,
      outputAxis: -1,
      window: matrixWindow("rows", "rows", shape[1]),
    };
  const left = constants.get(first)?.shape;
  if (left?.length === 2)
    return {
      input: second,
      weight: first,
      axis: 0,
      outputAxis: -2,
      window: matrixWindow("columns", "columns", left[0]),
    };
  return undefined;
}

function recurrentLayer({ weight, input }: Product, constants: ReadonlyMap<string, Constant>): Found {
  // [1, gates, inputs]
  const [, rows] = constants.get(weight)!.shape;
  return { weight, input, axis: 1, outputAxis: -1, window: matrixWindow("rows", "rows", rows) };
}

/** Numbers of rows are read as they are, not through a window. */
const oneByOne: Window = (shape) => ({
  count: shape.reduce((a, b) => a * b, 1),
  read() {},
  output: (position) => position,
  rowStride: 1,
});

/** Numbers in rows to the order of their tensor: the inverse of `toRows`. */
export function valuesInRows(inRows: Float32Array, shape: readonly number[], axis: number): Float32Array {
  const { extents, strides } = rowsOf(shape, axis);
  const [rows, middle, inner] = extents;
  const values = new Float32Array(inRows.length);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let j = 0; j < middle; j++) {
      const at = r * strides[0] + j * strides[1];
      for (let l = 0; l < inner; l++, i++) values[at + l * strides[2]] = inRows[i];
    }
  }
  return values;
}
