/**
 * The backward pass of a graph, written as nodes of ONNX: from gradients at some of its values, given as inputs, to those at the outputs of
 * its layers. Values of the forward pass are inputs, too, so that it can be of another version of the operators.
 */

import { lookUp } from "../../formats/use.js";
import { rules } from "./gradients.js";
import {
  type CalibrationGraph,
  type Constant,
  capturedBy,
  floatConstant,
  int64Constant,
  makeNode,
  modelOfVersion,
  numbersIn,
  type OnnxNode,
  readBy,
} from "./graph.js";
import type { OnnxLayer } from "./layers.js";
import type { Tape } from "./tape.js";

export interface Backward {
  nodes: readonly OnnxNode[];
  constants: ReadonlyMap<string, Constant>;
  /** Values of the forward pass that it takes. */
  takes: readonly string[];
  /** Gradient at each layer's output, summed squares one a row; undefined where there is no rule for what follows it. */
  squares: readonly (string | undefined)[];
}

/** The version that the rules are written for. */
export const BACKWARD_MODEL = modelOfVersion(17);

/**
 * @param shapes of all values
 * @param seeds names of the inputs with the gradients at these values
 */
export function backwardOf(
  graph: CalibrationGraph,
  layers: readonly OnnxLayer[],
  shapes: ReadonlyMap<string, readonly number[]>,
  seeds: ReadonlyMap<string, string>,
): Backward {
  const active = activeValues(graph.nodes, layers);
  const gradients: Gradients = new Map([...seeds].map(([value, seed]) => [value, [seed]]));
  const written: Written = { nodes: [], constants: new Map(), takes: new Set() };
  const tape = tapeFor(graph, shapes, active, gradients, written);
  const total = (value: string) => totalOf(gradients, value, tape);
  /** Values whose gradient is not known, or not all of it. */
  const lost = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const dys = node.outputs.map(total);
    const isLost = node.outputs.some((output) => lost.has(output));
    const captured = capturedBy(node);
    const inputs = [...node.inputs, ...captured].filter((input) => active.has(input));
    if (inputs.length === 0 || (!isLost && dys.every((dy) => dy === undefined))) continue;
    const rule = node.domain === "" && captured.length === 0 ? lookUp(rules, node.opType) : undefined;
    // Where only some outputs count, rules other than that of Split need the first.
    const isKnown = !isLost && rule !== undefined && (dys[0] !== undefined || node.opType === "Split");
    if (!isKnown || rule(node, dys, tape) !== true) for (const input of inputs) lost.add(input);
  }
  const squares = layers.map(({ output, outputAxis }) => {
    const gradient = output === "" || lost.has(output) ? undefined : total(output);
    if (gradient === undefined) return undefined;
    const rank = shapes.get(output)!.length;
    const axes = [...Array(rank).keys()].filter((axis) => axis !== (outputAxis + rank) % rank);
    return tape.emit("ReduceSumSquare", [gradient], { axes, keepdims: 0 });
  });
  return { nodes: written.nodes, constants: written.constants, takes: [...written.takes], squares };
}

/** Values that depend on what a layer gives. */
function activeValues(nodes: readonly OnnxNode[], layers: readonly OnnxLayer[]): Set<string> {
  const active = new Set(layers.flatMap(({ output }) => (output === "" ? [] : [output])));
  for (const node of nodes) {
    if (!readBy(node).some((input) => active.has(input))) continue;
    for (const output of node.outputs) active.add(output);
  }
  return active;
}

/** A backward pass as far as it is written: see `Backward`. */
interface Written {
  nodes: OnnxNode[];
  constants: Map<string, Constant>;
  takes: Set<string>;
}

/** Contributions to the gradients at values. */
type Gradients = Map<string, string[]>;

function tapeFor(
  graph: CalibrationGraph,
  shapes: ReadonlyMap<string, readonly number[]>,
  active: ReadonlySet<string>,
  gradients: Gradients,
  written: Written,
): Tape {
  const writer = writerOf(written);
  const { emit, ints } = writer;
  const shapeOf = (value: string) => {
    const shape = graph.constants.get(value)?.shape ?? shapes.get(value);
    if (!shape) throw new RangeError(`shapes: expected one of ${value}`);
    return shape;
  };
  return {
    ...writer,
    opset: graph.opset,
    shapeOf,
    numbersOf: (value) => {
      const constant = graph.constants.get(value);
      return constant && numbersIn(constant);
    },
    value(name) {
      const constant = graph.constants.get(name);
      if (constant) written.constants.set(name, constant);
      else written.takes.add(name);
      return name;
    },
    isWanted: (input) => active.has(input),
    give(input, gradient, shape = shapeOf(input)) {
      if (!active.has(input)) return;
      const own = shapeOf(input);
      const offset = shape.length - own.length;
      // Axes along which the input was repeated.
      const axes = [...shape.keys()].filter((axis) => axis < offset || own[axis - offset] !== shape[axis]);
      const summed =
        axes.length === 0
          ? gradient
          : emit("Reshape", [emit("ReduceSum", [gradient, ints(axes)]), ints(own)]);
      const list = gradients.get(input);
      if (list) list.push(summed);
      else gradients.set(input, [summed]);
    },
  };
}

/** What adds nodes and constants, under names that are there once. */
function writerOf({ nodes, constants }: Written): Pick<Tape, "emit" | "float" | "floats" | "ints"> {
  let count = 0;
  const named = (constant: Constant) => {
    const name = `constant of gradients ${count++}`;
    constants.set(name, constant);
    return name;
  };
  return {
    emit(op, inputs, attributes = {}, output = 0) {
      const names = Array.from({ length: output + 1 }, () => `gradient ${count++}`);
      nodes.push(makeNode(op, inputs, names, attributes));
      return names[output];
    },
    float: (value) => named(floatConstant(Float32Array.of(value), [])),
    floats: (values, shape) => named(floatConstant(values, shape)),
    ints: (values) => named(int64Constant(values)),
  };
}

/** The gradient at a value, all contributions added up. */
function totalOf(gradients: Gradients, value: string, { emit }: Tape): string | undefined {
  const parts = gradients.get(value);
  if (!parts) return undefined;
  if (parts.length > 1) gradients.set(value, [parts.reduce((sum, part) => emit("Add", [sum, part]))]);
  return gradients.get(value)![0];
}
