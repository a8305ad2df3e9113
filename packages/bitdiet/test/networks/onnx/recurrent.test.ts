import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { writeModel } from "../../../src/formats/list.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import {
  type CalibrationGraph,
  floatConstant,
  int64Constant,
  makeNode,
  writeGraph,
} from "../../../src/networks/onnx/graph.js";
import { onnxNetwork } from "../../../src/networks/onnx/network.js";
import { quantizeCalibrated } from "../../../src/quantize/calibrated.js";
import { probabilities, quantizeTable } from "../../../src/quantize/quantize-table.js";
import { collect, normals } from "../../formats/small-models.js";
import { graphOf, runtime, tensor } from "./small-graphs.js";

const { ort } = runtime;
const [STEPS, BATCH, INPUTS, STATES] = [7, 3, 4, 5];
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const weights = {
  w: floatConstant(normals(4 * STATES * INPUTS, 1, 0.5), [1, 4 * STATES, INPUTS]),
  r: floatConstant(normals(4 * STATES * STATES, 2, 0.5), [1, 4 * STATES, STATES]),
  b: floatConstant(normals(8 * STATES, 3, 0.3), [1, 8 * STATES]),
  h0: floatConstant(normals(BATCH * STATES, 4, 0.8), [1, BATCH, STATES]),
};
const numbers = ({ bytes }: { bytes: Uint8Array }) => new Float32Array(bytes.slice().buffer);

function recurrent(direction: "forward" | "reverse", hasInitial: boolean): CalibrationGraph {
  const inputs = ["x", "w", "r", "b", ...(hasInitial ? ["", "h0"] : [])];
  return graphOf(
    [
      makeNode("LSTM", inputs, ["all"], { hidden_size: STATES, direction }),
      makeNode("Squeeze", ["all", "one"], ["y"]),
    ],
    { ...weights, one: int64Constant([1]) },
    [STEPS, BATCH, INPUTS],
  );
}

/** States before each step, by the equations of ONNX's LSTM: gates i, o, f, c. */
function statesBefore(x: Float32Array, isReverse: boolean, hasInitial: boolean): number[][] {
  const [w, r, b, h0] = [weights.w, weights.r, weights.b, weights.h0].map(numbers);
  const before: number[][] = [];
  for (let n = 0; n < BATCH; n++) {
    let h = Array.from({ length: STATES }, (_, s) => (hasInitial ? h0[n * STATES + s] : 0));
    let c = h.map(() => 0);
    for (let step = 0; step < STEPS; step++) {
      const t = isReverse ? STEPS - 1 - step : step;
      before.push(h);
      const at = (t * BATCH + n) * INPUTS;
      const gate = (g: number, s: number) => {
        const row = g * STATES + s;
        let sum = b[row] + b[4 * STATES + row];
        for (let i = 0; i < INPUTS; i++) sum += w[row * INPUTS + i] * x[at + i];
        for (let k = 0; k < STATES; k++) sum += r[row * STATES + k] * h[k];
        return sum;
      };
      const [input, output, forget, cell] = [0, 1, 2, 3].map((g) => h.map((_, s) => gate(g, s)));
      c = c.map((value, s) => sigmoid(forget[s]) * value + sigmoid(input[s]) * Math.tanh(cell[s]));
      h = c.map((value, s) => sigmoid(output[s]) * Math.tanh(value));
    }
  }
  return before;
}

test.each([
  ["forward", false],
  ["forward", true],
  ["reverse", true],
] as const)(
  "an LSTM's products see its inputs and the states before each step (%s, %s)",
  async (direction, hasInitial) => {
    const graph = recurrent(direction, hasInitial);
    const model = await readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
    const x = tensor([STEPS, BATCH, INPUTS], 9);
    const network = await onnxNetwork(model, ort, [new Map([["x", x]])]);
    expect(network.layers.map(({ name, rows, columns }) => [name, rows, columns])).toEqual([
      ["w", 20, 4],
      ["r", 20, 5],
    ]);
    const grams: Float64Array[] = [];
    await network.walk((layer, { gram }) => {
      grams.push(gram.slice());
      return network.layers[layer];
    });
    const before = statesBefore(x.data, direction === "reverse", hasInitial);
    for (let a = 0; a < STATES; a++) {
      for (let b = 0; b < STATES; b++) {
        const expected = before.reduce((sum, h) => sum + h[a] * h[b], 0) / before.length;
        expect(grams[1][a * (STATES + 1) + b]).toBeCloseTo(expected, 5);
      }
    }
    const energy = x.data.reduce((sum, value, i) => (i % INPUTS === 0 ? sum + value * value : sum), 0);
    expect(grams[0][0]).toBeCloseTo(energy / (STEPS * BATCH), 4);
  },
);

test("a file has what the walk has run: an LSTM behind a table, without the copies that the walk looks at", async () => {
  const table = floatConstant(normals(30 * INPUTS, 5), [30, INPUTS]);
  const out = floatConstant(normals(STATES * 6, 6), [STATES, 6]);
  const lstm = recurrent("forward", false);
  const graph: CalibrationGraph = {
    ...lstm,
    nodes: [
      makeNode("Gather", ["table", "x"], ["e"]),
      makeNode("LSTM", ["e", "w", "r", "b"], ["all"], { hidden_size: STATES }),
      makeNode("Squeeze", ["all", "one"], ["s"]),
      makeNode("MatMul", ["s", "out"], ["y"]),
    ],
    constants: new Map(lstm.constants).set("table", table).set("out", out),
    inputs: [{ name: "x", dtype: "int32", shape: [STEPS, BATCH] }],
  };
  const model = await readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
  const feeds = Array.from({ length: 6 }, (_, i) => {
    const data = Int32Array.from(
      normals(STEPS * BATCH, 20 + i, 6),
      (value) => Math.abs(Math.round(value)) % 30,
    );
    return new Map([["x", { dtype: "int32" as const, shape: [STEPS, BATCH], data }]]);
  });
  const network = await onnxNetwork(model, ort, feeds);
  expect(network.layers.map(({ name, isTable }) => [name, isTable])).toEqual([
    ["table", true],
    ["w", undefined],
    ["r", undefined],
    ["out", undefined],
  ]);
  const { layers, outputs } = await quantizeCalibrated(network, await network.sensitivities(), 1e-4);
  const restored = await network.restore(layers);
  const bytes = (await collect(writeModel(restored.model!)))["model.onnx"];
  const { InferenceSession, Tensor } = ort as never as typeof import("onnxruntime-web");
  const session = await InferenceSession.create(bytes);
  expect(bytes.length).toBeLessThan(writeGraph(graph).length + 100);
  const run = [];
  for (const feed of feeds) {
    const { data, shape } = feed.get("x")!;
    run.push(...((await session.run({ x: new Tensor("int32", data, shape) }))["y"].data as Float32Array));
  }
  expect(outputs).toEqual(Float32Array.from(run));
  for (const values of layers) expect(values.weights.some((value) => value !== 0)).toBe(true);
});

test("rows that were never looked up share what was seen but once", () => {
  expect([...probabilities(Float64Array.of(0.5, 0.25, 0.25, 0, 0))]).toEqual([
    0.25, 0.125, 0.125, 0.25, 0.25,
  ]);
  expect([...probabilities(Float64Array.of(0.7, 0.2, 0.1, 0))]).toEqual(
    [0.7, 0.2, 0.1].map((p) => p * 0.9).concat(0.1),
  );
  expect([...probabilities(Float64Array.of(0.6, 0.4))]).toEqual([0.6, 0.4]);
});

test("a row that is looked up four times as often has steps half as long; a column of no account loses more", () => {
  const [rows, columns] = [64, 64];
  const layer = {
    name: "table",
    rows,
    columns,
    kernel: [1, 1] as const,
    isTable: true,
    weights: normals(rows * columns, 8),
    biases: new Float32Array(rows),
  };
  // Half of the rows take four fifths of the inputs.
  const shares = Float64Array.from({ length: rows }, (_, v) => (v % 2 === 0 ? 0.8 : 0.2) / (rows / 2));
  const gradients = Float64Array.from({ length: columns }, (_, d) => (d < 32 ? 1 : 0));
  const { steps, levels, weights } = quantizeTable(layer, shares, gradients, 1e-5);
  const mean = (isOften: boolean) => {
    const own = [...steps].filter((_, v) => (v % 2 === 0) === isOften).map(Math.log2);
    return own.reduce((sum, log) => sum + log, 0) / own.length;
  };
  expect(mean(false) - mean(true)).toBeCloseTo(1, 1);
  const errorOf = (isCounted: boolean) =>
    weights.reduce((sum, w, i) => {
      const isOwn = i % columns < 32 === isCounted;
      return isOwn ? sum + (w - layer.weights[i]) ** 2 : sum;
    }, 0);
  expect(errorOf(false)).toBeGreaterThan(errorOf(true));
  const decoded = Float32Array.from(levels, (level, i) => level * steps[Math.floor(i / columns)]);
  expect(weights).toEqual(decoded);
});
