import { expect, test } from "vitest";
import type { Dtype } from "../../../src/model.js";
import { BACKWARD_MODEL, backwardOf } from "../../../src/networks/onnx/backward.js";
import {
  type Constant,
  floatConstant,
  int64Constant,
  makeNode,
  type OnnxNode,
} from "../../../src/networks/onnx/graph.js";
import { layersOf } from "../../../src/networks/onnx/layers.js";
import { loadPiece } from "../../../src/networks/onnx/piece.js";
import { normals } from "../../formats/small-models.js";
import { graphOf, runGraph, runtime, tensor } from "./small-graphs.js";

/** What comes between a layer's output z, of this shape, and the network's output y. */
interface Case {
  title: string;
  shape: number[];
  nodes: OnnxNode[];
  constants?: Record<string, Constant>;
  opset?: number;
}

const one = (
  op: string,
  shape: number[],
  attributes = {},
  more: Record<string, Constant> = {},
  opset = 13,
): Case => ({
  title: [op, ...Object.keys(attributes), ...Object.keys(more), opset].join(" "),
  shape,
  nodes: [makeNode(op, ["z", ...Object.keys(more)], ["y"], attributes)],
  constants: more,
  opset,
});
const chain = (
  title: string,
  shape: number[],
  nodes: OnnxNode[],
  constants: Record<string, Constant> = {},
): Case => ({
  title,
  shape,
  nodes,
  constants,
});
const w = (shape: number[], seed = 9) =>
  floatConstant(
    normals(
      shape.reduce((a, b) => a * b, 1),
      seed,
      0.5,
    ),
    shape,
  );
const ints = (...values: number[]) => int64Constant(values);
const flat = [2, 3];
const image = [1, 2, 4, 6];
const alpha = (value: number) => ({ alpha: Float32Array.of(value) });

const resized = (height: number, width: number, attributes: Record<string, string>, place: string): Case => ({
  title: ["Resize to", height, width, ...Object.values(attributes), place].join(" "),
  shape: image,
  nodes: [
    makeNode("Resize", ["z", "", "", "sizes"], ["y"], {
      ...attributes,
      coordinate_transformation_mode: place,
    }),
  ],
  constants: { sizes: ints(1, 2, height, width) },
});

const cases: Case[] = [
  ...[
    "Relu",
    "Sigmoid",
    "Tanh",
    "Exp",
    "Neg",
    "Abs",
    "Softplus",
    "Erf",
    "Identity",
    "HardSigmoid",
    "Reciprocal",
  ].map((op) => one(op, flat)),
  one("HardSwish", flat, {}, {}, 14),
  one("LeakyRelu", flat, alpha(0.2)),
  one("PRelu", flat, {}, { slope: w([3]) }),
  one(
    "Clip",
    flat,
    {},
    { low: floatConstant(Float32Array.of(-0.5), []), high: floatConstant(Float32Array.of(0.4), []) },
  ),
  chain("square roots and logarithms", flat, [
    makeNode("Mul", ["z", "z"], ["a"]),
    makeNode("Sqrt", ["a"], ["b"]),
    makeNode("Add", ["a", "b"], ["c"]),
    makeNode("Log", ["c"], ["y"]),
  ]),
  chain("sums and products with what is broadcast, from both sides", flat, [
    makeNode("ReduceMean", ["z"], ["m"], { axes: [0], keepdims: 1 }),
    makeNode("Sub", ["z", "m"], ["a"]),
    makeNode("Sub", ["m", "a"], ["b"]),
    makeNode("Mul", ["m", "b"], ["c"]),
    makeNode("Exp", ["m"], ["e"]),
    makeNode("Div", ["c", "e"], ["f"]),
    makeNode("Div", ["e", "f"], ["g"]),
    makeNode("Add", ["g", "m"], ["y"]),
  ]),
  chain(
    "a layer norm in pieces",
    flat,
    [
      makeNode("ReduceMean", ["z"], ["m"], { axes: [-1], keepdims: 1 }),
      makeNode("Sub", ["z", "m"], ["d"]),
      makeNode("Pow", ["d", "two"], ["q"]),
      makeNode("ReduceMean", ["q"], ["v"], { axes: [-1], keepdims: 1 }),
      makeNode("Add", ["v", "eps"], ["e"]),
      makeNode("Sqrt", ["e"], ["s"]),
      makeNode("Div", ["d", "s"], ["y"]),
    ],
    { two: floatConstant(Float32Array.of(2), []), eps: floatConstant(Float32Array.of(0.1), []) },
  ),
  chain(
    "Where",
    flat,
    [
      makeNode("Greater", ["z", "zero"], ["c"]),
      makeNode("Exp", ["z"], ["e"]),
      makeNode("Where", ["c", "e", "z"], ["y"]),
    ],
    { zero: floatConstant(Float32Array.of(0), []) },
  ),
  one("LayerNormalization", flat, {}, { scale: w([3]), shift: w([3], 8) }, 17),
  one(
    "BatchNormalization",
    image,
    {},
    {
      scale: w([2]),
      shift: w([2], 8),
      mean: w([2], 7),
      variance: floatConstant(Float32Array.of(0.5, 2), [2]),
    },
  ),
  one("Softmax", [2, 2, 3], { axis: -1 }),
  one("Softmax", [2, 2, 3], { axis: 1 }, {}, 11),
  one("Softmax", [2, 2, 3], { axis: 1 }),
  chain(
    "attention: products of what both depend on the layer",
    [2, 2, 3],
    [
      makeNode("Transpose", ["z"], ["t"], { perm: [0, 2, 1] }),
      makeNode("MatMul", ["z", "t"], ["s"]),
      makeNode("Softmax", ["s"], ["p"], { axis: -1 }),
      makeNode("MatMul", ["p", "z"], ["y"]),
    ],
  ),
  chain(
    "a product with a matrix that is broadcast",
    [2, 2, 3],
    [
      makeNode("ReduceMean", ["z"], ["m"], { axes: [0], keepdims: 0 }),
      makeNode("Transpose", ["m"], ["t"], { perm: [1, 0] }),
      makeNode("MatMul", ["z", "t"], ["y"]),
    ],
  ),
  ...[
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ].map(([transA, transB]) =>
    one(
      "Gemm",
      flat,
      { transA, transB, ...alpha(1.5) },
      {
        b: transB ? w([4, transA ? 2 : 3]) : w([transA ? 2 : 3, 4]),
      },
    ),
  ),
  one("Conv", image, { strides: [2, 3], pads: [1, 0, 2, 1], dilations: [1, 2] }, { k: w([3, 2, 2, 2]) }),
  one("Conv", image, { group: 2, auto_pad: "SAME_UPPER", strides: [2, 2] }, { k: w([4, 1, 3, 3]) }),
  one(
    "ConvTranspose",
    image,
    { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 0] },
    { k: w([2, 3, 3, 3]) },
  ),
  one("MaxPool", image, { kernel_shape: [2, 2], strides: [2, 2] }),
  one("MaxPool", image, { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] }, {}, 11),
  one("AveragePool", image, { kernel_shape: [2, 2], strides: [2, 2] }),
  one("AveragePool", image, { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] }),
  one("AveragePool", image, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
  one("GlobalAveragePool", image),
  one("ReduceMean", image, { axes: [1, -1], keepdims: 0 }),
  one("ReduceSum", image, { keepdims: 1 }, { axes: ints(2) }),
  ...["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"].flatMap((nearest_mode) =>
    ["asymmetric", "half_pixel"].map((place) => resized(7, 9, { mode: "nearest", nearest_mode }, place)),
  ),
  resized(8, 18, { mode: "nearest", nearest_mode: "floor" }, "asymmetric"),
  ...["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"].flatMap((place) => [
    resized(8, 9, { mode: "linear" }, place),
    resized(3, 1, { mode: "linear" }, place),
  ]),
  one("Transpose", image, { perm: [2, 0, 3, 1] }),
  one("Reshape", image, {}, { to: ints(4, -1) }),
  one("Flatten", image),
  one("Unsqueeze", image, {}, { axes: ints(0) }),
  one("Squeeze", image, {}, { axes: ints(0) }),
  one("Expand", [1, 3], {}, { to: ints(2, 4, 3) }),
  one("Slice", image, {}, { starts: ints(1, -5), ends: ints(3, 1000), axes: ints(2, 3) }),
  one("Slice", image, { starts: [1], ends: [2], axes: [1] }, {}, 9),
  one("Pad", image, {}, { pads: ints(0, 0, 1, 0, 0, 1, 0, 2) }),
  one("Gather", image, { axis: 2 }, { index: int64Constant([1], []) }),
  chain(
    "parts that are put together in another order, one twice and one not at all",
    image,
    [
      makeNode("Split", ["z", "sizes"], ["a", "b", "c"], { axis: 3 }),
      makeNode("Concat", ["c", "a", "c"], ["y"], { axis: 1 }),
    ],
    { sizes: ints(2, 2, 2) },
  ),
];

/** A layer whose output z is one position alone: its gradient then has one square a number. */
function networkOf({ shape, nodes, constants, opset }: Case, shift?: Float32Array) {
  const size = shape.reduce((a, b) => a * b, 1);
  const bias = normals(size, 11, 0.6).map((b, i) => b + (shift?.[i] ?? 0));
  return graphOf(
    [makeNode("Gemm", ["x", "w", "bias"], ["row"]), makeNode("Reshape", ["row", "shape"], ["z"]), ...nodes],
    {
      w: floatConstant(normals(4 * size, 12, 0.5), [4, size]),
      bias: floatConstant(bias, [size]),
      shape: ints(...shape),
      ...constants,
    },
    [1, 4],
    opset,
  );
}

test.each(cases)("gradients through $title agree with finite differences", async (given) => {
  const x = tensor([1, 4], 13);
  const graph = networkOf(given);
  const layers = layersOf(graph).slice(0, 1);
  expect(layers[0].bias).toBe("bias");
  const shapes = new Map<string, readonly number[]>([["x", x.shape]]);
  for (const { outputs } of graph.nodes)
    for (const name of outputs) shapes.set(name, (await runGraph(graph, x, name)).shape);
  const seed = tensor(shapes.get("y")!, 14);
  const { nodes, constants, takes, squares } = backwardOf(graph, layers, shapes, new Map([["y", "seed"]]));
  const types = new Map<string, Dtype>([...takes, "seed"].map((name) => [name, "float32"]));
  for (const name of takes) types.set(name, (await runGraph(graph, x, name)).dtype);
  const piece = await loadPiece(runtime, BACKWARD_MODEL, nodes, constants, types, [squares[0]!]);
  const values = await Promise.all(takes.map((name) => runGraph(graph, x, name)));
  const [found] = await piece.run([...values, seed]);
  await piece.release();
  const size = layers[0].rows;
  const projected = async (i: number, by: number) => {
    const shift = new Float32Array(size);
    shift[i] = by;
    const y = (await runGraph(networkOf(given, shift), x)).data as Float32Array;
    return y.reduce((sum, v, k) => sum + v * seed.data[k], 0);
  };
  const by = 2 ** -7;
  for (let i = 0; i < size; i += Math.max(1, Math.floor(size / 6))) {
    const slope = ((await projected(i, by)) - (await projected(i, -by))) / (2 * by);
    const gradient = Math.sqrt((found.data as Float32Array)[i]);
    expect(Math.abs(gradient - Math.abs(slope))).toBeLessThan(0.004 * (1 + Math.abs(slope)));
  }
});

test("a layer whose gradient cannot be known is left out, and those after it are not", () => {
  const graph = graphOf(
    [
      makeNode("Gemm", ["x", "w1"], ["a"]),
      makeNode("Cumulative", ["a"], ["b"]),
      makeNode("Add", ["a", "b"], ["c"]),
      makeNode("Gemm", ["c", "w2"], ["y"]),
    ],
    { w1: w([4, 4]), w2: w([4, 4], 8) },
    [1, 4],
  );
  const shapes = new Map(["x", "a", "b", "c", "y"].map((name) => [name, [1, 4]]));
  const { squares } = backwardOf(graph, layersOf(graph), shapes, new Map([["y", "seed"]]));
  expect(squares.map((name) => name === undefined)).toEqual([true, false]);
});
