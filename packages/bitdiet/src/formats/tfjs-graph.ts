/**
 * Uses of the weights in a graph model of TF.js: its nodes, those of its functions beside them, and what each operation does.
 * https://www.tensorflow.org/js/guide/conversion
 *
 *     const useOf = graphUses(topology, new Map([["axes", [1, 2]]]));
 *     useOf("conv/kernel", [3, 3, 3, 16]); // { kind: "weight", channelAxis: 3, reason: "kernel of Conv2D conv" }
 */
import type { TensorUse } from "../model.js";
import { asObject, asString } from "./files.js";
import { concatenated, inserted, permuted, reshaped, unmoved, withoutOnes } from "./moved.js";
import {
  einsumRoles,
  type KnownShape,
  lookUp,
  type Operation,
  type Role,
  type Roles,
  usesIn,
} from "./use.js";

interface Node {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, Attribute | undefined>;
}
interface Attribute {
  b?: boolean;
  s?: string;
  type?: string | number;
  list?: { i?: (string | number)[] };
  func?: { name?: string };
}
interface FunctionDef {
  name: string;
  /** Names of arguments, and of results. */
  inputs: string[];
  outputs: string[];
  nodes: Node[];
  /** Values of results. */
  returned: ReadonlyMap<string, string>;
}
interface GraphOperation extends Operation {
  node?: Node;
}

/** @param numbers values of small weights of whole numbers: axes, permutations, shapes */
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

const exact: Role = { kind: "exact", as: "operand" };
const vector = (as: string): Role => ({ kind: "vector", as });
const last = (shape: KnownShape) => shape && shape.length - 1;
const lastButOne = (shape: KnownShape) => shape && Math.max(0, shape.length - 2);
const weight = (as: string, axis: (shape: KnownShape) => number | undefined, data = 0): Role => ({
  kind: "weight",
  as,
  axis,
  data,
});
type Inputs = (operation: GraphOperation, shape: KnownShape) => readonly (Role | undefined)[];

const isTrue = (node: Node | undefined, ...keys: string[]) =>
  keys.some((key) => node?.attr?.[key]?.b === true);
const conv: Inputs = () => [undefined, weight("kernel", last), vector("bias"), vector("slope")];
const depthwise: Inputs = () => [
  undefined,
  { kind: "depthwise", as: "depthwise kernel", axis: lastButOne, data: 0 },
  vector("bias"),
  vector("slope"),
];
const transposed: Inputs = () => [undefined, weight("kernel", lastButOne, 2)];
const matMul: Inputs = ({ node }) => [
  weight("matrix", isTrue(node, "transpose_a", "adj_x") ? last : lastButOne, 1),
  weight("matrix", isTrue(node, "transpose_b", "adj_y") ? lastButOne : last),
  vector("bias"),
  vector("slope"),
];
const normalization: Inputs = () => [
  undefined,
  vector("scale"),
  vector("shift"),
  vector("mean"),
  vector("variance"),
];
const moved: Inputs = ({ outputs }) => [{ ...unmoved, outputs: outputs.map((_, i) => i) }];
const cut: Inputs = ({ outputs }) => [
  { ...unmoved, outputs: outputs.map((_, i) => i), forward: () => undefined },
];

const byOperation: Record<string, Inputs> = {
  Conv1D: conv,
  Conv2D: conv,
  Conv3D: conv,
  _FusedConv2D: conv,
  FusedConv2D: conv,
  DepthwiseConv2d: depthwise,
  DepthwiseConv2dNative: depthwise,
  FusedDepthwiseConv2dNative: depthwise,
  Conv2DBackpropInput: transposed,
  Conv3DBackpropInputV2: transposed,
  MatMul: matMul,
  _FusedMatMul: matMul,
  BatchMatMul: matMul,
  BatchMatMulV2: matMul,
  BatchMatMulV3: matMul,
  Einsum: ({ node }) => einsumRoles(text(node?.attr?.["equation"]?.s)),
  FusedBatchNorm: normalization,
  FusedBatchNormV2: normalization,
  FusedBatchNormV3: normalization,
  BiasAdd: () => [undefined, vector("bias")],
  Identity: moved,
  IdentityN: ({ inputs }) => inputs.map((_, i): Role => ({ ...unmoved, outputs: [i] })),
  Enter: moved,
  Exit: moved,
  Merge: ({ inputs }) => inputs.map(() => unmoved),
  Switch: moved,
  NextIteration: moved,
  StridedSlice: cut,
  Slice: cut,
  SplitV: cut,
  Shape: () => [{ kind: "ignored" }],
  Size: () => [{ kind: "ignored" }],
  Rank: () => [{ kind: "ignored" }],
};

// Calls that are marked so are left out of bundles that only load models.
const words = (text: string) => new Set(text.split(" "));
const linear = /* @__PURE__ */ words(
  "Conv1D Conv2D MatMul BatchMatMul BatchMatMulV2 Add AddV2 Sub Mul Neg RealDiv Div DivNoNan Identity Cast Transpose Reshape Squeeze " +
    "ExpandDims Slice StridedSlice Split SplitV ConcatV2 Pack Unpack Pad PadV2 MirrorPad GatherV2 Sum Mean AvgPool Const Shape Range",
);
const centring = /* @__PURE__ */ words("Sub Mean");
const magnitudes = /* @__PURE__ */ words("Abs ComplexAbs Square Sqrt SquaredDifference Atan2 RFFT");

/** Scales one after another that a bias may stand behind. */
const MAX_FACTORS = 4;

/** What constants and the other operations of a graph tell of a value or an operation. */
interface Context {
  isConstant(value: string): boolean;
  /** Numbers of a small constant. */
  numbers(value: string | undefined): readonly number[] | undefined;
  /** Whether a value is what a matrix or a kernel gives, scaled perhaps. */
  isProduct(value: string): boolean;
  /** Whether what an operation gives becomes indices. */
  becomesIndex(operation: GraphOperation): boolean;
}

function contextOf(
  operations: readonly GraphOperation[],
  constants: ReadonlyMap<string, string>,
  numbers: ReadonlyMap<string, readonly number[]>,
): Context {
  const makers = new Map(operations.flatMap((operation) => operation.outputs.map((out) => [out, operation])));
  const users = new Map<string, GraphOperation[]>();
  for (const operation of operations)
    for (const value of operation.inputs) {
      const known = users.get(value);
      if (known) known.push(operation);
      else users.set(value, [operation]);
    }
  const isProduct = (value: string, depth = 0): boolean => {
    const maker = makers.get(value);
    if (maker?.op === "Mul" && depth < MAX_FACTORS)
      return maker.inputs.some(
        (input, i) => constants.has(input) && isProduct(maker.inputs[1 - i], depth + 1),
      );
    const inputs = lookUp(byOperation, maker?.op ?? "");
    return inputs === conv || inputs === matMul || inputs === depthwise || inputs === transposed;
  };
  return {
    isConstant: (value) => constants.has(value),
    numbers: (value) => numbers.get(constants.get(value ?? "") ?? ""),
    isProduct: (value) => isProduct(value),
    becomesIndex: ({ outputs }) =>
      outputs.some((output) =>
        users.get(output)?.some(({ op, node }) => op === "Cast" && !isFloatType(node?.attr?.["DstT"]?.type)),
      ),
  };
}

/** Type of floats, by its name or its number. */
const isFloatType = (type: unknown) => /FLOAT|HALF|DOUBLE/.test(String(type)) || type === 1 || type === 19;

/** Roles of inputs that more than their own operation tells. */
function rolesInContext({ isConstant, numbers, isProduct, becomesIndex }: Context): Record<string, Inputs> {
  const added: Inputs = ({ inputs }, shape) =>
    inputs.map((_, i) =>
      shape && shape.filter((extent) => extent > 1).length <= 1 && isProduct(inputs[1 - i])
        ? vector("bias or scale")
        : undefined,
    );
  const table: Inputs = (operation, shape) => {
    const [, index, axis] = operation.inputs;
    const isTable = shape?.length === 2 && !isConstant(index) && (numbers(axis)?.[0] ?? 0) === 0;
    return [
      isTable && !becomesIndex(operation) ? { kind: "embedding", as: "table", axis: () => 0 } : undefined,
    ];
  };
  return {
    Add: added,
    AddV2: added,
    Mul: added,
    Gather: table,
    GatherV2: table,
    ResourceGather: table,
    Cast: ({ node }) => [isFloatType(node?.attr?.["DstT"]?.type ?? "FLOAT") ? unmoved : undefined],
    Transpose: ({ inputs }) => [permuted(numbers(inputs[1]))],
    ExpandDims: ({ inputs }) => [inserted(numbers(inputs[1]))],
    Squeeze: ({ node }) => {
      const axes = listed(node?.attr?.["squeeze_dims"]?.list?.i).map(Number);
      return [withoutOnes(axes.length > 0 ? axes : undefined)];
    },
    Reshape: ({ inputs }) => [reshaped((shape) => filledShape(numbers(inputs[1]), shape))],
    Split: ({ outputs }) => [undefined, cut({ op: "", label: "", inputs: [], outputs }, undefined)[0]],
    ConcatV2: ({ inputs }) => inputs.map((_, i) => (i + 1 < inputs.length ? concatenated : undefined)),
  };
}

function graphRoles(context: Context): Roles<GraphOperation> {
  const others = rolesInContext(context);
  return {
    roleOf: (operation, input, shape) =>
      (lookUp(others, operation.op) ?? lookUp(byOperation, operation.op))?.(operation, shape)[input] ?? exact,
    isLinear: ({ op }) => linear.has(op),
    isCarried: ({ op }) => linear.has(op) && !centring.has(op),
    isMagnitude: ({ op, inputs }) => magnitudes.has(op) || (op === "Mul" && inputs[0] === inputs[1]),
    isLogarithm: ({ op }) => op === "Log" || op === "Log1p",
    isClipped: ({ op }) => op === "Maximum" || op === "ClipByValue" || op === "Relu",
  };
}

/** A shape whose -1 is what the others leave. */
function filledShape(wanted: readonly number[] | undefined, shape: readonly number[]): number[] | undefined {
  const known = wanted?.reduce((a, b) => (b === -1 ? a : a * b), 1) ?? 1;
  const count = shape.reduce((a, b) => a * b, 1);
  return wanted?.map((extent) => (extent === -1 ? count / known : extent));
}

/** Strings of a graph are in base64, or in clear. */
function text(value: unknown): string {
  const given = typeof value === "string" ? value : "";
  try {
    return given.includes(">") ? given : atob(given);
  } catch {
    return given;
  }
}
