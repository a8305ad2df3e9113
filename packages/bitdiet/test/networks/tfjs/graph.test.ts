import "@tensorflow/tfjs-backend-cpu";
import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import { tfjsProgram } from "../../../src/networks/tfjs/network.js";
import { artifactFiles, bytesOf, graphModelFiles, normals } from "../../formats/small-models.js";
import { expectSameOutputs } from "./calibration-path.js";

const float = { type: "DT_FLOAT" };
const int = { type: "DT_INT32" };
const s = (value: string) => ({ s: btoa(value) });
const i = (...values: number[]) => ({ list: { i: values.map(String) } });
const fused = (...names: string[]) => ({ list: { s: names.map((name) => btoa(name)) } });
const window = (stride: number, padding: string) => ({
  strides: i(1, stride, stride, 1),
  dilations: i(1, 1, 1, 1),
  padding: s(padding),
  data_format: s("NHWC"),
  T: float,
});
interface Node {
  name: string;
  op: string;
  input?: string[];
  attr?: object;
}
const placeholder = (name: string, shape: number[]): Node => ({
  name,
  op: "Placeholder",
  attr: { dtype: float, shape: { shape: { dim: shape.map((size) => ({ size: String(size) })) } } },
});

/** Constants are seeded normal numbers, variances above 0, or the whole numbers that are given. */
function graphOf(nodes: Node[], constants: Record<string, number[] | Int32Array>) {
  const entries = Object.entries(constants);
  const weightSpecs = entries.map(([name, value]) =>
    value instanceof Int32Array
      ? { name, shape: [value.length], dtype: "int32" as const }
      : { name, shape: value, dtype: "float32" as const },
  );
  const data = entries.map(([name, value], seed) => {
    if (value instanceof Int32Array) return value;
    const numbers = normals(
      value.reduce((a, b) => a * b, 1),
      seed + 1,
      0.3,
    );
    return name.startsWith("variance") ? numbers.map((v) => v * v + 0.5) : numbers;
  });
  const constant = ({ name, shape, dtype }: (typeof weightSpecs)[number]) => ({
    name,
    op: "Const",
    attr: {
      dtype: dtype === "int32" ? int : float,
      value: { tensor: { tensorShape: { dim: shape.map((size) => ({ size: String(size) })) } } },
    },
  });
  const files = artifactFiles({
    format: "graph-model",
    modelTopology: {
      node: [...weightSpecs.map(constant), ...nodes],
      library: {},
      versions: { producer: 898 },
    },
    weightSpecs,
    weightData: new Uint8Array(Buffer.concat(data.map(bytesOf))).buffer,
  });
  return readTfjs(memoryFiles(files), "model.json");
}

test("fused and plain nodes, norms, a residual sum and a softmax: the same node by node, and finely quantized", async () => {
  const norm = {
    epsilon: { f: 0.001 },
    data_format: s("NHWC"),
    is_training: { b: false },
    T: float,
    U: float,
  };
  const source = await graphOf(
    [
      placeholder("x", [-1, 8, 7, 3]),
      {
        name: "a",
        op: "_FusedConv2D",
        input: ["x", "k1", "b1"],
        attr: { ...window(2, "SAME"), fused_ops: fused("BiasAdd", "Relu6"), num_args: { i: "1" } },
      },
      { name: "d", op: "DepthwiseConv2dNative", input: ["a", "k2"], attr: window(1, "SAME") },
      { name: "n", op: "FusedBatchNormV3", input: ["d", "gamma", "beta", "mean", "variance"], attr: norm },
      { name: "r", op: "Relu", input: ["n"], attr: { T: float } },
      { name: "c", op: "Conv2D", input: ["r", "k3"], attr: window(1, "SAME") },
      { name: "cb", op: "BiasAdd", input: ["c", "b3"], attr: { T: float, data_format: s("NHWC") } },
      { name: "sum", op: "AddV2", input: ["cb", "a"], attr: { T: float } },
      { name: "shape", op: "Shape", input: ["sum"], attr: { T: float, out_type: int } },
      {
        name: "count",
        op: "StridedSlice",
        input: ["shape", "zero", "one", "one"],
        attr: { T: int, shrink_axis_mask: { i: "1" } },
      },
      {
        name: "flatShape",
        op: "Pack",
        input: ["count", "size"],
        attr: { N: { i: "2" }, T: int, axis: { i: "0" } },
      },
      { name: "flat", op: "Reshape", input: ["sum", "flatShape"], attr: { T: float, Tshape: int } },
      {
        name: "m",
        op: "_FusedMatMul",
        input: ["flat", "k4", "b4"],
        attr: {
          fused_ops: fused("BiasAdd"),
          num_args: { i: "1" },
          transpose_a: { b: false },
          transpose_b: { b: false },
          T: float,
        },
      },
      { name: "p", op: "Softmax", input: ["m"], attr: { T: float } },
      { name: "y", op: "Identity", input: ["p"], attr: { T: float } },
    ],
    {
      k1: [3, 3, 3, 6],
      b1: [6],
      k2: [3, 3, 6, 1],
      gamma: [6],
      beta: [6],
      mean: [6],
      variance: [6],
      k3: [1, 1, 6, 6],
      b3: [6],
      k4: [96, 5],
      b4: [5],
      zero: Int32Array.of(0),
      one: Int32Array.of(1),
      size: Int32Array.of(96),
    },
  );
  // A scalar: Pack takes no vector.
  source.tensors.find(({ name }) => name === "size")!.shape = [];
  const program = await expectSameOutputs(source);
  expect(program.layers.map(({ rows, columns, groups }) => [rows, columns, groups])).toEqual([
    [6, 27, 1],
    [6, 9, 6],
    [6, 6, 1],
    [5, 96, 1],
  ]);
  expect(program.layers.map(({ names: { bias, norm } }) => [bias, norm?.beta])).toEqual([
    ["b1", undefined],
    [undefined, "beta"],
    ["b3", undefined],
    ["b4", undefined],
  ]);
  expect(program.operations.filter(({ addedTo }) => addedTo !== undefined).length).toBe(1);
  expect(program.outputs.map(({ isClassifier }) => isClassifier)).toEqual([true]);
});

test("several inputs and outputs, transposed convolutions, and constants that several nodes share", async () => {
  const matMul = { transpose_a: { b: false }, transpose_b: { b: true }, T: float };
  const source = await graphOf(
    [
      placeholder("x", [-1, 4, 5, 2]),
      placeholder("z", [-1, 3]),
      {
        name: "a",
        op: "_FusedConv2D",
        input: ["x", "k1", "shared"],
        attr: { ...window(1, "SAME"), fused_ops: fused("BiasAdd", "Elu"), num_args: { i: "1" } },
      },
      { name: "b", op: "Conv2D", input: ["a", "k2"], attr: window(1, "VALID") },
      { name: "bb", op: "BiasAdd", input: ["b", "shared"], attr: { T: float, data_format: s("NHWC") } },
      { name: "up", op: "Conv2DBackpropInput", input: ["upShape", "k3", "bb"], attr: window(2, "SAME") },
      { name: "pool", op: "Mean", input: ["up", "axes"], attr: { keep_dims: { b: false }, T: float } },
      { name: "u", op: "MatMul", input: ["pool", "k4"], attr: matMul },
      { name: "v", op: "MatMul", input: ["z", "twice"], attr: matMul },
      { name: "w", op: "MatMul", input: ["v", "twice"], attr: matMul },
      { name: "sum", op: "AddV2", input: ["u", "w"], attr: { T: float } },
      { name: "best", op: "ArgMax", input: ["sum", "minus"], attr: { T: float, output_type: int } },
      { name: "map", op: "Tanh", input: ["up"], attr: { T: float } },
    ],
    {
      k1: [3, 3, 2, 3],
      shared: [3],
      k2: [2, 2, 3, 3],
      k3: [3, 3, 4, 3],
      k4: [3, 4],
      twice: [3, 3],
      upShape: Int32Array.of(1, 6, 8, 4),
      axes: Int32Array.of(1, 2),
      minus: Int32Array.of(-1),
    },
  );
  source.tensors.find(({ name }) => name === "minus")!.shape = [];
  const program = await expectSameOutputs(source);
  expect(program.layers.map(({ name }) => name)).toEqual(["a", "b", "up", "u"]);
  // What two nodes take may not change for one of them: neither the biases nor the matrix.
  expect(program.layers.map(({ hasBias }) => hasBias)).toEqual([false, false, false, false]);
  // The map, and the scores that the best class was taken from.
  expect(program.outputs.length).toBe(2);
});

test("a graph with control flow is refused by the name of the node", async () => {
  const source = await readTfjs(memoryFiles(graphModelFiles()), "model.json");
  const json = JSON.parse(new TextDecoder().decode(source.metadata["model.json"]));
  json.modelTopology.node.push({ name: "z", op: "Where", input: ["y"], attr: {} });
  source.metadata["model.json"] = new TextEncoder().encode(JSON.stringify(json));
  await expect(tfjsProgram(source)).rejects.toThrow("model: z: Where cannot be run operation by operation");
});
