/**
 * Uses of the weights in a graph model of TF.js: its nodes, and those of its functions beside them.
 * https://www.tensorflow.org/js/guide/conversion
 *
 *     const useOf = graphUses(topology, new Map([["axes", [1, 2]]]));
 *     useOf("conv/kernel", [3, 3, 3, 16]); // { kind: "weight", channelAxis: 3, reason: "kernel of Conv2D conv" }
 */
import type { TensorUse } from "../model.js";
import { asObject, asString } from "./files.js";
import { contextOf, type GraphOperation, graphRoles, type Node } from "./tfjs-graph-roles.js";
import { usesIn } from "./use.js";

interface FunctionDef {
  name: string;
  /** Names of arguments, and of results. */
  inputs: string[];
  outputs: string[];
  nodes: Node[];
  /** Values of results. */
  returned: ReadonlyMap<string, string>;
}
/** @param numbers values of small weights: axes, permutations, shapes, bounds */
export function graphUses(
  topology: Record<string, unknown>,
  numbers: ReadonlyMap<string, readonly number[]>,
): (weight: string, shape: readonly number[]) => TensorUse {
  const { operations, constants, inputs } = flatGraph(topology);
  const useOf = usesIn(operations, graphRoles(contextOf(operations, constants, numbers)), inputs);
  const values = new Map([...constants].map(([value, weight]) => [weight, value]));
  return (weight, shape) => {
    const value = values.get(weight);
    return value === undefined ? { kind: "exact", reason: "not in the graph" } : useOf(value, shape);
  };
}

/** Nodes of a graph and of its functions in one list; what goes into a function or comes out of it is linked by Identity. */
function flatGraph(topology: Record<string, unknown>) {
  const operations: GraphOperation[] = [];
  /** Weights by their values. */
  const constants = new Map<string, string>();
  const inputs = new Set<string>();
  const functions = new Map<string, FunctionDef>();
  for (const each of listed(fieldOf(topology["library"], "function")).map(functionOf))
    functions.set(each.name, each);
  const link = (from: string, to: string) =>
    void operations.push({ op: "Identity", label: to, inputs: [from], outputs: [to] });

  const addNodes = (nodes: readonly Node[], prefix: string) => {
    const values = nodes.map(({ input }) => dataInputs(input).map((each) => valueName(each, prefix)));
    // How many outputs a node has is known from those who take them.
    const outputs = new Map<string, Set<string>>();
    for (const value of values.flat()) {
      const name = value.replace(/:\d+$/, "");
      outputs.set(name, (outputs.get(name) ?? new Set()).add(value));
    }
    nodes.forEach((node, i) => {
      const name = `${prefix}${node.name}`;
      if (node.op === "Const") constants.set(name, node.name);
      if (node.op === "Placeholder") inputs.add(name);
      const called = ["then_branch", "else_branch", "body", "f"].flatMap(
        (key) => functions.get(node.attr?.[key]?.func?.name ?? "") ?? [],
      );
      const made = [...new Set([name, ...(outputs.get(name) ?? [])])];
      if (called.length === 0)
        operations.push({ op: node.op, label: node.name, inputs: values[i], outputs: made, node });
      for (const each of called) linkCall(node, values[i], name, each);
    });
  };
  const linkCall = (node: Node, given: readonly string[], name: string, called: FunctionDef) => {
    const inner = `${called.name}/`;
    const first = node.attr?.["then_branch"] ? 1 : 0;
    called.inputs.forEach((argument, i) => void link(given[i + first] ?? "", `${inner}${argument}`));
    called.outputs.forEach((result, i) => {
      const from = valueName(called.returned.get(result) ?? "", inner);
      link(from, i === 0 ? name : `${name}:${i}`);
      const argument = called.inputs[i];
      if (node.attr?.["body"] && argument) link(from, `${inner}${argument}`);
    });
  };
  addNodes(listed(topology["node"]).map(nodeOf), "");
  for (const { name, nodes } of functions.values()) addNodes(nodes, `${name}/`);
  return { operations, constants, inputs };
}

const listed = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const fieldOf = (value: unknown, name: string): unknown =>
  (value as Record<string, unknown> | null | undefined)?.[name];

/** @throws {ModelFileError} if it is none */
function nodeOf(value: unknown): Node {
  const node = asObject(value, "tfjs: node");
  const { name, op, input, attr = {} } = node;
  return {
    name: asString(name, "tfjs: name of a node"),
    op: asString(op, `tfjs: op of ${name}`),
    input: listed(input).map((each) => asString(each, `tfjs: input of ${name}`)),
    attr: asObject(attr, `tfjs: attr of ${name}`) as Node["attr"],
  };
}

/** @throws {ModelFileError} if it is none */
function functionOf(value: unknown): FunctionDef {
  const { signature, nodeDef, ret = {} } = asObject(value, "tfjs: function");
  const names = (field: string) =>
    listed(fieldOf(signature, field)).map((each) => asString(fieldOf(each, "name"), `tfjs: ${field}`));
  return {
    name: asString(fieldOf(signature, "name"), "tfjs: name of a function"),
    inputs: names("inputArg"),
    outputs: names("outputArg"),
    nodes: listed(nodeDef).map(nodeOf),
    returned: new Map(Object.entries(asObject(ret, "tfjs: ret")) as [string, string][]),
  };
}

/** Inputs but those that only say what runs first. */
function dataInputs(inputs: unknown): string[] {
  return (Array.isArray(inputs) ? inputs : []).map(String).filter((input) => !input.startsWith("^"));
}

/** A node's input as a value: "conv", "split:1"; in functions they say "split:output:1". */
function valueName(input: string, prefix: string): string {
  const [name, ...rest] = String(input).split(":");
  const index = rest.at(-1);
  return index === undefined || index === "0" || !/^\d+$/.test(index)
    ? `${prefix}${name}`
    : `${prefix}${name}:${index}`;
}
