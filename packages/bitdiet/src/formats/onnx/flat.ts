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

/** A model whose graphs are being laid beside each other. */
interface Listing extends FlatModel {
  /** How many constants have asked for a name. */
  names: Map<string, number>;
  /** Graphs that are listed so far. */
  graphs: number;
  bodies: ReadonlyMap<string, FunctionScope>;
}

interface FunctionScope {
  inputs: readonly string[];
  outputs: readonly string[];
  lookup: Lookup;
}

export function flatModel({ graph, functions, training }: OnnxProto): FlatModel {
  const listing: Listing = {
    operations: [],
    constants: [],
    inputs: new Set(),
    names: new Map(),
    graphs: 0,
    bodies: functionScopes(functions),
  };
  const main = addGraph(listing, graph, () => undefined);
  for (const { name } of graph.inputs) listing.inputs.add(name);
  for (const each of functions) addFunction(listing, each);
  for (const each of training) addGraph(listing, each, main);
  const { operations, constants, inputs } = listing;
  for (const { value } of constants) if (value) inputs.delete(value);
  return { operations, constants, inputs };
}

function addGraph(listing: Listing, graph: OnnxGraph, outer: Lookup): Lookup {
  const prefix = listing.graphs++ === 0 ? "" : `${listing.graphs}/`;
  const outputs = graph.nodes.flatMap((node) => node.outputs);
  const initializers = [...graph.initializers, ...graph.sparseInitializers.map(({ values }) => values)];
  const defined = [...graph.inputs, ...initializers].map(({ name }) => name);
  const lookup = scope(prefix, [...defined, ...outputs], outer);
  for (const tensor of graph.initializers) addTensor(listing, tensor.name, lookup(tensor.name), tensor);
  for (const { values, indices } of graph.sparseInitializers) {
    addTensor(listing, values.name, lookup(values.name), values);
    addTensor(listing, `${values.name}.indices`, undefined, indices);
  }
  for (const node of graph.nodes) addNode(listing, node, lookup);
  return lookup;
}

function addFunction(listing: Listing, { name, domain, nodes, attributes }: OnnxFunction): void {
  const { lookup } = listing.bodies.get(`${domain}:${name}`)!;
  for (const node of nodes) addNode(listing, node, lookup);
  const stand = { name, opType: name, domain, inputs: [], outputs: [], attributes: new Map() };
  for (const attribute of attributes) addAttribute(listing, stand, attribute, name, lookup);
}

function addNode(listing: Listing, node: OnnxNode, lookup: Lookup): void {
  const label = node.name || node.outputs.find((output) => output !== "") || node.opType;
  for (const attribute of node.attributes.values()) addAttribute(listing, node, attribute, label, lookup);
  const inputs = node.inputs.map((name) => lookup(name) ?? "");
  const outputs = node.outputs.map((name) => lookup(name) ?? "");
  const body = listing.bodies.get(`${node.domain}:${node.opType}`);
  if (body) {
    body.inputs.forEach((input, i) => void link(listing, inputs[i], body.lookup(input)));
    body.outputs.forEach((output, i) => void link(listing, body.lookup(output), outputs[i]));
    return;
  }
  // What goes into a graph of its own is linked to it; the rest are a condition, and how often.
  const hasBody = [...node.attributes.values()].some(({ graph }) => graph);
  const own = !hasBody ? inputs : node.opType === "Scan" ? [] : inputs.slice(0, 2);
  listing.operations.push({ op: node.opType, label, inputs: own, outputs: hasBody ? [] : outputs, node });
}

/** Numbers and graphs that an attribute holds. */
function addAttribute(
  listing: Listing,
  node: OnnxNode,
  attribute: OnnxAttribute,
  label: string,
  lookup: Lookup,
): void {
  const isConstant = node.opType === "Constant" && node.domain === "";
  const value = isConstant ? lookup(node.outputs[0] ?? "") : undefined;
  const name = isConstant ? (node.outputs[0] ?? label) : `${label}.${attribute.name}`;
  for (const tensor of [attribute.tensor, ...attribute.tensors])
    if (tensor) addTensor(listing, name, value, tensor);
  for (const sparse of [attribute.sparse, ...attribute.sparses]) {
    if (!sparse) continue;
    addTensor(listing, `${name}.values`, undefined, sparse.values);
    addTensor(listing, `${name}.indices`, undefined, sparse.indices);
  }
  const { floats, ints, message } = attribute;
  if (floats.length > 0)
    addConstant(listing, { name, value, shape: [floats.length], dtype: "float32", message });
  if (ints.length > 0) addConstant(listing, { name, value, shape: [ints.length], dtype: "int64", message });
  for (const graph of [attribute.graph, ...attribute.graphs])
    if (graph) linkBody(listing, node, graph, addGraph(listing, graph, lookup), lookup);
}

/** Links a graph that a node runs to what goes into it, comes out of it, and goes from one turn of a loop to the next. */
function linkBody(listing: Listing, node: OnnxNode, graph: OnnxGraph, inner: Lookup, outer: Lookup): void {
  const skipped = node.opType === "Loop" ? 1 : 0;
  const states = node.opType === "Loop" ? node.inputs.length - 2 : scanStates(node, graph);
  graph.inputs.forEach(({ name }, i) => void link(listing, outer(node.inputs[i] ?? ""), inner(name)));
  graph.outputs.forEach(({ name }, i) => {
    link(listing, inner(name), outer(node.outputs[i - skipped] ?? ""));
    // The condition of a Loop comes first, and its number and condition are the first inputs.
    const turn = i - skipped;
    if (turn < 0 || turn >= states) return;
    link(listing, inner(name), inner(graph.inputs[turn + 2 * skipped]?.name ?? ""));
  });
}

function link({ operations }: Listing, from: string | undefined, to: string | undefined): void {
  if (from && to) operations.push({ op: "Identity", label: to, inputs: [from], outputs: [to] });
}

function addTensor(listing: Listing, name: string, value: string | undefined, tensor: OnnxTensor): void {
  const { shape, dtype, message } = tensor;
  addConstant(listing, { name, value, shape, dtype, tensor, message });
}

function addConstant({ constants, names }: Listing, constant: OnnxConstant): void {
  constants.push({ ...constant, name: unique(names, constant.name) });
}

/** A name that no constant has yet. */
function unique(names: Map<string, number>, name: string): string {
  const count = (names.get(name) ?? 0) + 1;
  names.set(name, count);
  return count === 1 ? name : unique(names, `${name}#${count}`);
}

/** States that a Scan carries from turn to turn; 0 of any other node. */
function scanStates(node: OnnxNode, graph: OnnxGraph): number {
  if (node.opType !== "Scan") return 0;
  return graph.inputs.length - (node.attributes.get("num_scan_inputs")?.i ?? graph.inputs.length);
}

/** A function's values are there once, however often it is called. */
function functionScopes(functions: readonly OnnxFunction[]): ReadonlyMap<string, FunctionScope> {
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
