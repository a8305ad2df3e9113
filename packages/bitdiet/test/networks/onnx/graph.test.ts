import { expect, test } from "vitest";
import { ModelFileError } from "../../../src/model.js";
import {
  floatConstant,
  floatOf,
  floatsIn,
  int64Constant,
  intsOf,
  makeNode,
  numbersIn,
  readGraph,
  writeGraph,
} from "../../../src/networks/onnx/graph.js";
import { layersOf } from "../../../src/networks/onnx/layers.js";
import { prepareGraph } from "../../../src/networks/onnx/prepare.js";
import { onnxCases } from "../../formats/onnx-cases.js";
import { normals, onnxModel } from "../../formats/small-models.js";
import { graphOf, runGraph, runModel, tensor, worst } from "./small-graphs.js";

const { "model.onnx": bytes } = onnxModel();
const x = tensor([1, 3, 6, 6], 99);

test("a graph is read as it was written by another encoder, and written so that it runs the same", async () => {
  const graph = readGraph(bytes);
  expect(graph.nodes.map(({ opType, inputs }) => [opType, inputs])).toEqual([
    ["Conv", ["x", "kernel", "bias"]],
    ["Relu", ["c"]],
    ["Reshape", ["r", "shape"]],
    ["Gemm", ["f", "matrix"]],
  ]);
  expect(intsOf(graph.nodes[0], "kernel_shape")).toEqual([3, 3]);
  expect(graph.opset).toBe(13);
  expect(graph.inputs).toMatchObject([{ name: "x", dtype: "float32", shape: [1, 3, 6, 6] }]);
  // Raw bytes, typed floats and typed integers.
  expect(floatsIn(graph.constants.get("kernel")!)).toEqual(normals(216, 1, 0.3));
  expect(floatsIn(graph.constants.get("bias")!)).toEqual(normals(8, 2));
  expect(numbersIn(graph.constants.get("shape")!)).toEqual([1, 128]);
  expect(await runModel(writeGraph(graph), x)).toEqual(await runModel(bytes, x));
});

test("tensors beside the model are found, and missed by name where they are not", () => {
  const files = onnxModel({ external: true });
  const external = new Map([["model.onnx.data", files["model.onnx.data"]]]);
  const graph = readGraph(files["model.onnx"], external);
  expect(floatsIn(graph.constants.get("kernel")!)).toEqual(normals(216, 1, 0.3));
  expect(() => readGraph(files["model.onnx"])).toThrow("expected the file model.onnx.data beside the model");
});

test("a Buffer of Node's is read as any bytes are", () => {
  const node = makeNode("LeakyRelu", ["x"], ["y"], { alpha: Float32Array.of(0.25) });
  const graph = readGraph(Buffer.from(writeGraph(graphOf([node], {}, [1]))));
  expect(floatOf(graph.nodes[0], "alpha", 0)).toBe(0.25);
});

test("damaged bytes are refused", () => {
  expect(() => readGraph(bytes.subarray(0, bytes.length - 9))).toThrow(ModelFileError);
  expect(() => readGraph(Uint8Array.of(7, 1, 2))).toThrow(ModelFileError);
});

const vector = (size: number, seed: number) => floatConstant(normals(size, seed), [size]);
const positive = (size: number, seed: number) =>
  floatConstant(
    normals(size, seed).map((v) => v * v + 0.5),
    [size],
  );

test("constant nodes, moved constants, batch norms and added biases are folded, for the same outputs", async () => {
  const graph = graphOf(
    [
      makeNode("Constant", [], ["w"], { value: floatConstant(normals(6 * 3 * 9, 1, 0.3), [6, 3, 3, 3]) }),
      makeNode("Conv", ["x", "w"], ["c"], { pads: [1, 1, 1, 1] }),
      makeNode("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
      makeNode("Relu", ["n"], ["r"]),
      makeNode("Conv", ["r", "depthwise"], ["d"], { group: 6 }),
      makeNode("Add", ["shift", "d"], ["s"]),
      makeNode("ConvTranspose", ["s", "up"], ["u"], { strides: [2, 2], group: 2 }),
      makeNode("BatchNormalization", ["u", "gamma4", "beta4", "mean4", "variance4"], ["v"]),
      makeNode("Transpose", ["matrix"], ["turned"], { perm: [1, 0] }),
      // As exporters write an input of Resize that does not count.
      makeNode("Constant", [], ["nothing"], { value: floatConstant(new Float32Array(0), [0]) }),
      makeNode("MatMul", ["v", "turned"], ["m"]),
      makeNode("Add", ["m", "b"], ["y"]),
    ],
    {
      gamma: vector(6, 2),
      beta: vector(6, 3),
      mean: vector(6, 4),
      variance: positive(6, 5),
      depthwise: floatConstant(normals(6 * 9, 6), [6, 1, 3, 3]),
      shift: floatConstant(normals(6, 7), [1, 6, 1, 1]),
      up: floatConstant(normals(6 * 2 * 4, 8), [6, 2, 2, 2]),
      gamma4: vector(4, 9),
      beta4: vector(4, 10),
      mean4: vector(4, 11),
      variance4: positive(4, 12),
      matrix: floatConstant(normals(3 * 8, 13), [3, 8]),
      b: vector(3, 14),
    },
    [1, 3, 6, 6],
  );
  const prepared = prepareGraph(graph);
  expect(prepared.nodes.map(({ opType }) => opType)).toEqual([
    "Conv",
    "Relu",
    "Conv",
    "ConvTranspose",
    "MatMul",
    "Add",
  ]);
  expect(prepared.nodes.slice(0, 4).map(({ inputs }) => inputs.length)).toEqual([3, 1, 3, 3]);
  expect(prepared.constants.get("turned")?.shape).toEqual([8, 3]);
  expect(prepared.constants.has("gamma")).toBe(false);
  const exact = (await runGraph(graph, x)).data as Float32Array;
  expect(worst((await runGraph(prepared, x)).data as Float32Array, exact)).toBeLessThan(1e-4);
});

test("what somebody else uses, too, is not folded", async () => {
  const graph = graphOf(
    [
      makeNode("Conv", ["x", "w"], ["c"]),
      makeNode("BatchNormalization", ["c", "gamma", "gamma", "gamma", "variance"], ["n"]),
      makeNode("Add", ["n", "c"], ["y"]),
    ],
    {
      w: floatConstant(normals(4 * 3, 1), [4, 3, 1, 1]),
      gamma: vector(4, 2),
      variance: positive(4, 3),
      unused: int64Constant([1]),
    },
    [1, 3, 6, 6],
  );
  const prepared = prepareGraph(graph);
  expect(prepared.nodes.map(({ opType }) => opType)).toEqual(["Conv", "BatchNormalization", "Add"]);
  expect(prepared.constants.has("unused")).toBe(false);
  expect((await runGraph(prepared, x)).data).toEqual((await runGraph(graph, x)).data);
});

test.each([
  ["then", 1],
  ["else", 0],
])(
  "an If whose condition is constant is its branch %s, whose weights are calibrated",
  async (_, condition) => {
    const open = readGraph(onnxCases["branches of an If"].files["m.onnx"]);
    expect(layersOf(prepareGraph(open)).map(({ weight }) => weight)).toEqual(["last"]);
    const graph = {
      ...open,
      inputs: open.inputs.filter(({ name }) => name !== "c"),
      constants: new Map(open.constants).set("c", {
        dtype: "bool",
        shape: [],
        bytes: Uint8Array.of(condition),
      }),
    };
    const prepared = prepareGraph(graph);
    expect(prepared.nodes.map(({ opType }) => opType)).toEqual(["MatMul", "Identity", "MatMul"]);
    expect(layersOf(prepared).map(({ weight }) => weight)).toEqual(["w", "last"]);
    const input = tensor([4, 32], 98);
    const [exact, found] = [
      await runModel(writeGraph(graph), input),
      await runModel(writeGraph(prepared), input),
    ];
    expect(found).toEqual(exact);
  },
);
