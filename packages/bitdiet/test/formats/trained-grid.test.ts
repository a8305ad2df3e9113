/** Weights that were trained on a grid: they land on its levels, and a graph that rounds them as it runs gives the very same outputs. */
import * as ort from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { fakeQuantGrid, linearGrid } from "../../src/formats/grid.js";
import {
  compressModel,
  type Model,
  memoryFiles,
  openBitdiet,
  openSource,
  readModel,
} from "../../src/index.js";
import { madeUpInputs } from "../../src/networks/inputs/made-up.js";
import {
  type Constant,
  floatConstant,
  modelOfVersion,
  makeNode as node,
  type OnnxNode,
  varintField,
  writeGraph,
} from "../../src/networks/onnx/graph.js";
import { onnxRunner } from "../../src/networks/onnx/run.js";
import { offGrid } from "../../src/quantize/exceptions.js";
import { onGrid, onTrainedLevels } from "../../src/quantize/on-grid.js";
import { normals } from "./small-models.js";

describe("grids", () => {
  test.each([
    // Bounds with 0 on a level stay; others move by less than half a step.
    [
      { min: 0, max: 6, bits: 8, isNarrow: false },
      { step: 6 / 255, least: 0, most: 255 },
    ],
    [
      { min: -1, max: 1, bits: 8, isNarrow: true },
      { step: 2 / 254, least: -127, most: 127 },
    ],
    [
      { min: -0.5, max: 0.25, bits: 4, isNarrow: false },
      { step: 0.05, least: -10, most: 5 },
    ],
    [
      { min: -0.49, max: 0.26, bits: 4, isNarrow: false },
      { step: 0.05, least: -10, most: 5 },
    ],
  ])("of FakeQuant %j", (bounds, { step, least, most }) => {
    const grid = fakeQuantGrid(bounds)!;
    expect(grid.steps[0]).toBeCloseTo(step, 7);
    expect(grid).toMatchObject({ least: [least], most: [most] });
  });

  test("that are none", () => {
    for (const [min, max] of [
      [undefined, 1],
      [1, 2],
      [0, 0],
      [Number.NaN, 1],
    ])
      expect(fakeQuantGrid({ min, max, bits: 8, isNarrow: false })).toBeUndefined();
    expect(linearGrid([0.1, 0], [], "int8")).toBeUndefined();
    expect(linearGrid([0.1, 0.2], [0], "int8")).toBeUndefined();
    expect(linearGrid([0.1], [], "float8_e4m3")).toBeUndefined();
  });

  test("round half to even, and clip", () => {
    const grid = { steps: Float32Array.of(0.5), least: [-2], most: [3] };
    const values = Float32Array.of(0.25, 0.75, -0.25, -0.75, 9, -9);
    expect([...onGrid({ values, shape: [6], axis: 0 }, grid)!.integers].map((i) => i + 0)).toEqual([
      0, 2, 0, -2, 3, -2,
    ]);
    expect(onGrid({ values: Float32Array.of(Number.NaN), shape: [1], axis: 0 }, grid)).toBeUndefined();
  });
});

const vector = (values: number[]) => floatConstant(Float32Array.from(values), [values.length]);
const zeros = (count: number): Constant => ({
  dtype: "int8",
  shape: count === 1 ? [] : [count],
  bytes: new Uint8Array(count),
});
const scalesOf = (count: number) => vector(Array.from({ length: count }, (_, i) => 0.002 + 0.0003 * i));

async function onnx(input: number[], nodes: OnnxNode[], constants: Record<string, Constant>): Promise<Model> {
  const { opset, modelFields } = modelOfVersion(13);
  const file = writeGraph({
    nodes,
    constants: new Map(Object.entries(constants)),
    inputs: [{ name: "x", dtype: "float32", shape: input }],
    outputs: [{ name: "y", dtype: "float32" }],
    opset,
    modelFields: [varintField(1, 8), ...modelFields.slice(1)],
  });
  return readModel(memoryFiles({ "m.onnx": file }), "m.onnx");
}

const rounded = (axis: number) => [
  node("QuantizeLinear", ["w", "s", "z"], ["q"], { axis }),
  node("DequantizeLinear", ["q", "s", "z"], ["d"], { axis }),
];
const kernel = floatConstant(normals(24 * 8 * 9, 1, 0.1), [24, 8, 3, 3]);
const matrix = floatConstant(normals(64 * 48, 2, 0.1), [64, 48]);
const conv = node("Conv", ["x", "d"], ["y"]);

describe("an ONNX graph that rounds its weights as it runs", () => {
  test.each([
    [
      "a step for each channel",
      [1, 8, 6, 6],
      [...rounded(0), conv],
      { w: kernel, s: scalesOf(24), z: zeros(24) },
    ],
    ["one step", [1, 8, 6, 6], [...rounded(0), conv], { w: kernel, s: vector([0.003]), z: zeros(1) }],
    [
      "columns of a matrix",
      [4, 64],
      [...rounded(1), node("MatMul", ["x", "d"], ["y"])],
      { w: matrix, s: scalesOf(48), z: zeros(48) },
    ],
    [
      "no zero point, unsigned, moved",
      [4, 48],
      [
        node("QuantizeLinear", ["w", "s"], ["q"]),
        node("DequantizeLinear", ["q", "s"], ["t"]),
        node("Transpose", ["t"], ["d"], { perm: [1, 0] }),
        node("MatMul", ["x", "d"], ["y"]),
      ],
      { w: matrix, s: floatConstant(Float32Array.of(0.002), []) },
    ],
  ] as const)("gives the same outputs: %s", async (_, input, nodes, constants) => {
    const model = await onnx([...input], [...nodes], { ...constants });
    const { bytes, report } = await compressModel(model, { quality: 20 });
    expect(report.tensors.find(({ name }) => name === "w")!.kept).toBe("quantized before");
    const { model: decoded } = await openBitdiet(await openSource(bytes));
    const [before, after] = await Promise.all([onnxRunner(model, ort), onnxRunner(decoded, ort)]);
    const [feeds] = madeUpInputs(before.inputs, { count: 1, seed: 5 });
    const outputs = (await before.run(feeds)).get("y")!.data as Float32Array;
    expect(outputs.some((value) => value !== 0)).toBe(true);
    expect((await after.run(feeds)).get("y")!.data).toEqual(outputs);
  });

  test("leaves weights free that are used as they are, too, or have steps along another axis", async () => {
    const both = await onnx(
      [1, 8, 6, 6],
      [
        ...rounded(0),
        node("Conv", ["x", "d"], ["a"]),
        node("Conv", ["x", "w"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
      ],
      { w: kernel, s: scalesOf(24), z: zeros(24) },
    );
    const across = await onnx([4, 64], [...rounded(0), node("MatMul", ["x", "d"], ["y"])], {
      ...{ w: matrix, s: scalesOf(64), z: zeros(64) },
    });
    for (const model of [both, across]) {
      const { report } = await compressModel(model, { bits: 4 });
      expect(report.tensors.find(({ name }) => name === "w")!.kept).toBe("quantized");
    }
  });
});

test("weights behind TensorFlow's FakeQuant land on its levels, unless they may leave them", async () => {
  const weights = { w: normals(16 * 32, 3, 0.1), min: Float32Array.of(-0.3), max: Float32Array.of(0.33) };
  const constant = (name: string) => ({ name, op: "Const", attr: { dtype: { type: "DT_FLOAT" } } });
  const json = {
    format: "graph-model",
    modelTopology: {
      node: [
        { name: "x", op: "Placeholder", attr: {} },
        ...Object.keys(weights).map(constant),
        { name: "read", op: "Identity", input: ["w"] },
        {
          name: "f",
          op: "FakeQuantWithMinMaxVars",
          input: ["read", "min", "max"],
          attr: { num_bits: { i: "4" }, narrow_range: { b: true } },
        },
        { name: "y", op: "MatMul", input: ["x", "f"] },
      ],
    },
    weightsManifest: [
      {
        paths: ["w.bin"],
        weights: [
          { name: "w", shape: [16, 32], dtype: "float32" },
          { name: "min", shape: [], dtype: "float32" },
          { name: "max", shape: [], dtype: "float32" },
        ],
      },
    ],
  };
  const bin = Buffer.concat(Object.values(weights).map(({ buffer }) => new Uint8Array(buffer)));
  const files = {
    "model.json": new TextEncoder().encode(JSON.stringify(json)),
    "w.bin": new Uint8Array(bin),
  };
  const model = await readModel(memoryFiles(files), "model.json");
  const { bytes, report } = await compressModel(model, { quality: 90 });
  expect(report.tensors[0].kept).toBe("quantized before");
  const { model: decoded } = await openBitdiet(await openSource(bytes));
  const values = new Float32Array((await decoded.tensors[0].bytes()).slice().buffer);
  // Levels 1 to 15, 0 is 8 of them: 0.63 / 14 apart, bounds moved to -7 and 7 steps.
  const levels = [...values].map((value) => value / (0.63 / 14));
  for (const [i, level] of levels.entries()) {
    const wanted = Math.max(-7, Math.min(7, Math.round(weights.w[i] / (0.63 / 14))));
    expect(level).toBeCloseTo(wanted, 5);
  }
  // So rounded beforehand, nothing is lost at all.
  const { report: again } = await compressModel(onTrainedLevels(model), { quality: 90 });
  expect(again.tensors[0].signalToNoise).toBe(Infinity);
  expect((await compressModel(offGrid(model)!, { quality: 90 })).report.tensors[0].kept).toBe("quantized");
  expect(offGrid(offGrid(model)!)).toBeUndefined();
});
