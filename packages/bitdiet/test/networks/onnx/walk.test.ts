import { expect, test } from "vitest";
import { toRows } from "../../../src/file/rows.js";
import { type CalibrationGraph, floatConstant, makeNode } from "../../../src/networks/onnx/graph.js";
import { layersOf, type OnnxLayer, valuesInRows } from "../../../src/networks/onnx/layers.js";
import { prepareGraph } from "../../../src/networks/onnx/prepare.js";
import { walkOf } from "../../../src/networks/onnx/walk.js";
import type { RunTensor } from "../../../src/networks/runner.js";
import { normals } from "../../formats/small-models.js";
import { graphOf, runGraph, runtime, tensor, worst } from "./small-graphs.js";

const weight = (shape: number[], seed: number) =>
  floatConstant(
    normals(
      shape.reduce((a, b) => a * b, 1),
      seed,
      0.4,
    ),
    shape,
  );

interface Case {
  title: string;
  op: string;
  w: number[];
  x: number[];
  attributes?: Parameters<typeof makeNode>[3];
  left?: boolean;
  rows: number;
  columns: number;
}

const cases: Case[] = [
  {
    title: "a convolution with strides, dilations and uneven pads",
    op: "Conv",
    w: [5, 3, 3, 2],
    x: [2, 3, 9, 8],
    attributes: { strides: [2, 1], dilations: [1, 2], pads: [0, 1, 2, 1] },
    rows: 5,
    columns: 18,
  },
  {
    title: "a grouped convolution, padded to the same size below",
    op: "Conv",
    w: [6, 2, 3, 3],
    x: [1, 4, 7, 7],
    attributes: { group: 2, strides: [2, 2], auto_pad: "SAME_LOWER" },
    rows: 6,
    columns: 18,
  },
  {
    title: "a depthwise convolution, padded to the same size above",
    op: "Conv",
    w: [4, 1, 4, 4],
    x: [1, 4, 7, 7],
    attributes: { group: 4, auto_pad: "SAME_UPPER" },
    rows: 4,
    columns: 16,
  },
  {
    title: "a convolution of one dimension",
    op: "Conv",
    w: [5, 3, 4],
    x: [2, 3, 11],
    attributes: { strides: [3], pads: [2, 0] },
    rows: 5,
    columns: 12,
  },
  {
    title: "a convolution of three dimensions",
    op: "Conv",
    w: [2, 2, 2, 3, 2],
    x: [1, 2, 4, 5, 3],
    attributes: { pads: [1, 0, 0, 0, 1, 0] },
    rows: 2,
    columns: 24,
  },
  {
    title: "a transposed convolution without overlaps",
    op: "ConvTranspose",
    w: [4, 3, 2, 2],
    x: [1, 4, 5, 4],
    attributes: { strides: [2, 2] },
    rows: 3,
    columns: 16,
  },
  {
    title: "a transposed convolution with overlaps, pads and output padding",
    op: "ConvTranspose",
    w: [3, 2, 3, 4],
    x: [2, 3, 4, 5],
    attributes: { strides: [2, 3], pads: [1, 0, 0, 2], output_padding: [1, 0], dilations: [2, 1] },
    rows: 2,
    columns: 36,
  },
  {
    title: "a transposed convolution of one dimension",
    op: "ConvTranspose",
    w: [3, 4, 3],
    x: [1, 3, 6],
    attributes: { strides: [2] },
    rows: 4,
    columns: 9,
  },
  {
    title: "a transposed depthwise convolution",
    op: "ConvTranspose",
    w: [3, 1, 3, 3],
    x: [1, 3, 5, 4],
    attributes: { strides: [2, 2], group: 3 },
    rows: 3,
    columns: 9,
  },
  { title: "a matrix product", op: "MatMul", w: [6, 4], x: [2, 3, 6], rows: 4, columns: 6 },
  {
    title: "a matrix product from the left",
    op: "MatMul",
    w: [4, 6],
    x: [2, 6, 5],
    left: true,
    rows: 4,
    columns: 6,
  },
  { title: "a Gemm", op: "Gemm", w: [6, 4], x: [7, 6], rows: 4, columns: 6 },
  {
    title: "a Gemm with both sides turned",
    op: "Gemm",
    w: [4, 6],
    x: [6, 7],
    attributes: { transA: 1, transB: 1 },
    rows: 4,
    columns: 6,
  },
];

/** A layer's output from its windows alone. */
function outputOf(layer: OnnxLayer, x: RunTensor, size: number): Float32Array {
  const { rows, columns, groups = 1, weights, biases, window } = layer;
  const { count, read, output, rowStride } = window(x.shape);
  expect(count * rows).toBe(size);
  const y = new Float32Array(size);
  const patch = new Float32Array(columns);
  for (let p = 0; p < count; p++) {
    for (let r = 0; r < rows; r++) {
      read(p, Math.floor((r * groups) / rows), x.data as Float32Array, patch, 0);
      let sum = biases[r];
      for (let c = 0; c < columns; c++) sum += weights[r * columns + c] * patch[c];
      y[output(p) + r * rowStride] = sum;
    }
  }
  return y;
}

test.each(cases)("$title is its rows times what its windows read", async (given) => {
  const inputs = given.left ? ["w", "x"] : ["x", "w"];
  const graph = prepareGraph(
    graphOf([makeNode(given.op, inputs, ["y"], given.attributes)], { w: weight(given.w, 3) }, given.x),
  );
  const layers = layersOf(graph);
  expect(layers.map(({ rows, columns }) => [rows, columns])).toEqual([[given.rows, given.columns]]);
  const x = tensor(given.x, 5);
  const exact = (await runGraph(graph, x)).data as Float32Array;
  expect(worst(outputOf(layers[0], x, exact.length), exact)).toBeLessThan(1e-5);
  const { axis, weights } = layers[0];
  expect(valuesInRows(toRows(weights, given.w, 0), given.w, 0)).toEqual(weights);
  expect(valuesInRows(weights, given.w, axis)).toEqual(normals(weights.length, 3, 0.4));
});

test("weights that are no layer here are left alone: shared ones, batched ones, scaled ones", () => {
  const x = [1, 3, 4, 4];
  const none = (nodes: Parameters<typeof graphOf>[0], w: number[]) =>
    expect(layersOf(graphOf(nodes, { w: weight(w, 1) }, x))).toEqual([]);
  none([makeNode("Conv", ["x", "w"], ["a"]), makeNode("Conv", ["a", "w"], ["y"])], [3, 3, 1, 1]);
  none([makeNode("MatMul", ["x", "w"], ["y"])], [1, 3, 4, 2]);
  none([makeNode("Gemm", ["x", "w"], ["y"], { alpha: Float32Array.of(2) })], [4, 2]);
  none([makeNode("ConvTranspose", ["x", "w"], ["y"], { group: 3 })], [3, 2, 1, 1]);
});

/** Two convolutions, the second depthwise, a residual sum and a matrix product. */
function residualGraph(): CalibrationGraph {
  return prepareGraph(
    graphOf(
      [
        makeNode("Conv", ["x", "w1", "b1"], ["c1"], { pads: [1, 1, 1, 1] }),
        makeNode("Relu", ["c1"], ["r1"]),
        makeNode("Conv", ["r1", "w2", "b2"], ["c2"], { group: 4, pads: [1, 1, 1, 1] }),
        makeNode("Relu", ["c2"], ["r2"]),
        makeNode("Conv", ["r2", "w3", "b3"], ["c3"]),
        makeNode("Add", ["c3", "r1"], ["s"]),
        makeNode("GlobalAveragePool", ["s"], ["p"]),
        makeNode("Flatten", ["p"], ["f"]),
        makeNode("MatMul", ["f", "w4"], ["y"]),
      ],
      {
        w1: weight([4, 2, 3, 3], 1),
        b1: weight([4], 2),
        w2: weight([4, 1, 3, 3], 3),
        b2: weight([4], 4),
        w3: weight([4, 4, 1, 1], 5),
        b3: weight([4], 6),
        w4: weight([4, 3], 7),
      },
      [undefined, 2, 5, 4],
    ),
  );
}
const feeds = [tensor([2, 2, 5, 4], 20), tensor([1, 2, 5, 4], 21), tensor([3, 2, 5, 4], 22)];
const feedMaps = feeds.map((x) => new Map([["x", x]]));

test("a walk with the layers' own parameters gives the model's outputs and leaves no error to make good", async () => {
  const graph = residualGraph();
  const layers = layersOf(graph);
  expect(layers.map(({ groups = 1, bias }) => [groups, bias])).toEqual([
    [1, "b1"],
    [4, "b2"],
    [1, "b3"],
    [1, undefined],
  ]);
  const exact = await Promise.all(
    feeds.map(async (x) => [...((await runGraph(graph, x)).data as Float32Array)]),
  );
  const outputs = await walkOf({ runtime, graph, layers, feeds: feedMaps })((layer, { residual }) => {
    expect(worst(residual, new Float64Array(residual.length))).toBeLessThan(1e-6);
    return layers[layer];
  });
  expect(worst(outputs, exact.flat())).toBeLessThan(1e-5);
});

test("moments and residuals are those of all positions in plain loops, sums with another branch included", async () => {
  const graph = residualGraph();
  const layers = layersOf(graph);
  expect(layers.map(({ addedTo }) => addedTo)).toEqual([undefined, undefined, "r1", undefined]);
  // The first layer's weights shrink; all others stay.
  const shrunk = { weights: layers[0].weights.map((w) => 0.7 * w), biases: layers[0].biases };
  const changed = {
    ...graph,
    constants: new Map(graph.constants).set("w1", floatConstant(shrunk.weights, [4, 2, 3, 3])),
  };
  const found: { gram: Float64Array; residual: Float64Array }[] = [];
  await walkOf({ runtime, graph, layers, feeds: feedMaps })((layer, statistics) => {
    found[layer] = statistics;
    return layer === 0 ? shrunk : layers[layer];
  });
  for (const [l, { rows, columns, groups = 1, window, input, output, addedTo, bias }] of layers.entries()) {
    const n = columns + 1;
    const gram = new Float64Array(groups * n * n);
    const residual = new Float64Array(rows * n);
    let samples = 0;
    for (const x of feeds) {
      const at = async (g: CalibrationGraph, value: string) =>
        (value === "x" ? x : await runGraph(g, x, value)) as RunTensor & { data: Float32Array };
      const xq = await at(changed, input);
      // The layer with its float weights on the changed input.
      const own = { ...graph, constants: l === 0 ? graph.constants : changed.constants };
      const [wanted, now] = [await at(graph, output), await at(own, output)];
      const [sf, sq] = addedTo ? [await at(graph, addedTo), await at(changed, addedTo)] : [];
      const positions = window(xq.shape);
      samples += positions.count;
      for (let p = 0; p < positions.count; p++) {
        for (let r = 0; r < rows; r++) {
          const g = Math.floor((r * groups) / rows);
          const patch = new Float32Array(n);
          positions.read(p, g, xq.data, patch, 0);
          patch[columns] = bias === undefined ? 0 : 1;
          const i = positions.output(p) + r * positions.rowStride;
          const error = wanted.data[i] - now.data[i] + (sf && sq ? sf.data[i] - sq.data[i] : 0);
          for (let a = 0; a < n; a++) residual[r * n + a] += error * patch[a];
          if (r % (rows / groups) !== 0) continue;
          for (let a = 0; a < n; a++)
            for (let b = 0; b < n; b++) gram[(g * n + a) * n + b] += patch[a] * patch[b];
        }
      }
    }
    if (bias === undefined) gram[gram.length - 1] = samples;
    expect(
      worst(
        found[l].gram,
        gram.map((v) => v / samples),
      ),
    ).toBeLessThan(1e-4);
    expect(
      worst(
        found[l].residual,
        residual.map((v) => v / samples),
      ),
    ).toBeLessThan(1e-4);
  }
});
