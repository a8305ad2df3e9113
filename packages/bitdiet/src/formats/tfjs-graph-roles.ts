/**
 * What TensorFlow's operations do with their inputs, as far as it tells what a weight is for.
 * https://www.tensorflow.org/api_docs/python/tf/raw_ops
 */
import { fakeQuantGrid } from "./grid.js";
import { concatenated, inserted, permuted, reshaped, unmoved, withoutOnes } from "./moved.js";
import {
  besideProduct,
  einsumRoles,
  exact,
  type Inputs as InputsOf,
  last,
  lastButOne,
  normalization,
  productsOf,
  vector,
  weight,
} from "./roles.js";
import { lookUp, type Operation, type Role, type Roles } from "./use.js";

export interface Node {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, Attribute | undefined>;
}
interface Attribute {
  b?: boolean;
  s?: string;
  i?: string | number;
  type?: string | number;
  list?: { i?: (string | number)[] };
  func?: { name?: string };
}
export interface GraphOperation extends Operation {
  node?: Node;
}

type Inputs = InputsOf<GraphOperation>;

const isTrue = (node: Node | undefined, ...keys: string[]) =>
  keys.some((key) => node?.attr?.[key]?.b === true);
const conv: Inputs = () => [
  undefined,
  { ...weight("kernel", last), isConvolution: true },
  vector("bias"),
  vector("slope"),
];
const depthwise: Inputs = () => [
  undefined,
  { kind: "depthwise", as: "depthwise kernel", axis: lastButOne, isConvolution: true, data: 0 },
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

/** What gives products. */
const kernels = /* @__PURE__ */ new Set<Inputs | undefined>([conv, matMul, depthwise, transposed]);

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

export function contextOf(
  operations: readonly GraphOperation[],
  constants: ReadonlyMap<string, string>,
  numbers: ReadonlyMap<string, readonly number[]>,
): Context {
  const users = new Map<string, GraphOperation[]>();
  for (const operation of operations)
    for (const value of operation.inputs) {
      const known = users.get(value);
      if (known) known.push(operation);
      else users.set(value, [operation]);
    }
  const isProduct = productsOf(operations, {
    isProduct: ({ op }) => kernels.has(lookUp(byOperation, op)),
    isMoved: () => false,
    isConstant: (value) => constants.has(value),
  });
  return {
    isConstant: (value) => constants.has(value),
    numbers: (value) => numbers.get(constants.get(value ?? "") ?? ""),
    isProduct,
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
  const added = besideProduct(isProduct);
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
      const axes: unknown = node?.attr?.["squeeze_dims"]?.list?.i;
      return [withoutOnes(Array.isArray(axes) && axes.length > 0 ? axes.map(Number) : undefined)];
    },
    Reshape: ({ inputs }) => [reshaped((shape) => filledShape(numbers(inputs[1]), shape))],
    Split: ({ outputs }) => [undefined, cut({ op: "", label: "", inputs: [], outputs }, undefined)[0]],
    // TF.js runs it as Identity: weights are rounded already, or were to be.
    FakeQuantWithMinMaxVars: ({ node, inputs }) => {
      const [[min] = [], [max] = []] = [numbers(inputs[1]), numbers(inputs[2])];
      const bits = Number(node?.attr?.["num_bits"]?.i ?? 8);
      const isNarrow = isTrue(node, "narrow_range");
      const grid = fakeQuantGrid({ min, max, bits, isNarrow });
      return [{ ...unmoved, ...(grid && { grid: { grid } }) }];
    },
    ConcatV2: ({ inputs }) => inputs.map((_, i) => (i + 1 < inputs.length ? concatenated : undefined)),
  };
}

export function graphRoles(context: Context): Roles<GraphOperation> {
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
