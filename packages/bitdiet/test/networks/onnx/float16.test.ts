import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { floatBytes, floatValues } from "../../../src/formats/floats.js";
import { writeModel } from "../../../src/formats/list.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import { type Constant, makeNode, writeGraph } from "../../../src/networks/onnx/graph.js";
import { onnxNetwork } from "../../../src/networks/onnx/network.js";
import { quantizeCalibrated } from "../../../src/quantize/calibrated.js";
import { collect, normals } from "../../formats/small-models.js";
import { graphOf, runtime } from "./small-graphs.js";

const { ort } = runtime;
const half = (shape: number[], seed: number): Constant => {
  const size = shape.reduce((a, b) => a * b, 1);
  return { dtype: "float16", shape, bytes: floatBytes("float16", normals(size, seed, 0.3)) };
};

test("a model in float16 is calibrated, keeps its types, and its file runs as the walk did", async () => {
  const base = graphOf(
    [
      makeNode("Cast", ["x"], ["h"], { to: 10 }),
      makeNode("Conv", ["h", "w1", "b1"], ["c"]),
      makeNode("Relu", ["c"], ["r"]),
      makeNode("Flatten", ["r"], ["f"]),
      makeNode("MatMul", ["f", "w2"], ["m"]),
      makeNode("Cast", ["m"], ["y"], { to: 1 }),
    ],
    { w1: half([6, 2, 3, 3], 1), b1: half([6], 2), w2: half([54, 5], 3) },
    [1, 2, 5, 5],
  );
  const model = await readOnnx(memoryFiles({ "model.onnx": writeGraph(base) }), "model.onnx");
  const feeds = Array.from({ length: 12 }, (_, i) => {
    return new Map([["x", { dtype: "float32" as const, shape: [1, 2, 5, 5], data: normals(50, 30 + i) }]]);
  });
  const network = await onnxNetwork(model, ort, feeds);
  expect(network.layers.map(({ name, bias }) => [name, bias])).toEqual([
    ["w1", "b1"],
    ["w2", undefined],
  ]);
  expect(network.layers[1].weights[5]).toBe(floatValues("float16", half([54, 5], 3).bytes)[25]);
  const { layers, outputs } = await quantizeCalibrated(network, await network.sensitivities(), 1e-5);
  const { model: restored, tensors } = await network.restore(layers);
  expect([...tensors.keys()].sort()).toEqual(["w1", "w2"]);
  const types = restored!.tensors.map(({ name, dtype }) => [name, dtype]);
  expect(types.sort()).toEqual([
    ["w1", "float16"],
    ["w2", "float16"],
  ]);
  const bytes = (await collect(writeModel(restored!)))["model.onnx"];
  const { InferenceSession, Tensor } = ort as never as typeof import("onnxruntime-web");
  const session = await InferenceSession.create(bytes);
  const run: number[] = [];
  for (const feed of feeds) {
    const { data, shape } = feed.get("x")!;
    const { y } = await session.run({ x: new Tensor("float32", data, shape) });
    run.push(...(y.data as Float32Array));
  }
  // Half floats have eleven bits.
  const largest = Math.max(...run.map(Math.abs));
  outputs.forEach((value, i) => {
    expect(Math.abs(value - run[i])).toBeLessThan(4e-3 * largest);
  });
});
