/**
 * An ONNX model as one list of operations: graphs of branches and loops, functions and the graphs of training are laid beside the
 * main one, values with the same name are told apart, and what goes into a branch or comes out of it is linked by Identity.
 *
 *     const { operations, constants } = flatModel(onnxProto(bytes));
 *     constants[0]; // { name: "w", value: "w", shape: [8, 3, 3, 3], dtype: "float32", ... }: a tensor, wherever it stands
 */
import type { Dtype } from "../../model.js";
import type { Operation } from "../use.js";
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxNode, OnnxProto } from "./graph.js";
import type { OnnxTensor } from "./tensor.js";

/** Numbers in a model: a tensor, or an attribute that is a list. */
export interface OnnxConstant {
  /** Name as in the file where it has one; names that are there twice get a number. */
  name: string;
  /** The value that it is in `operations`; absent where it is an attribute of an operation. */
  value?: string;
  shape: number[];
  dtype?: Dtype;
  /** Absent of a list. */
  tensor?: OnnxTensor;
  /** The message that has the numbers, or says in which file they are. */
  message: Uint8Array;
}

export interface FlatModel {
  operations: OnnxOperation[];
  constants: OnnxConstant[];
  /** Values that come from outside. */
  inputs: Set<string>;
}

export interface OnnxOperation extends Operation {
  node?: OnnxNode;
}

/** Value of this name where it is used. */
type Lookup = (name: string) => string | undefined;

export function flatModel({ graph, functions, training }: OnnxProto): FlatModel {
  const flat: FlatModel = { operations: [], constants: [], inputs: new Set() };
  const names = new Map<string, number>();
  const unique = (name: string): string => {
    const count = (names.get(name) ?? 0) + 1;
    names.set(name, count);
    return count === 1 ? name : unique(`${name}#${count}`);
  };
  let graphs = 0;
  const link = (from: string | undefined, to: string | undefined) => {
    if (from && to) flat.operations.push({ op: "Identity", label: to, inputs: [from], outputs: [to] });
  };
  const constant = (name: string, value: string | undefined, tensor: OnnxTensor) => {
    const { shape, dtype, message } = tensor;
    flat.constants.push({ name: unique(name), value, shape, dtype, tensor, message });
  };

  const addGraph = (of: OnnxGraph, outer: Lookup): Lookup => {
    const prefix = graphs++ === 0 ? "" : `${graphs}/`;
    const outputs = of.nodes.flatMap((node) => node.outputs);
    const initializers = [...of.initializers, ...of.sparseInitializers.map(({ values }) => values)];
    const defined = [...of.inputs, ...initializers].map(({ name }) => name);
    const lookup = scope(prefix, [...defined, ...outputs], outer);
    for (const tensor of of.initializers) constant(tensor.name, lookup(tensor.name), tensor);
    for (const { values, indices } of of.sparseInitializers) {
      constant(values.name, lookup(values.name), values);
      constant(`${values.name}.indices`, undefined, indices);
    }
    for (const node of of.nodes) addNode(node, lookup);
    return lookup;
  };

  const addNode = (node: OnnxNode, lookup: Lookup) => {
    const label = node.name || node.outputs.find((output) => output !== "") || node.opType;
    for (const attribute of node.attributes.values()) addAttribute(node, attribute, label, lookup);
    const inputs = node.inputs.map((name) => lookup(name) ?? "");
    const outputs = node.outputs.map((name) => lookup(name) ?? "");
    const body = bodies.get(`${node.domain}:${node.opType}`);
    if (body) {
      body.inputs.forEach((input, i) => void link(inputs[i], body.lookup(input)));
      body.outputs.forEach((output, i) => void link(body.lookup(output), outputs[i]));
      return;
    }
    // What goes into a graph of its own is linked to it; the rest are a condition, and how often.
    const hasBody = [...node.attributes.values()].some(({ graph: inner }) => inner);
    const own = !hasBody ? inputs : node.opType === "Scan" ? [] : inputs.slice(0, 2);
    flat.operations.push({ op: node.opType, label, inputs: own, outputs: hasBody ? [] : outputs, node });
  };

  const addAttribute = (node: OnnxNode, attribute: OnnxAttribute, label: string, lookup: Lookup) => {
    const isConstant = node.opType === "Constant" && node.domain === "";
    const value = isConstant ? lookup(node.outputs[0] ?? "") : undefined;
    const name = isConstant ? (node.outputs[0] ?? label) : `${label}.${attribute.name}`;
    for (const tensor of [attribute.tensor, ...attribute.tensors]) if (tensor) constant(name, value, tensor);
    for (const sparse of [attribute.sparse, ...attribute.sparses]) {
      if (!sparse) continue;
      constant(`${name}.values`, undefined, sparse.values);
      constant(`${name}.indices`, undefined, sparse.indices);
    }
    const { message } = attribute;
    for (const [list, dtype] of [
      [attribute.floats, "float32"],
      [attribute.ints, "int64"],
    ] as const)
      if (list.length > 0)
        flat.constants.push({ name: unique(name), value, shape: [list.length], dtype, message });
    for (const graph of [attribute.graph, ...attribute.graphs])
      if (graph) addBody(node, graph, addGraph(graph, lookup), lookup);
  };

  /** A graph that a node runs: what goes into it, comes out of it, and from one turn of a loop to the next. */
  const addBody = (node: OnnxNode, graph: OnnxGraph, inner: Lookup, outer: Lookup) => {
    const skipped = node.opType === "Loop" ? 1 : 0;
    const states = node.opType === "Loop" ? node.inputs.length - 2 : scanStates(node, graph);
    graph.inputs.forEach(({ name }, i) => void link(outer(node.inputs[i] ?? ""), inner(name)));
    graph.outputs.forEach(({ name }, i) => {
      link(inner(name), outer(node.outputs[i - skipped] ?? ""));
      // The condition of a Loop comes first, and its number and condition are the first inputs.
      const turn = i - skipped;
      if (turn >= 0 && turn < states) link(inner(name), inner(graph.inputs[turn + 2 * skipped]?.name ?? ""));
    });
  };

  const bodies = functionScopes(functions);
  const main = addGraph(graph, () => undefined);
  for (const { name } of graph.inputs) flat.inputs.add(name);
  for (const of of functions) {
    const { lookup } = bodies.get(`${of.domain}:${of.name}`)!;
    for (const node of of.nodes) addNode(node, lookup);
    const stand = { opType: of.name, domain: of.domain, inputs: [], outputs: [] };
    for (const attribute of of.attributes)
      addAttribute({ name: of.name, attributes: new Map(), ...stand }, attribute, of.name, lookup);
  }
  for (const each of training) addGraph(each, main);
  for (const { value } of flat.constants) if (value) flat.inputs.delete(value);
  return flat;
}

/** States that a Scan carries from turn to turn; 0 of any other node. */
function scanStates(node: OnnxNode, graph: OnnxGraph): number {
  if (node.opType !== "Scan") return 0;
  return graph.inputs.length - (node.attributes.get("num_scan_inputs")?.i ?? graph.inputs.length);
}

/** A function's values are there once, however often it is called. */
function functionScopes(functions: readonly OnnxFunction[]) {
  return new Map(
    functions.map(({ name, domain, inputs, outputs, nodes }) => {
      const defined = [...inputs, ...nodes.flatMap((node) => node.outputs)];
      const lookup = scope(`${domain}:${name}/`, defined, () => undefined);
      return [`${domain}:${name}`, { inputs, outputs, lookup }];
    }),
  );
}

/** A scope of values; a name that it does not define is the outer scope's. */
function scope(prefix: string, defined: Iterable<string>, outer: Lookup): Lookup {
  const own = new Set(defined);
  return (name) => (name === "" ? undefined : own.has(name) ? `${prefix}${name}` : outer(name));
}
