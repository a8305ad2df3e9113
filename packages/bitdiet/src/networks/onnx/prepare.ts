/**
 * A graph made ready for calibration, for the same outputs: `Constant` nodes, and constants that are only moved about, are in the table of
 * constants; batch norms and added biases are folded into the convolution before them; each convolution has a bias to correct.
 *
 *     Conv(x, w), BatchNormalization(…), Relu   ->   Conv(x, w', b'), Relu
 */
import type { OnnxGraph } from "../../formats/onnx/graph.js";
import {
  type CalibrationGraph,
  type Constant,
  constantOf,
  floatConstant,
  floatOf,
  floatsIn,
  int64Constant,
  intOf,
  intsOf,
  makeNode,
  numbersIn,
  type OnnxNode,
  readBy,
} from "./graph.js";

/** A graph that is being changed. */
interface Draft {
  nodes: OnnxNode[];
  constants: Map<string, Constant>;
  outputs: ReadonlySet<string>;
}

export function prepareGraph(graph: CalibrationGraph): CalibrationGraph {
  const draft: Draft = {
    nodes: [],
    constants: new Map(graph.constants),
    outputs: new Set(graph.outputs.map(({ name }) => name)),
  };
  foldConstants(graph.nodes, draft);
  foldAfterConvolutions(draft);
  draft.nodes = draft.nodes.map((node) => withBias(node, draft));
  const used = new Set(draft.nodes.flatMap(readBy));
  for (const name of draft.constants.keys())
    if (!used.has(name) && !draft.outputs.has(name)) draft.constants.delete(name);
  return { ...graph, ...draft, outputs: graph.outputs };
}

/** Takes over all nodes but those that always give the same; of an `If` whose condition is constant the branch alone. */
function foldConstants(nodes: readonly OnnxNode[], draft: Draft): void {
  const consumers = consumersOf(nodes);
  for (const node of nodes) {
    const branch = branchOf(node, draft.constants);
    if (branch) {
      for (const tensor of branch.initializers) draft.constants.set(tensor.name, constantOf(tensor));
      const results = branch.outputs.map(({ name }, i) => makeNode("Identity", [name], [node.outputs[i]]));
      foldConstants([...branch.nodes, ...results], draft);
      continue;
    }
    // What others use, too, would be in the file twice.
    const isShared = node.opType === "Transpose" && (consumers.get(node.inputs[0])?.length ?? 0) > 1;
    const isKept = isShared || draft.outputs.has(node.outputs[0]);
    const made = isKept ? undefined : foldedConstant(node, draft.constants);
    if (made) draft.constants.set(node.outputs[0], made);
    else draft.nodes.push(node);
  }
}

/** The branch that an `If` always takes; undefined where that is open, or its constants are not all at hand. */
function branchOf(node: OnnxNode, constants: ReadonlyMap<string, Constant>): OnnxGraph | undefined {
  const condition = constants.get(node.inputs[0]);
  if (node.domain !== "" || node.opType !== "If" || condition?.dtype !== "bool") return undefined;
  const branch = node.attributes.get(condition.bytes[0] === 0 ? "else_branch" : "then_branch")?.graph;
  const isWhole =
    branch?.sparseInitializers.length === 0 && branch.initializers.every(({ external }) => !external);
  return isWhole ? branch : undefined;
}

/** What a node always gives, where it depends on nothing else; undefined where it does, or is not known here. */
function foldedConstant(node: OnnxNode, constants: ReadonlyMap<string, Constant>): Constant | undefined {
  if (node.domain !== "") return undefined;
  if (node.opType === "Constant") return constantValue(node);
  const [data, second] = node.inputs.map((name) => constants.get(name));
  if (!data || node.inputs.length > (second ? 2 : 1)) return undefined;
  if (node.opType === "Identity") return data;
  if (node.opType === "Transpose")
    return transposed(data, intsOf(node, "perm") ?? data.shape.map((_, i) => -1 - i));
  if (node.opType === "Reshape" && second && intOf(node, "allowzero", 0) === 0)
    return { ...data, shape: reshaped(data.shape, numbersIn(second)) };
  return undefined;
}

/** The value of a `Constant` node, but for text and sparse tensors. */
function constantValue({ attributes }: OnnxNode): Constant | undefined {
  const [attribute] = attributes.values();
  if (attribute?.tensor) return constantOf(attribute.tensor);
  const { name, f, i, floats, ints } = attribute ?? {};
  if (name === "value_float") return floatConstant(Float32Array.of(f ?? 0), []);
  if (name === "value_int") return int64Constant([i ?? 0], []);
  if (name === "value_floats" && floats) return floatConstant(Float32Array.from(floats), [floats.length]);
  return name === "value_ints" && ints ? int64Constant(ints) : undefined;
}

function reshaped(shape: readonly number[], wanted: readonly number[]): number[] {
  const kept = wanted.map((extent, axis) => (extent === 0 ? shape[axis] : extent));
  const size = shape.reduce((a, b) => a * b, 1);
  const known = kept.reduce((a, b) => (b === -1 ? a : a * b), 1);
  return kept.map((extent) => (extent === -1 ? size / known : extent));
}

function transposed({ dtype, shape, bytes }: Constant, permutation: readonly number[]): Constant {
  const axes = permutation.map((axis) => (axis < 0 ? shape.length + axis : axis));
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const extents = axes.map((axis) => shape[axis]);
  const steps = axes.map((axis) => strides[axis]);
  const size = shape.reduce((a, b) => a * b, 1);
  const width = size === 0 ? 0 : bytes.length / size;
  const moved = new Uint8Array(bytes.length);
  const index = extents.map(() => 0);
  for (let i = 0, from = 0; i < size; i++) {
    for (let k = 0; k < width; k++) moved[i * width + k] = bytes[from * width + k];
    for (let axis = extents.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < extents[axis]) break;
      from -= steps[axis] * extents[axis];
      index[axis] = 0;
    }
  }
  return { dtype, shape: extents, bytes: moved };
}

/** Convolutions with their batch norm or added constant multiplied into weights of their own. */
function foldAfterConvolutions(draft: Draft): void {
  const consumers = consumersOf(draft.nodes);
  const gone = new Set<OnnxNode>();
  draft.nodes = draft.nodes.map((node) => {
    let folded = node;
    for (;;) {
      const [output] = folded.outputs;
      const after = consumers.get(output) ?? [];
      if (!isConvolution(folded) || after.length !== 1 || draft.outputs.has(output)) return folded;
      const next = foldedInto(folded, after[0], draft, consumers);
      if (!next) return folded;
      gone.add(after[0]);
      folded = next;
    }
  });
  draft.nodes = draft.nodes.filter((node) => !gone.has(node));
}

export function consumersOf(nodes: readonly OnnxNode[]): Map<string, OnnxNode[]> {
  const consumers = new Map<string, OnnxNode[]>();
  for (const node of nodes) {
    for (const name of new Set(readBy(node))) {
      const list = consumers.get(name);
      if (list) list.push(node);
      else consumers.set(name, [node]);
    }
  }
  return consumers;
}

function isConvolution({ opType, domain }: OnnxNode): boolean {
  return domain === "" && (opType === "Conv" || opType === "ConvTranspose");
}

/** The convolution with what comes after it; undefined if that is no map of single channels by constants. */
function foldedInto(
  node: OnnxNode,
  after: OnnxNode,
  { constants }: Draft,
  consumers: ReadonlyMap<string, readonly OnnxNode[]>,
): OnnxNode | undefined {
  const [input, weightName, biasName] = node.inputs;
  const weight = constants.get(weightName);
  const bias = biasName ? constants.get(biasName) : undefined;
  const isOwn = (name: string) => consumers.get(name)?.length === 1;
  if (
    weight?.dtype !== "float32" ||
    !isOwn(weightName) ||
    (biasName && (bias?.dtype !== "float32" || !isOwn(biasName)))
  )
    return undefined;
  const map = channelMap(after, node.outputs[0], channelsOf(node, weight), constants);
  if (!map) return undefined;
  const { factors, terms } = map;
  const rows = factors.length;
  const before = bias ? floatsIn(bias) : new Float32Array(rows);
  const newBias = `${weightName}.bias`;
  constants.set(weightName, scaledWeight(node, weight, factors));
  constants.set(
    newBias,
    floatConstant(
      before.map((b, r) => b * factors[r] + terms[r]),
      [rows],
    ),
  );
  return { ...node, inputs: [input, weightName, newBias], outputs: [after.outputs[0]] };
}

function channelsOf(node: OnnxNode, { shape }: Constant): number {
  return node.opType === "Conv" ? shape[0] : shape[1] * intOf(node, "group", 1);
}

/** y_c = factors_c x_c + terms_c, where a node is that. */
function channelMap(
  node: OnnxNode,
  input: string,
  channels: number,
  constants: ReadonlyMap<string, Constant>,
): { factors: Float64Array; terms: Float64Array } | undefined {
  const vector = (constant?: Constant) => {
    if (constant?.dtype !== "float32") return undefined;
    const values = floatsIn(constant);
    return values.length === channels ? values : undefined;
  };
  if (node.opType === "BatchNormalization" && node.inputs[0] === input && node.outputs.length === 1) {
    const [scale, shift, mean, variance] = node.inputs.slice(1).map((name) => vector(constants.get(name)));
    if (!scale || !shift || !mean || !variance) return undefined;
    const epsilon = floatOf(node, "epsilon", 1e-5);
    const factors = Float64Array.from(scale, (s, c) => s / Math.sqrt(variance[c] + epsilon));
    return { factors, terms: factors.map((factor, c) => shift[c] - factor * mean[c]) };
  }
  if (node.opType !== "Add" || node.inputs[0] === node.inputs[1]) return undefined;
  const other = constants.get(node.inputs.find((name) => name !== input) ?? "");
  const values = vector(other);
  // [1, C, 1, 1] or [C, 1, 1]: the axis of the channels is the second of the input's, and none is lost.
  const isPerChannel = other && other.shape.length >= 3 && (other.shape.length === 3 || other.shape[0] === 1);
  const channelAxis = other && other.shape.length === 3 ? 0 : 1;
  if (!values || !isPerChannel || (other.shape[channelAxis] !== channels && channels > 1)) return undefined;
  return { factors: new Float64Array(channels).fill(1), terms: Float64Array.from(values) };
}

function scaledWeight(node: OnnxNode, { shape, ...weight }: Constant, factors: Float64Array): Constant {
  const values = floatsIn({ shape, ...weight });
  if (node.opType === "Conv") {
    const columns = values.length / factors.length;
    return floatConstant(
      values.map((w, i) => w * factors[Math.floor(i / columns)]),
      shape,
    );
  }
  // [C, M / groups, kernel]: input channels of group g are together.
  const groups = intOf(node, "group", 1);
  const perGroup = shape[1];
  const kernel = shape.slice(2).reduce((a, b) => a * b, 1);
  return floatConstant(
    values.map((w, i) => {
      const group = Math.floor((Math.floor(i / (perGroup * kernel)) * groups) / shape[0]);
      return w * factors[group * perGroup + (Math.floor(i / kernel) % perGroup)];
    }),
    shape,
  );
}

/** A convolution without a bias is given one of zeros. */
function withBias(node: OnnxNode, { constants }: Draft): OnnxNode {
  const weight = constants.get(node.inputs[1]);
  if (!isConvolution(node) || weight?.dtype !== "float32" || node.inputs[2]) return node;
  const channels = channelsOf(node, weight);
  let name = `${node.inputs[1]}.bias`;
  while (constants.has(name)) name += "_";
  constants.set(name, floatConstant(new Float32Array(channels), [channels]));
  return { ...node, inputs: [...node.inputs.slice(0, 2), name] };
}
