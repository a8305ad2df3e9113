/**
 * What ONNX's operations do with their inputs, as far as it tells what a tensor is for.
 * https://onnx.ai/onnx/operators
 */
import { linearGrid } from "../grid.js";
import { concatenated, inserted, permuted, reshaped, unmoved, withoutOnes } from "../moved.js";
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
} from "../roles.js";
import { type KnownShape, lookUp, type Role, type Roles, type WeightRole } from "../use.js";
import type { FlatModel, OnnxConstant, OnnxOperation } from "./flat.js";
import type { OnnxNode } from "./graph.js";
import { inlineData } from "./tensor.js";

const ignored: Role = { kind: "ignored" };
const embedding = (as: string, axis = 0): Role => ({ kind: "embedding", as, axis: () => axis });
const first = () => 0;
const second = () => 1;
const int = (node: OnnxNode | undefined, name: string) => node?.attributes.get(name)?.i ?? 0;

type Inputs = InputsOf<OnnxOperation>;

const recurrent: Inputs = () => [
  undefined,
  weight("input weights", second),
  weight("recurrent weights", second, -1),
  vector("bias"),
];
const kernelRole = (axis: () => number, node: OnnxNode | undefined, shape: KnownShape): WeightRole => {
  const isDepthwise = int(node, "group") > 1 && shape?.[1] === 1;
  return isDepthwise
    ? { kind: "depthwise", as: "depthwise kernel", axis: first, data: 0 }
    : weight("kernel", axis);
};
const conv: Inputs = ({ node }, shape) => [
  undefined,
  { ...kernelRole(first, node, shape), isConvolution: true },
  vector("bias"),
];
const gemm: Inputs = ({ node }) => [
  weight("matrix", int(node, "transA") ? second : first, 1),
  weight("matrix", int(node, "transB") ? first : second),
  vector("bias"),
];
const matMul: Inputs = ({ node }) => [
  weight("matrix", int(node, "transA") ? last : lastButOne, 1),
  weight("matrix", int(node, "transB") ? lastButOne : last),
];
const two = [undefined, undefined];
const three = [...two, undefined];
/** A matrix of [output channels, blocks, bytes of a block], where a byte holds several integers. */
const blocks = (node: OnnxNode | undefined): Role => ({
  kind: "weight",
  as: "matrix of blocks",
  axis: first,
  width: node?.attributes.get("bits")?.i ?? 4,
});
const like =
  (role: Role): Inputs =>
  () => [role];

const byOperation: Record<string, Inputs> = {
  Conv: conv,
  FusedConv: conv,
  NhwcFusedConv: conv,
  ConvTranspose: ({ node }, shape) => [undefined, kernelRole(second, node, shape), vector("bias")],
  DeformConv: () => [undefined, weight("kernel", first), undefined, vector("bias")],
  Gemm: gemm,
  FusedGemm: gemm,
  MatMul: matMul,
  FusedMatMul: matMul,
  ConvInteger: conv,
  QLinearConv: ({ node }, shape) => [...three, kernelRole(first, node, shape)],
  QLinearMatMul: () => [weight("matrix", lastButOne, 3), ...two, weight("matrix", last)],
  MatMulInteger: matMul,
  MatMulIntegerToFloat: matMul,
  DynamicQuantizeMatMul: matMul,
  QGemm: ({ node }) => [...three, weight("matrix", int(node, "transB") ? first : second)],
  QAttention: () => [undefined, weight("matrix", last)],
  DynamicQuantizeLSTM: () => [
    undefined,
    weight("input weights", last),
    weight("recurrent weights", last, -1),
  ],
  MatMulNBits: ({ node }) => [undefined, blocks(node)],
  GatherBlockQuantized: ({ node }) => [blocks(node)],
  Einsum: ({ node }) => einsumRoles(node?.attributes.get("equation")?.s ?? ""),
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  /** That of com.microsoft: ONNX's own has no weights. */
  Attention: ({ node }) => (node?.domain ? [undefined, weight("matrix", last), vector("bias")] : []),
  EmbedLayerNormalization: () => [
    undefined,
    undefined,
    ...["words", "positions", "segments"].map((of) => embedding(`table of ${of}`)),
    vector("scale"),
    vector("shift"),
  ],
  BatchNormalization: normalization,
  InstanceNormalization: normalization,
  GroupNormalization: normalization,
  GroupNorm: normalization,
  LayerNormalization: normalization,
  RMSNormalization: normalization,
  SimplifiedLayerNormalization: normalization,
  SkipLayerNormalization: () => [undefined, undefined, vector("scale"), vector("shift"), vector("bias")],
  SkipSimplifiedLayerNormalization: () => [undefined, undefined, vector("scale"), vector("bias")],
  Identity: like(unmoved),
  Cast: ({ node }) => [isFloatType(int(node, "to")) ? unmoved : undefined],
  CastLike: () => [unmoved, ignored],
  DequantizeLinear: like(unmoved),
  Transpose: ({ node }, shape) => {
    const order = node?.attributes.get("perm")?.ints ?? [];
    return [permuted(order.length > 0 ? order : shape?.map((_, i) => shape.length - 1 - i))];
  },
  Slice: like({ ...unmoved, forward: () => undefined }),
  Expand: like({ ...unmoved, forward: () => undefined }),
  Split: ({ outputs }) => [{ ...unmoved, outputs: outputs.map((_, i) => i), forward: () => undefined }],
  Flatten: ({ node }) => [
    reshaped((shape) => {
      const axis = node?.attributes.get("axis")?.i ?? 1;
      const count = (extents: readonly number[]) => extents.reduce((a, b) => a * b, 1);
      return [count(shape.slice(0, axis)), count(shape.slice(axis))];
    }),
  ],
  Shape: like(ignored),
  Size: like(ignored),
};

/** TensorProto.DataType of floats. */
const isFloatType = (type: number) => [1, 10, 11, 16].includes(type);

/** Operations that are linear in what is no constant, or move numbers. */
const linear = new Set(
  (
    "Conv MatMul Gemm Add Sub Mul Div Neg Identity Cast Transpose Reshape Squeeze Unsqueeze Flatten Slice Split Concat Pad Gather " +
    "ReduceSum ReduceMean Sum Expand Resize AveragePool Constant ConstantOfShape Shape Range Where Equal Floor"
  ).split(" "),
);
const magnitudes = new Set("Abs Sqrt Square ReduceL2 ReduceSumSquare ReduceL1 STFT DFT Atan".split(" "));

const moves = new Set(["Reshape", "Transpose", "Squeeze", "Identity", "Cast"]);
const products = new Set(["MatMul", "FusedMatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"]);

/** What constants and the other operations of a model tell of a value or an operation. */
interface Context {
  /** Numbers of a small constant. */
  numbers(value: string | undefined): number[] | undefined;
  dtypeOf(value: string | undefined): string | undefined;
  /** Whether a value is what a matrix or a kernel gives, moved or scaled perhaps. */
  isProduct(value: string): boolean;
  /** Whether what is looked up always is, or becomes indices. */
  isIndexed(operation: OnnxOperation): boolean;
}

function contextOf({ operations, constants }: FlatModel): Context {
  const byValue = new Map(constants.map((constant) => [constant.value ?? "", constant]));
  const users = new Map<string, OnnxOperation[]>();
  for (const operation of operations)
    for (const value of operation.inputs) users.set(value, [...(users.get(value) ?? []), operation]);
  const isProduct = productsOf(operations, {
    isProduct: ({ op }) => products.has(op),
    isMoved: ({ op }) => moves.has(op),
    isConstant: (value) => byValue.has(value),
  });
  return {
    numbers: (value) => numbersOf(byValue.get(value ?? "")),
    dtypeOf: (value) => byValue.get(value ?? "")?.dtype,
    isProduct,
    isIndexed: ({ inputs, outputs }) =>
      byValue.has(inputs[1]) ||
      (users.get(outputs[0]) ?? []).some(({ op, node }) => op === "Cast" && !isFloatType(int(node, "to"))),
  };
}

function numbersOf(constant: OnnxConstant | undefined): number[] | undefined {
  const data = constant?.tensor && inlineData(constant.tensor)?.bytes.slice().buffer;
  if (!data) return undefined;
  if (constant.dtype === "int64") return [...new BigInt64Array(data)].map(Number);
  const arrays = {
    int32: Int32Array,
    int16: Int16Array,
    uint16: Uint16Array,
    int8: Int8Array,
    uint8: Uint8Array,
    float32: Float32Array,
  };
  const Numbers = lookUp(arrays, constant.dtype ?? "");
  return Numbers && [...new Numbers(data)];
}

/** Roles of inputs that more than their own operation tells. */
function rolesInContext({ numbers, dtypeOf, isProduct, isIndexed }: Context): Record<string, Inputs> {
  const scaled = besideProduct(isProduct);
  return {
    Reshape: ({ inputs }) => [
      reshaped((shape) => {
        const wanted = numbers(inputs[1])?.map((extent, i) => (extent === 0 ? shape[i] : extent));
        const known = wanted?.reduce((a, b) => (b === -1 ? a : a * b), 1) ?? 1;
        const count = shape.reduce((a, b) => a * b, 1);
        return wanted?.map((extent) => (extent === -1 ? count / known : extent));
      }),
    ],
    Squeeze: ({ node, inputs }) => [withoutOnes(node?.attributes.get("axes")?.ints ?? numbers(inputs[1]))],
    Unsqueeze: ({ node, inputs }) => [inserted(node?.attributes.get("axes")?.ints ?? numbers(inputs[1]))],
    Concat: ({ inputs }) => inputs.map(() => concatenated),
    // Numbers that are looked up by what comes in are a table; those that always are, or become indices, are needed as they are.
    Gather: (operation, shape) => [
      shape?.length === 2 && int(operation.node, "axis") === 0 && !isIndexed(operation)
        ? embedding("table")
        : undefined,
    ],
    QuantizeLinear: ({ node, inputs: [, scale, zero] }, shape) => {
      const scales = numbers(scale) ?? [];
      const grid = linearGrid(scales, numbers(zero) ?? [], zero ? (dtypeOf(zero) ?? "") : "uint8");
      const axis = node?.attributes.get("axis")?.i ?? 1;
      const along = { axis: axis < 0 ? axis + (shape?.length ?? 0) : axis };
      return [{ ...unmoved, ...(grid && { grid: { grid, ...(scales.length > 1 && along) } }) }];
    },
    Add: scaled,
    Mul: scaled,
  };
}

/** Roles of inputs in the operations of a model, whose constants tell shapes and exponents. */
export function onnxRoles(model: FlatModel): Roles<OnnxOperation> {
  const context = contextOf(model);
  const others = rolesInContext(context);
  return {
    roleOf: (operation, input, shape) => {
      const inputs = lookUp(others, operation.op) ?? lookUp(byOperation, operation.op);
      return inputs?.(operation, shape)[input] ?? exact;
    },
    isLinear: ({ op }) => linear.has(op),
    isCarried: ({ op }) => linear.has(op) && op !== "Sub" && op !== "ReduceMean",
    isMagnitude: ({ op, inputs }) =>
      magnitudes.has(op) ||
      (op === "Pow" && context.numbers(inputs[1])?.[0] === 2) ||
      (op === "Mul" && inputs[0] === inputs[1]),
    isLogarithm: ({ op }) => op === "Log",
    isClipped: ({ op }) => op === "Clip" || op === "Max" || op === "Relu",
  };
}
