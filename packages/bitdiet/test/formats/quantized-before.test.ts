/** Models that come quantized: integers, scales and zero points are kept, and the decoded graph gives the very same outputs. */
import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import {
  compressModel,
  memoryFiles,
  openBitdiet,
  openSource,
  readHeader,
  readModel,
} from "../../src/index.js";
import { madeUpInputs } from "../../src/networks/inputs/made-up.js";
import { dequantizedModel } from "../../src/networks/onnx/dequantized.js";
import {
  type Constant,
  floatConstant,
  makeNode,
  modelOfVersion,
  type OnnxNode,
  payloadField,
  varintField,
  writeGraph,
} from "../../src/networks/onnx/graph.js";
import { onnxRunner } from "../../src/networks/onnx/run.js";
import { laplace, random } from "../samples.js";

const bytesOf = (values: ArrayBufferView) => new Uint8Array(values.buffer);
const sizeOf = (shape: number[]) => shape.reduce((a, b) => a * b);
const clipped = (value: number, most: number) => Math.max(-most, Math.min(most, value));
const int8 = (shape: number[]): Constant => ({
  dtype: "int8",
  shape,
  bytes: bytesOf(Int8Array.from(laplace(sizeOf(shape), 12, 3), (value) => clipped(value, 127))),
});
const uint8 = (shape: number[]): Constant => ({
  dtype: "uint8",
  shape,
  bytes: Uint8Array.from(laplace(sizeOf(shape), 12, 3), (value) => 128 + clipped(value, 127)),
});
/** Integers of 4 bits about 8, two in a byte. */
const four = (dtype: "uint4" | "uint8", shape: number[], count: number): Constant => {
  const integers = laplace(count, 1, 4).map((value) => 8 + clipped(value, 7));
  const bytes = Uint8Array.from(
    { length: count / 2 },
    (_, i) => integers[2 * i] | (integers[2 * i + 1] << 4),
  );
  return { dtype, shape, bytes };
};
const scales = (count: number, shape = [count]) => {
  const next = random(7);
  return floatConstant(
    Float32Array.from({ length: count }, () => 0.001 + 0.01 * next()),
    shape,
  );
};
const zero = (dtype: "int8" | "uint8"): Constant => ({ dtype, shape: [], bytes: new Uint8Array(1) });
const scalar = (value: number) => floatConstant(Float32Array.of(value), []);
const microsoft = (node: OnnxNode): OnnxNode => ({ ...node, domain: "com.microsoft" });

interface Case {
  name: string;
  input: (number | string)[];
  nodes: OnnxNode[];
  constants: Record<string, Constant>;
}

const node = makeNode;
const cases: Case[] = [
  {
    name: "QDQ: a convolution whose weight and input are dequantized",
    input: [1, 16, 8, 8],
    nodes: [
      node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
      node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
      node("DequantizeLinear", ["w", "ws"], ["wd"], { axis: 0 }),
      node("Conv", ["xd", "wd"], ["y"]),
    ],
    constants: { xs: scalar(0.02), xz: zero("uint8"), w: int8([32, 16, 3, 3]), ws: scales(32) },
  },
  {
    name: "QOperator: QLinearConv",
    input: [1, 16, 8, 8],
    nodes: [
      node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
      node("QLinearConv", ["xq", "xs", "xz", "w", "ws", "wz", "ys", "xz"], ["yq"]),
      node("DequantizeLinear", ["yq", "ys", "xz"], ["y"]),
    ],
    constants: {
      ...{ xs: scalar(0.02), xz: zero("uint8"), ys: scalar(0.05) },
      ...{
        w: int8([32, 16, 3, 3]),
        ws: scales(32),
        wz: { dtype: "int8", shape: [32], bytes: new Uint8Array(32) },
      },
    },
  },
  {
    name: "dynamic: MatMulInteger",
    input: [4, 64],
    nodes: [
      node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
      node("MatMulInteger", ["xq", "w", "xz", "wz"], ["yi"]),
      node("Cast", ["yi"], ["yf"], { to: 1 }),
      node("Mul", ["yf", "xs"], ["y"]),
    ],
    constants: { w: int8([64, 48]), wz: zero("int8") },
  },
  {
    name: "dynamic: ConvInteger",
    input: [1, 16, 8, 8],
    nodes: [
      node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
      node("ConvInteger", ["xq", "w", "xz"], ["yi"]),
      node("Cast", ["yi"], ["y"], { to: 1 }),
    ],
    constants: { w: uint8([24, 16, 3, 3]) },
  },
  {
    name: "MatMulNBits: two integers in a byte",
    input: [4, 64],
    nodes: [
      microsoft(node("MatMulNBits", ["x", "w", "s"], ["y"], { K: 64, N: 96, bits: 4, block_size: 32 })),
    ],
    constants: { w: four("uint8", [96, 2, 16], 96 * 64), s: scales(192) },
  },
  {
    name: "a blocked DequantizeLinear of 4 bits",
    input: [4, 64],
    nodes: [
      node("DequantizeLinear", ["w", "s"], ["wd"], { axis: 0, block_size: 32 }),
      node("MatMul", ["x", "wd"], ["y"]),
    ],
    constants: { w: four("uint4", [64, 96], 64 * 96), s: scales(192, [2, 96]) },
  },
];

const fileOf = ({ input, nodes, constants }: Case) => {
  const { opset, modelFields } = modelOfVersion(21);
  const domain = payloadField(8, [payloadField(1, "com.microsoft"), varintField(2, 1)]);
  return writeGraph({
    nodes,
    constants: new Map(Object.entries(constants)),
    inputs: [{ name: "x", dtype: "float32", shape: input }],
    outputs: [{ name: "y", dtype: "float32" }],
    opset,
    modelFields: [varintField(1, 10), ...modelFields.slice(1), domain],
  });
};

test.each(cases)("$name", async (each) => {
  const file = fileOf(each);
  const model = await readModel(memoryFiles({ "m.onnx": file }), "m.onnx");
  // Even where a size would be lossy of floats.
  const { bytes, report } = await compressModel(model, { quality: 20 });
  expect(report.tensors.filter(({ kept }) => kept === "quantized before").map(({ name }) => name)).toEqual([
    "w",
  ]);
  expect(report.tensors.every(({ kept }) => kept === "exact" || kept === "quantized before")).toBe(true);
  const [entry] = readHeader(bytes).tensors.filter(({ name }) => name === "w");
  expect(entry.integers).toBeDefined();
  const decoded = (await openBitdiet(await openSource(bytes))).model;
  const [before, after] = await Promise.all([
    onnxRunner(model, ort as never),
    onnxRunner(decoded, ort as never),
  ]);
  const [feeds] = madeUpInputs(before.inputs, { count: 1, seed: 5 });
  const outputs = (await before.run(feeds)).get("y")!.data as Float32Array;
  expect(outputs.some((value) => value !== 0)).toBe(true);
  expect((await after.run(feeds)).get("y")!.data).toEqual(outputs);
});

test("a size that integers do not fit is missed, and what helps is named", async () => {
  const model = await readModel(memoryFiles({ "m.onnx": fileOf(cases[0]) }), "m.onnx");
  await expect(compressModel(model, { bits: 4 })).rejects.toThrow("--requantize");
});

test.each([cases[0], cases[5]])("as weights again: $name", async (each) => {
  const model = await readModel(memoryFiles({ "m.onnx": fileOf(each) }), "m.onnx");
  const floats = (await dequantizedModel(model))!;
  expect(floats.tensors.find(({ name }) => name === "wd")).toMatchObject({
    dtype: "float32",
    use: { kind: "weight" },
  });
  const [before, after] = await Promise.all([
    onnxRunner(model, ort as never),
    onnxRunner(floats, ort as never),
  ]);
  const [feeds] = madeUpInputs(before.inputs, { count: 1, seed: 5 });
  const values = (outputs: Awaited<ReturnType<typeof before.run>>) => [
    ...(outputs.get("y")!.data as Float32Array),
  ];
  const wanted = values(await before.run(feeds));
  const scale = Math.max(...wanted.map(Math.abs));
  values(await after.run(feeds)).forEach((value, i) => {
    expect(Math.abs(value - wanted[i])).toBeLessThan(1e-5 * scale);
  });
  const { report } = await compressModel(floats, { bits: 4 });
  expect(report.tensors.find(({ name }) => name === "wd")!.kept).toBe("quantized");
  expect(await dequantizedModel(floats)).toBeUndefined();
});
