/**
 * Recurrent layers as two products, that of the inputs and that of the states. Beside each node stands a copy of it in the graph that
 * is walked, whose states, one step late, are the inputs of the second product.
 *
 *     const { nodes, products } = withStates(graph);
 *     products.get(nodes[7]); // { weight: "R", input: "R before": what the recurrent weights of the LSTM at 7 are multiplied by }
 */
import { type CalibrationGraph, int64Constant, intOf, makeNode, type OnnxNode, textOf } from "./graph.js";

/** Weights of a node, and the value that they are multiplied by. */
export interface Product {
  weight: string;
  input: string;
}

export interface WithStates extends CalibrationGraph {
  /** By node: that of the copies has the inputs' weights, that of the nodes themselves the states'. */
  products: ReadonlyMap<OnnxNode, Product>;
  copies: ReadonlySet<OnnxNode>;
}

/** Those of one direction whose weights are constants; others are left as they are. */
export function withStates(graph: CalibrationGraph): WithStates {
  const constants = new Map(graph.constants);
  const products = new Map<OnnxNode, Product>();
  const copies = new Set<OnnxNode>();
  const list = (name: string, ...values: number[]) => {
    constants.set(name, int64Constant(values));
    return name;
  };
  const nodes = graph.nodes.flatMap((node) => {
    const [x, w, r, , , initial] = node.inputs;
    if (!isOneWay(node) || !constants.has(w) || !constants.has(r)) return [node];
    const [all, late, first, before] = ["states", "late", "first", "before"].map((part) => `${r} ${part}`);
    const copy = { ...node, outputs: [all] };
    const isReverse = textOf(node, "direction") === "reverse";
    const axes = list("states: axis", 0);
    const cut = (from: number, to: number, output: string) =>
      makeNode(
        "Slice",
        [all, list(`states: from ${from}`, from), list(`states: to ${to}`, to), axes],
        [output],
      );
    const start = initial
      ? [makeNode("Unsqueeze", [initial, axes], [first])]
      : // Zeros of the right shape: a step less itself.
        [cut(0, 1, `${r} one`), makeNode("Sub", [`${r} one`, `${r} one`], [first])];
    const steps = isReverse ? cut(1, LAST, late) : cut(0, -1, late);
    const order = isReverse ? [late, first] : [first, late];
    products.set(copy, { weight: w, input: x });
    products.set(node, { weight: r, input: before });
    copies.add(copy);
    return [copy, ...start, steps, makeNode("Concat", order, [before], { axis: 0 }), node];
  });
  return { ...graph, nodes, constants, products, copies };
}

const LAST = 2 ** 31 - 1;

function isOneWay(node: OnnxNode): boolean {
  return (
    node.domain === "" &&
    ["LSTM", "GRU", "RNN"].includes(node.opType) &&
    textOf(node, "direction") !== "bidirectional" &&
    // Steps outermost.
    intOf(node, "layout", 0) === 0
  );
}
