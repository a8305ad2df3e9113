/**
 * A graph model of TF.js as a program: convolutions and matrix products with constant kernels as layers, biases and batch norms behind
 * them folded in, all other nodes run by TF.js one at a time.
 *
 *     const program = graphProgram(await loadGraphModel(handler), topology);
 */

import type { GraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import type { RunInput } from "../runner.js";
import { foldedLayer, type NormVariables, type Variable } from "./fold.js";
import { type MatrixNode, matrixNode } from "./graph-matrices.js";
import { type Graph, type GraphNode, graphNodes, type Key, nodeOf } from "./graph-nodes.js";
import { CalibrationError, type Program, type ProgramBuilder, programBuilder } from "./program.js";

interface Context {
  model: GraphModel;
  graph: Graph;
  builder: ProgramBuilder<Key>;
  outputs: ReadonlySet<Key>;
  /** Nodes that are part of another operation: folded norms and biases, a softmax left out. */
  done: Set<GraphNode>;
}

/** Operations that give whole numbers or truth: TF.js lets no other operation begin with these values. */
const DISCRETE =
  /^(Shape|Size|Rank|ArgM(ax|in)|(Not)?Equal|Greater(Equal)?|Less(Equal)?|Logical.*|Cast|OneHot|TopK.*)$/;

/** What shapes are computed with. */
const SHAPING =
  /^(StridedSlice|Slice|Pack|Prod|Mul|Sub|Add(V2)?|ConcatV2|Identity|Squeeze|ExpandDims|FloorDiv)$/;

/**
 * @param topology modelTopology of the model.json
 * @throws {CalibrationError} if it cannot be run operation by operation, or has no layer
 */
export function graphProgram(model: GraphModel, topology: Record<string, unknown>): Program {
  const inputs = model.inputs.map(({ name, dtype, shape }): RunInput => {
    const extents = shape?.map((extent) => (extent < 0 ? undefined : extent));
    return { name, dtype: dtype as RunInput["dtype"], shape: extents };
  });
  const names = inputs.map(({ name }) => name);
  const keys = model.outputs.map(({ name }) => name.replace(/:0$/, ""));
  const graph = graphNodes(topology, names.map(nodeOf), keys);
  const builder = programBuilder<Key>(inputs, names.map(nodeOf));
  const { program, values } = builder;
  const context = { model, graph, builder, outputs: new Set(keys), done: new Set<GraphNode>() };
  const ends = keys.map((key) => (graph.users.has(key) ? undefined : softmaxBefore(key, graph)));
  for (const end of ends) for (const node of end?.nodes ?? []) context.done.add(node);
  for (const node of graph.order)
    if (!context.done.has(node) && !isDiscrete(node, graph)) addNode(node, context);
  if (program.layers.length === 0)
    throw new CalibrationError("model: expected a convolution or a matrix product with a constant, got none");
  for (const [i, key] of keys.entries()) {
    const value = values.get(ends[i]?.input ?? key);
    if (value !== undefined) program.outputs.push({ value, isClassifier: ends[i] !== undefined });
  }
  // Classes that were decided on are no floats: their scores stand for them.
  for (const key of keys.filter((key, i) => !ends[i] && !values.has(key))) {
    for (const score of frontier(graph.nodes.get(nodeOf(key))!, graph)) {
      const value = values.get(score)!;
      const isKnown = value < inputs.length || program.outputs.some((output) => output.value === value);
      if (!isKnown) program.outputs.push({ value, isClassifier: false });
    }
  }
  if (program.outputs.length === 0)
    throw new CalibrationError("model: expected an output of floats, got none");
  return program;
}

function addNode(node: GraphNode, context: Context): void {
  const { builder } = context;
  const found = matrixNode(
    node,
    (key) => constantOf(key, context)?.shape,
    (key) => constantOf(key, context)!,
  );
  if (!found || !isOwn(found.kernel, context)) {
    addOpaque(node, context);
    return;
  }
  const { matrix, input, kernel, bias, activation } = found;
  const tail = tailOf(node, found, context);
  const ownBias = bias ?? tail.bias;
  const part = {
    matrix,
    kernel: variable(kernel, context),
    bias: ownBias === undefined ? undefined : variable(ownBias, context),
  };
  const isFused = bias !== undefined && !isOwn(bias, context);
  const layer = foldedLayer(node.name, isFused ? { ...part, bias: undefined } : part, tail.norm);
  for (const follower of tail.nodes) context.done.add(follower);
  const end = tail.nodes.at(-1)?.name ?? node.name;
  builder.addLayer(layer, input, end, activation || isFused ? undefined : addedTo(end, context));
  // Biases that other nodes have, too, stay as they are.
  if (isFused) builder.follow(end, true, (x) => tf.add(x, constantOf(bias, context)!), end);
  if (activation) builder.follow(end, true, activation, end);
}

/** What comes behind a node with nothing else in between, and can be folded into it. */
function tailOf(node: GraphNode, { bias, activation, matrix }: MatrixNode, context: Context) {
  const tail: { nodes: GraphNode[]; bias?: Key; norm?: NormVariables } = { nodes: [] };
  if (activation || (bias !== undefined && !isOwn(bias, context))) return tail;
  let next = onlyUser(node.name, context);
  if (bias === undefined && next && /^(BiasAdd|Add|AddV2)$/.test(next.op)) {
    const other = next.inputs.find((key) => nodeOf(key) !== node.name);
    if (other && isOwn(other, context) && constantOf(other, context)?.size === matrix.rows) {
      tail.bias = other;
      tail.nodes.push(next);
      next = onlyUser(next.name, context);
    }
  }
  if (next?.op === "FusedBatchNormV3" || next?.op === "FusedBatchNorm") {
    const [x, ...parameters] = next.inputs;
    if (nodeOf(x) === (tail.nodes.at(-1) ?? node).name && parameters.every((key) => isOwn(key, context))) {
      const [gamma, beta, mean, variance] = parameters.map((key) => variable(key, context));
      tail.norm = { gamma, beta, mean, variance, epsilon: next.attributes["epsilon"]?.f ?? 1e-4 };
      tail.nodes.push(next);
    }
  }
  return tail;
}

/** Adds a node as TF.js runs it, from the values that it begins with. */
function addOpaque(node: GraphNode, { model, graph, builder, outputs }: Context): void {
  const from = frontier(node, graph);
  const names = [...from];
  if (new Set(names.map(nodeOf)).size < names.length)
    throw new CalibrationError(
      `model: ${node.name}: takes several values of one node, which TF.js cannot begin with`,
    );
  const wanted = [...graph.users.keys(), ...outputs].filter((key) => nodeOf(key) === node.name);
  for (const key of new Set([node.name, ...wanted])) {
    const run = (tensors: tf.Tensor[]) => {
      const feeds = Object.fromEntries(names.map((name, i) => [name, tensors[i]]));
      return tf.clone([model.execute(feeds, key)].flat()[0]);
    };
    const isOnlyUse = names.length === 1 && !outputs.has(names[0]) && graph.users.get(names[0])?.length === 1;
    if (isOnlyUse && key === node.name && wanted.every((other) => other === key))
      builder.follow(names[0], true, (x) => run([x]), key);
    else builder.add({ inputs: names.map((name) => builder.values.get(name)!), run }, key);
  }
}

/** The values that a node is computed from, discrete ones computed with it. */
function frontier(node: GraphNode, graph: Graph): Set<Key> {
  const found = new Set<Key>();
  for (const key of node.inputs) {
    if (!graph.isDynamic(key)) continue;
    const before = graph.nodes.get(nodeOf(key))!;
    if (isDiscrete(before, graph)) for (const other of frontier(before, graph)) found.add(other);
    else found.add(key);
  }
  return found;
}

function isDiscrete(node: GraphNode, graph: Graph): boolean {
  const dynamic = node.inputs.filter((key) => graph.isDynamic(key));
  if (dynamic.length === 0) return false;
  if (node.op === "Cast") return !/FLOAT|^1$/.test(String(node.attributes["DstT"]?.type));
  if (DISCRETE.test(node.op)) return true;
  return SHAPING.test(node.op) && dynamic.every((key) => isDiscrete(graph.nodes.get(nodeOf(key))!, graph));
}

function constantOf(key: Key, { model, graph }: Context): tf.Tensor | undefined {
  const node = graph.nodes.get(nodeOf(key));
  const [tensor] = model.weights[nodeOf(key)] ?? [];
  if (tensor || node?.op !== "Identity") return graph.isDynamic(key) ? undefined : tensor;
  return constantOf(node.inputs[0], { model, graph } as Context);
}

/** Whether a value is a float constant of its own tensor that one node alone takes. */
function isOwn(key: Key, { model, graph }: Context): boolean {
  return model.weights[nodeOf(key)]?.[0].dtype === "float32" && graph.users.get(key)?.length === 1;
}

function variable(key: Key, { model }: Context): Variable {
  return { originalName: nodeOf(key), read: () => model.weights[nodeOf(key)][0] };
}

function onlyUser(key: Key, { graph, outputs }: Context): GraphNode | undefined {
  const users = graph.users.get(key) ?? [];
  return users.length === 1 && !outputs.has(key) ? users[0] : undefined;
}

/** If a value is only added to another that is there already: that other. */
function addedTo(key: Key, context: Context): number | undefined {
  const next = onlyUser(key, context);
  if (!next || !/^Add(V2)?$/.test(next.op)) return undefined;
  const other = next.inputs.find((input) => input !== key);
  return other === undefined ? undefined : context.builder.values.get(other);
}

/** The softmax at the end of an output that nothing else takes, the nodes from there on, and what goes in. */
function softmaxBefore(key: Key, graph: Graph): { nodes: GraphNode[]; input: Key } | undefined {
  const node = graph.nodes.get(nodeOf(key));
  if (node?.op === "Softmax") return { nodes: [node], input: node.inputs[0] };
  const isAlone = node?.op === "Identity" && graph.users.get(node.inputs[0])?.length === 1;
  const found = isAlone ? softmaxBefore(node.inputs[0], graph) : undefined;
  return found && { ...found, nodes: [...found.nodes, node!] };
}
