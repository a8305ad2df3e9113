import { expect, test } from "vitest";
import { calibrateOnnx } from "../../../src/calibrate-onnx.js";
import { compressModel } from "../../../src/compress.js";
import { memoryFiles } from "../../../src/formats/files.js";
import { writeModel } from "../../../src/formats/list.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import { openBitdiet } from "../../../src/loaders/open.js";
import { openSource } from "../../../src/loaders/source.js";
import {
  type CalibrationGraph,
  floatConstant,
  makeNode,
  type OnnxNode,
  writeGraph,
} from "../../../src/networks/onnx/graph.js";
import { onnxNetwork } from "../../../src/networks/onnx/network.js";
import { quantizeCalibrated } from "../../../src/quantize/calibrated.js";
import { factor } from "../../../src/quantize/factor.js";
import { collect, normals } from "../../formats/small-models.js";
import { graphOf, runModel, runtime, tensor } from "./small-graphs.js";

const { ort } = runtime;
const weight = (shape: number[], seed: number) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return floatConstant(normals(size, seed, Math.sqrt((2 * shape[0]) / size)), shape);
};
const vector = (values: Float32Array) => floatConstant(values, [values.length]);

/** Convolutions, one of them depthwise, batch norms unfolded, a residual sum and a softmax. */
function classifier(): CalibrationGraph {
  const norm = (input: string, output: string) =>
    makeNode("BatchNormalization", [input, "gamma", "beta", "mean", "variance"], [output]);
  return graphOf(
    [
      makeNode("Conv", ["x", "w1"], ["c1"], { pads: [1, 1, 1, 1] }),
      norm("c1", "n1"),
      makeNode("Relu", ["n1"], ["r1"]),
      makeNode("Conv", ["r1", "w2", "b2"], ["c2"], { group: 12, pads: [1, 1, 1, 1] }),
      makeNode("Relu", ["c2"], ["r2"]),
      makeNode("Conv", ["r2", "w3"], ["c3"]),
      makeNode("Add", ["c3", "r1"], ["s"]),
      makeNode("GlobalAveragePool", ["s"], ["p"]),
      makeNode("Flatten", ["p"], ["f"]),
      makeNode("MatMul", ["f", "w4"], ["m"]),
      makeNode("Add", ["m", "b4"], ["logits"]),
      makeNode("Softmax", ["logits"], ["y"]),
    ],
    {
      w1: weight([12, 3, 3, 3], 1),
      gamma: vector(normals(12, 2).map((v) => v * v + 0.5)),
      beta: vector(normals(12, 3, 0.3)),
      mean: vector(normals(12, 4, 0.3)),
      variance: vector(normals(12, 5).map((v) => v * v + 0.5)),
      w2: weight([12, 1, 3, 3], 6),
      b2: vector(normals(12, 7, 0.1)),
      w3: weight([12, 12, 1, 1], 8),
      w4: weight([12, 6], 9),
      b4: vector(normals(6, 10)),
    },
    [undefined, 3, 6, 6],
  );
}
const readGraphModel = (graph: CalibrationGraph) =>
  readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
const feeds = Array.from({ length: 12 }, (_, i) => new Map([["x", tensor([4, 3, 6, 6], 100 + i)]]));
const tests = tensor([100, 3, 6, 6], 50);

async function decoded(bytes: Uint8Array): Promise<Uint8Array> {
  const { model } = await openBitdiet(await openSource(bytes));
  return (await collect(writeModel(model)))["model.onnx"];
}
const divergence = (p: Float32Array, q: Float32Array) =>
  p.reduce((sum, value, i) => sum + value * Math.log(value / q[i]), 0) / 100;

/** Rows whose neighbouring numbers are alike: an autoregression of order one. */
function alike(rows: number, columns: number, seed: number): Float32Array {
  const [noise, x] = [normals(rows * columns, seed), new Float32Array(rows * columns)];
  for (let i = 0; i < x.length; i++) x[i] = i % columns === 0 ? noise[i] : 0.95 * x[i - 1] + 0.31 * noise[i];
  return x;
}

test("a fine file's outputs are off by what theory says of rounding that makes up for earlier errors, and no more", async () => {
  const [rows, columns, positions] = [16, 24, 512];
  const w = floatConstant(normals(columns * rows, 41), [columns, rows]);
  const graph = graphOf([makeNode("MatMul", ["x", "w"], ["y"])], { w }, [undefined, columns]);
  const shape = [positions, columns];
  const given = Array.from({ length: 8 }, (_, i) => {
    const data = alike(positions, columns, 200 + i);
    return new Map([["x", { dtype: "float32" as const, shape, data }]]);
  });
  const network = await onnxNetwork(await readGraphModel(graph), ort, given);
  let gram = new Float64Array();
  await network.walk((layer, statistics) => {
    gram = statistics.gram.slice();
    return network.layers[layer];
  });
  const { layers } = await quantizeCalibrated(network, await network.sensitivities(), 1e-9);
  const [{ steps, levels, weights: made }] = layers;
  expect(levels.filter((level) => Math.abs(level) > 8).length).toBeGreaterThan(levels.length / 2);
  const size = columns + 1;
  const errorOf = (e: (r: number, c: number) => number) => {
    let sum = 0;
    for (let r = 0; r < rows; r++)
      for (let a = 0; a < columns; a++)
        for (let b = 0; b < columns; b++) sum += e(r, a) * gram[a * size + b] * e(r, b);
    return sum;
  };
  const { weights } = network.layers[0];
  const found = errorOf((r, c) => weights[r * columns + c] - made[r * columns + c]);
  // Rounding errors d of variance step^2 / 12 in e U = d, where H = U D U^T, cost step^2 / 12 tr(U^-1 H U^-T); with no feedback they
  // would be e itself, and cost step^2 / 12 tr(H).
  const energy = steps.reduce((sum, step) => sum + step ** 2 / 12, 0);
  const damping = (0.05 * trace(gram, size)) / columns;
  const factors = factor(gram, size, (c) => (c < columns ? damping : 0));
  let expected = 0;
  for (let c = 0; c < columns; c++) {
    const unit = new Float64Array(size);
    unit[c] = 1;
    // Rows of U^-1: e with e U = unit.
    const e = new Float64Array(size);
    for (let k = 0; k < columns; k++) {
      e[k] = unit[k];
      for (let j = 0; j < k; j++) e[k] -= factors.feedback[k * size + j] * e[j];
    }
    for (let a = 0; a < columns; a++)
      for (let b = 0; b < columns; b++) expected += energy * e[a] * gram[a * size + b] * e[b];
  }
  const withoutFeedback = energy * trace(gram, size);
  expect(withoutFeedback / expected).toBeGreaterThan(4);
  expect(found / expected).toBeGreaterThan(0.6);
  expect(found / expected).toBeLessThan(1.1);
});

function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let c = 0; c < size - 1; c++) sum += matrix[c * (size + 1)];
  return sum;
}

test("a calibrated file decodes to what was made, and loses less than the weights alone do in as many bytes", async () => {
  const graph = classifier();
  const model = await readGraphModel(graph);
  const exact = await runModel(writeGraph(graph), tests);
  const steps = new Set<string>();
  const quantize = await calibrateOnnx(model, ort, feeds, { onProgress: (step) => steps.add(step) });
  expect([...steps]).toEqual(["measuring sensitivities"]);
  const plain = await compressModel(model, { quality: 60 });
  const { bytes, report } = await compressModel(model, { maxBytes: plain.bytes.length }, { quantize });
  expect(report.bytes).toBe(bytes.length);
  const calibratedLoss = divergence(exact, await runModel(await decoded(bytes), tests));
  const plainLoss = divergence(exact, await runModel(await decoded(plain.bytes), tests));
  expect(calibratedLoss).toBeLessThan(plainLoss);
  expect([...steps]).toEqual(["measuring sensitivities", "calibrating"]);
});

test("what is restored is what the walk has run, layer by layer", async () => {
  const graph = classifier();
  const network = await onnxNetwork(await readGraphModel(graph), ort, feeds.slice(0, 4));
  expect(network.layers.map(({ name, groups = 1 }) => [name, groups])).toEqual([
    ["w1", 1],
    ["w2", 12],
    ["w3", 1],
    ["w4", 1],
  ]);
  const { layers, outputs } = await quantizeCalibrated(network, await network.sensitivities(), 1e-5);
  const { model } = await network.restore(layers);
  const bytes = (await collect(writeModel(model!)))["model.onnx"];
  const run = await Promise.all(
    feeds.slice(0, 4).map(async (feed) => [...(await runModel(bytes, feed.get("x")!))]),
  );
  expect(outputs).toEqual(Float32Array.from(run.flat()));
});

test("sensitivities tell the relative error of the logits that noise on the last layer makes", async () => {
  const graph = classifier();
  const network = await onnxNetwork(await readGraphModel(graph), ort, feeds);
  const sensitivities = await network.sensitivities();
  const logitsOf = async (given: CalibrationGraph) => {
    const bytes = writeGraph({ ...given, outputs: [{ name: "logits", dtype: "float32" }] });
    const all = await Promise.all(feeds.map(async (feed) => [...(await runLogits(bytes, feed.get("x")!))]));
    return all.flat();
  };
  // What is added to all logits of an input makes no difference.
  const meanAt = (values: number[], i: number) =>
    values.slice(i - (i % 6), i - (i % 6) + 6).reduce((a, b) => a + b, 0) / 6;
  const centred = (values: number[]) => values.map((v, i) => v - meanAt(values, i));
  const energyOf = (values: number[]) => values.reduce((sum, v) => sum + v * v, 0);
  const exact = centred(await logitsOf(graph));
  let gram = new Float64Array();
  await network.walk((layer, statistics) => {
    gram = Float64Array.from(statistics.gram);
    return network.layers[layer];
  });
  const { rows, columns, weights } = network.layers[3];
  const energy = Array.from({ length: columns }, (_, a) => gram[a * (columns + 2)]).reduce(
    (a, b) => a + b,
    0,
  );
  let [measured, estimated] = [0, 0];
  for (let draw = 0; draw < 6; draw++) {
    const noise = normals(rows * columns, 60 + draw, 0.1);
    const turned = Float32Array.from({ length: rows * columns }, (_, i) => {
      const at = (i % rows) * columns + Math.floor(i / rows);
      return weights[at] + noise[at];
    });
    const noisy = { ...graph, constants: new Map(graph.constants).set("w4", floatConstant(turned, [12, 6])) };
    const found = centred(await logitsOf(noisy));
    measured += energyOf(found.map((v, i) => v - exact[i])) / energyOf(exact);
    for (let r = 0; r < rows; r++) {
      const e = noise.subarray(r * columns, (r + 1) * columns);
      let loss = 0;
      for (let a = 0; a < columns; a++)
        for (let b = 0; b < columns; b++) loss += e[a] * gram[a * (columns + 1) + b] * e[b];
      estimated += (sensitivities[3][r] / energy) * loss;
    }
  }
  expect(estimated / measured).toBeGreaterThan(0.75);
  expect(estimated / measured).toBeLessThan(1.33);
});

test("layers that gradients do not reach are told by probes what gradients tell of the same function", async () => {
  // x / (1 + |x|), once as an operator that has no rule.
  const nodes = (activation: OnnxNode[]) => [
    makeNode("Conv", ["x", "w1"], ["z"]),
    ...activation,
    makeNode("Conv", ["a", "w2"], ["c"]),
    makeNode("GlobalAveragePool", ["c"], ["y"]),
  ];
  const constants = {
    w1: weight([8, 3, 3, 3], 1),
    w2: weight([5, 8, 1, 1], 2),
    one: vector(Float32Array.of(1)),
  };
  const written = [
    makeNode("Abs", ["z"], ["m"]),
    makeNode("Add", ["m", "one"], ["n"]),
    makeNode("Div", ["z", "n"], ["a"]),
  ];
  const sensitivitiesWith = async (activation: OnnxNode[]) => {
    const graph = graphOf(nodes(activation), constants, [undefined, 3, 6, 6]);
    return (await onnxNetwork(await readGraphModel(graph), ort, feeds)).sensitivities();
  };
  const byGradients = await sensitivitiesWith(written);
  const byProbes = await sensitivitiesWith([makeNode("Softsign", ["z"], ["a"])]);
  for (const [r, value] of byProbes[1].entries()) expect(value / byGradients[1][r]).toBeCloseTo(1, 5);
  const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;
  // One number for the layer.
  expect(new Set(byProbes[0]).size).toBe(1);
  expect(mean(byProbes[0]) / mean(byGradients[0])).toBeGreaterThan(0.4);
  expect(mean(byProbes[0]) / mean(byGradients[0])).toBeLessThan(2.5);
});

async function runLogits(bytes: Uint8Array, x: ReturnType<typeof tensor>): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(bytes, {});
  const given = new ort.Tensor("float32" as never, x.data as never, [...x.shape]);
  const found = await session.run({ x: given } as never, ["logits"]);
  await session.release();
  return (found["logits"] as { data: Float32Array }).data;
}

test("a network whose outputs no gradient comes through is told by probes alone", async () => {
  // Relu under a name that no rule has: of all layers the gradient is lost.
  const graph = graphOf(
    [
      makeNode("MatMul", ["x", "w1"], ["h"]),
      makeNode("MatMul", ["h", "w2"], ["m"]),
      makeNode("ThresholdedRelu", ["m"], ["y"], { alpha: Float32Array.of(0.01) }),
    ],
    { w1: weight([6, 5], 21), w2: weight([5, 4], 22) },
    [undefined, 6],
  );
  const given = Array.from({ length: 6 }, (_, i) => new Map([["x", tensor([8, 6], 300 + i)]]));
  const network = await onnxNetwork(await readGraphModel(graph), ort, given);
  const sensitivities = await network.sensitivities();
  expect(sensitivities.map(({ length }) => length)).toEqual([5, 4]);
  for (const values of sensitivities) expect(values.every((value) => value > 0)).toBe(true);
});

test("other formats, no inputs and models without layers are refused by name", async () => {
  const model = await readGraphModel(classifier());
  await expect(calibrateOnnx({ ...model, format: "safetensors" }, ort, feeds)).rejects.toThrow(
    "got safetensors",
  );
  await expect(calibrateOnnx(model, ort, [])).rejects.toThrow("inputs: expected at least one");
  const nothing = new Map([
    ["x", { ...tensor([2, 3, 6, 6], 1), data: new Float32Array(216).fill(Number.NaN) }],
  ]);
  await expect(calibrateOnnx(model, ort, [nothing])).rejects.toThrow(
    "inputs: x[0]: expected a finite number, got NaN",
  );
  const small = new Map([["x", tensor([2, 3, 6, 5], 1)]]);
  await expect(calibrateOnnx(model, ort, [small])).rejects.toThrow(
    "feeds: x: expected float32 of [any,3,6,6]",
  );
  const relu = await readGraphModel(graphOf([makeNode("Relu", ["x"], ["y"])], {}, [undefined, 3, 6, 6]));
  await expect(calibrateOnnx(relu, ort, feeds)).rejects.toThrow(
    "model: expected convolutions or matrix products",
  );
});
