/**
 * Nodes of a graph model of TF.js as they stand in its topology, in the order in which they can run.
 *
 *     const { order, users } = graphNodes(topology, ["x"], ["Identity:0"]);
 */
import { CalibrationError } from "./program.js";

/** A value of the graph: "node" or, of further outputs, "node:1". */
export type Key = string;

export interface GraphNode {
  name: string;
  op: string;
  inputs: Key[];
  attributes: Record<string, Attribute>;
}

interface Attribute {
  s?: string | number[];
  i?: string | number;
  f?: number;
  b?: boolean;
  type?: string | number;
  list?: { s?: (string | number[])[]; i?: (string | number)[] };
}

export interface Graph {
  nodes: ReadonlyMap<string, GraphNode>;
  /** What is computed from the inputs, each node after those that it needs. */
  order: GraphNode[];
  /** Nodes that take each value, constants among the values. */
  users: ReadonlyMap<Key, GraphNode[]>;
  isDynamic(key: Key): boolean;
}

/** Operations that TF.js runs only asynchronously, or more than once. */
const CONTROL =
  /^(Switch|Merge|Enter|Exit|NextIteration|LoopCond|(Stateless)?(While|If)|NonMaxSuppression|Where|Unique|TensorArray|TensorList|HashTable|LookupTable)/;

/**
 * @param inputs names of the placeholders
 * @param outputs values that the model gives
 * @throws {CalibrationError} if there is control flow between them
 */
export function graphNodes(
  topology: Record<string, unknown>,
  inputs: readonly string[],
  outputs: readonly Key[],
): Graph {
  const list = (topology["node"] ?? []) as { name: string; op: string; input?: string[]; attr?: object }[];
  const nodes = new Map<string, GraphNode>();
  for (const { name, op, input = [], attr = {} } of list) {
    const data = input.filter((key) => !key.startsWith("^"));
    nodes.set(name, {
      name,
      op,
      inputs: data.map((key) => key.replace(/:0$/, "")),
      attributes: attr as GraphNode["attributes"],
    });
  }
  const dynamic = new Map<string, boolean>(inputs.map((name) => [name, true]));
  const order: GraphNode[] = [];
  const visit = (name: string): boolean => {
    const known = dynamic.get(name);
    if (known !== undefined) return known;
    dynamic.set(name, false);
    const node = nodes.get(name);
    if (!node) throw new CalibrationError(`model: expected a node ${name}, got none`);
    if (CONTROL.test(node.op))
      throw new CalibrationError(`model: ${name}: ${node.op} cannot be run operation by operation`);
    const isDynamic = node.inputs.map((key) => visit(nodeOf(key))).some((found) => found);
    dynamic.set(name, isDynamic);
    if (isDynamic) order.push(node);
    return isDynamic;
  };
  for (const key of outputs) visit(nodeOf(key));
  const users = new Map<Key, GraphNode[]>();
  for (const node of order) for (const key of node.inputs) users.set(key, [...(users.get(key) ?? []), node]);
  return { nodes, order, users, isDynamic: (key) => dynamic.get(nodeOf(key)) ?? false };
}

export function nodeOf(key: Key): string {
  return key.replace(/:\d+$/, "");
}

export function text(attribute: Attribute | undefined): string | undefined {
  return attribute?.s === undefined ? undefined : decoded(attribute.s);
}

export function texts(attribute: Attribute | undefined): string[] {
  return (attribute?.list?.s ?? []).map(decoded);
}

export function numbers(attribute: Attribute | undefined): number[] {
  return (attribute?.list?.i ?? []).map(Number);
}

/** Strings are in base 64, or codes of characters. */
function decoded(value: string | number[]): string {
  return typeof value === "string" ? atob(value) : String.fromCharCode(...value);
}
