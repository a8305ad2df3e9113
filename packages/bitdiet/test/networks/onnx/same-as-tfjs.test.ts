import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import { floatConstant, makeNode, writeGraph } from "../../../src/networks/onnx/graph.js";
import { onnxNetwork } from "../../../src/networks/onnx/network.js";
import { tfjsNetwork, tfjsProgram } from "../../../src/networks/tfjs/network.js";
import { quantizeCalibrated } from "../../../src/quantize/calibrated.js";
import { artifactFiles, type Files, normals } from "../../formats/small-models.js";
import { graphOf, runtime } from "./small-graphs.js";

const [height, width, channels, count] = [7, 6, 3, 60];

async function layersModel() {
  const { conv2d, depthwiseConv2d, globalAveragePooling2d, dense } = layers.layers;
  const model = layers.sequential({
    layers: [
      conv2d({ inputShape: [height, width, channels], filters: 8, kernelSize: 3, activation: "relu" }),
      depthwiseConv2d({ kernelSize: 3, activation: "relu" }),
      conv2d({ filters: 10, kernelSize: [2, 1], activation: "relu" }),
      globalAveragePooling2d({}),
      dense({ units: 4 }),
    ],
  });
  model.setWeights(
    model.weights.map(({ shape }, i) => {
      const size = (shape as number[]).reduce((a, b) => a * b, 1);
      return tf.tensor(normals(size, i + 1, shape.length > 1 ? 0.4 : 0.1), shape as number[]);
    }),
  );
  let files: Files = {};
  const values = model.getWeights().map((tensor) => tensor.dataSync<"float32">().slice());
  await model.save({
    save: async (artifacts) => {
      files = artifactFiles(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    },
  });
  model.dispose();
  return { source: await readTfjs(memoryFiles(files), "model.json"), values };
}

/** The same network as a graph: channels first, weights as OIHW. */
function graphModel([k1, b1, k2, b2, k3, b3, k4, b4]: Float32Array[]) {
  const oihw = (values: Float32Array, shape: [number, number, number, number], perm: number[]) => {
    const turned = tf.tidy(() =>
      tf.transpose(tf.tensor4d(values, shape), perm).dataSync<"float32">().slice(),
    );
    return floatConstant(
      turned,
      perm.map((axis) => shape[axis]),
    );
  };
  const vector = (values: Float32Array) => floatConstant(values, [values.length]);
  const graph = graphOf(
    [
      makeNode("Conv", ["x", "k1", "b1"], ["c1"]),
      makeNode("Relu", ["c1"], ["r1"]),
      makeNode("Conv", ["r1", "k2", "b2"], ["c2"], { group: 8 }),
      makeNode("Relu", ["c2"], ["r2"]),
      makeNode("Conv", ["r2", "k3", "b3"], ["c3"]),
      makeNode("Relu", ["c3"], ["r3"]),
      makeNode("GlobalAveragePool", ["r3"], ["p"]),
      makeNode("Flatten", ["p"], ["f"]),
      makeNode("Gemm", ["f", "k4", "b4"], ["y"]),
    ],
    {
      k1: oihw(k1, [3, 3, channels, 8], [3, 2, 0, 1]),
      b1: vector(b1),
      k2: oihw(k2, [3, 3, 8, 1], [2, 3, 0, 1]),
      b2: vector(b2),
      k3: oihw(k3, [2, 1, 8, 10], [3, 2, 0, 1]),
      b3: vector(b3),
      k4: floatConstant(k4, [10, 4]),
      b4: vector(b4),
    },
    [1, channels, height, width],
  );
  return readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
}

test("the same network calibrated through TF.js and through ONNX Runtime comes to the same, within noise", async () => {
  const { source, values } = await layersModel();
  const size = height * width * channels;
  const pictures = normals(count * size, 40);
  const feeds = Array.from({ length: count }, (_, i) => {
    const picture = pictures.subarray(i * size, (i + 1) * size);
    const planes = Float32Array.from({ length: size }, (_, at) => {
      const c = Math.floor(at / (height * width));
      return picture[(at % (height * width)) * channels + c];
    });
    return new Map([["x", { dtype: "float32" as const, shape: [1, channels, height, width], data: planes }]]);
  });
  const onnx = await onnxNetwork(await graphModel(values), runtime.ort, feeds);
  const program = await tfjsProgram(source);
  const input = program.inputs[0].name;
  const shape = [count, height, width, channels];
  const tfjs = tfjsNetwork(source, program, [
    new Map([[input, { dtype: "float32" as const, shape, data: pictures }]]),
  ]);
  expect(onnx.layers.map(({ rows, columns, groups }) => [rows, columns, groups ?? 1])).toEqual(
    tfjs.layers.map(({ rows, columns, groups }) => [rows, columns, groups ?? 1]),
  );
  const sensitivities = await onnx.sensitivities();
  const exact = await onnx.walk((layer) => onnx.layers[layer]);
  const quantized = await Promise.all(
    [onnx, tfjs].map(async (network) => {
      const { layers: made, outputs } = await quantizeCalibrated(network, sensitivities, 3e-5);
      const magnitude = made.reduce(
        (sum, { levels }) => sum + levels.reduce((s, v) => s + Math.abs(v), 0),
        0,
      );
      let error = 0;
      for (const [i, v] of exact.entries()) error += (v - outputs[i]) ** 2;
      return { magnitude, error };
    }),
  );
  const [byOnnx, byTfjs] = quantized;
  expect(byOnnx.magnitude).toBeGreaterThan(600);
  expect(Math.abs(byOnnx.magnitude / byTfjs.magnitude - 1)).toBeLessThan(0.05);
  expect(byOnnx.error / byTfjs.error).toBeGreaterThan(0.6);
  expect(byOnnx.error / byTfjs.error).toBeLessThan(1.6);
});
