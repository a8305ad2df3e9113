import { expect, test } from "vitest";
import { choose } from "../../src/cli/choose.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readOnnx } from "../../src/formats/onnx.js";
import { floatConstant, makeNode, writeGraph } from "../../src/networks/onnx/graph.js";
import { normals } from "../formats/small-models.js";
import { graphOf } from "../networks/onnx/small-graphs.js";

const vector = (values: Float32Array) => floatConstant(values, [values.length]);

test("an ONNX model whose batch norms calibration folds is judged by the graph that is in the file", async () => {
  const graph = graphOf(
    [
      makeNode("Conv", ["x", "w1"], ["c"]),
      makeNode("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
      makeNode("Relu", ["n"], ["r"]),
      makeNode("Conv", ["r", "w2"], ["d"]),
      makeNode("GlobalAveragePool", ["d"], ["p"]),
      makeNode("Flatten", ["p"], ["f"]),
      makeNode("Softmax", ["f"], ["y"]),
    ],
    {
      w1: floatConstant(normals(16 * 27, 1, 0.25), [16, 3, 3, 3]),
      gamma: vector(normals(16, 2).map((v) => v * v + 0.5)),
      beta: vector(normals(16, 3, 0.3)),
      mean: vector(normals(16, 4, 0.3)),
      variance: vector(normals(16, 5).map((v) => v * v + 0.5)),
      w2: floatConstant(normals(10 * 16 * 9, 6, 0.12), [10, 16, 3, 3]),
    },
    [1, 3, 9, 9],
  );
  const model = await readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
  const progress = { step: () => {}, note: () => {}, stop: () => {} };
  const data = { count: 128, bgr: false, folder: "." };
  const choice = { data, target: { quality: 75 }, calibrate: "synthetic", bitsFor: [], progressive: false };
  const { method, outputs, rivals, metadata } = await choose(model, choice, progress);
  expect(method).toBe("made-up calibration inputs");
  expect(metadata["graph.onnx"]).not.toEqual(model.metadata["graph.onnx"]);
  expect(outputs.kind).toBe("kl");
  expect(outputs.divergence).toBeLessThan(0.02);
  for (const { divergence } of rivals) expect(divergence).toBeGreaterThan(outputs.divergence!);
});
