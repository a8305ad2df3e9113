import fc from "fast-check";
import * as ort from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { memoryFiles } from "../../src/formats/files.js";
import { onnxProto } from "../../src/formats/onnx/graph.js";
import { onnxFile, writeOnnx } from "../../src/formats/onnx/write.js";
import { readOnnx } from "../../src/formats/onnx.js";
import { varintBytes } from "../../src/formats/protobuf.js";
import { ModelFileError } from "../../src/model.js";
import { onnxCases } from "./onnx-cases.js";
import { bytesOf, collect, type Files, normals, onnxMessage, onnxModel } from "./small-models.js";

ort.env.wasm.numThreads = 1;

async function run(
  model: Uint8Array,
  externalData?: { path: string; data: Uint8Array }[],
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(model, { externalData, graphOptimizationLevel: "basic" });
  const { y } = await session.run({ x: new ort.Tensor("float32", normals(108, 99), [1, 3, 6, 6]) });
  await session.release();
  return y.data as Float32Array;
}
const read = (files: Files, name = "m.onnx") => readOnnx(memoryFiles(files), name);

test("tensors say what they are, and the model is written as it was read, byte for byte", async () => {
  const files = onnxModel();
  const model = await read(files, "model.onnx");
  expect(model.tensors.map(({ bytes: _, ...tensor }) => tensor)).toEqual([
    {
      name: "kernel",
      shape: [8, 3, 3, 3],
      dtype: "float32",
      use: { kind: "weight", channelAxis: 0, reason: "kernel of Conv conv", isConvolution: true },
    },
    {
      name: "matrix",
      shape: [10, 128],
      dtype: "float32",
      use: { kind: "weight", channelAxis: 0, reason: "matrix of Gemm fc" },
    },
  ]);
  expect(await collect(writeOnnx(model))).toEqual(files);
  // The graph says which tensors it lacks, and has the others.
  const { graph } = onnxProto(model.metadata["graph.onnx"]);
  expect(graph.initializers.map(({ name, place }) => [name, place])).toEqual([
    ["kernel", 0],
    ["bias", undefined],
    ["shape", undefined],
    ["matrix", 1],
  ]);
});

test("weights beside the model are read from there and written there, and one file can have all", async () => {
  const files = onnxModel({ external: true });
  const model = await read(files, "model.onnx");
  expect(await model.tensors[0].bytes()).toEqual(bytesOf(normals(216, 1, 0.3)));
  expect(await collect(writeOnnx(model))).toEqual(files);
  const beside = [{ path: "model.onnx.data", data: files["model.onnx.data"] }];
  const expected = await run(onnxModel()["model.onnx"]);
  expect(await run(files["model.onnx"], beside)).toEqual(expected);
  expect(await run(new Uint8Array(Buffer.concat(await onnxFile(model))))).toEqual(expected);
});

describe.each(Object.entries(onnxCases))("tensors in %s", (_, { files, uses }) => {
  test("are found, each with its use, and come back byte for byte", async () => {
    const model = await read(files);
    expect(Object.fromEntries(model.tensors.map(({ name, use }) => [name, use.kind]))).toEqual(uses);
    expect(await collect(writeOnnx(model))).toEqual(files);
  });
});

test("the axis of output channels is found behind a transpose and a reshape", async () => {
  const { tensors } = await read(onnxCases["transposed, reshaped and cast on the way"].files);
  // [256, 4] is reshaped to [32, 32] and transposed: columns of the product were rows of 8 of these.
  expect(tensors[0].use).toMatchObject({ kind: "weight", channelAxis: 0 });
});

describe("bytes come back", () => {
  const values = normals(64, 4);
  const storages = {
    raw: { dataType: 1, rawData: bytesOf(values) },
    packed: { dataType: 1, floatData: [...values] },
    "one by one": { dataType: 11, doubleData: [...values] },
    "halves as integers": { dataType: 10, int32Data: Array.from(values, (_, i) => 0x3c00 + 37 * i) },
    "negative integers": { dataType: 6, int32Data: Array.from(values, (_, i) => -i) },
    "64 bits": { dataType: 7, int64Data: Array.from(values, (_, i) => -(2 ** 40) * i) },
  };
  test.each(Object.entries(storages))("however numbers are stored: %s", async (_, storage) => {
    const bytes = onnxMessage("Model", {
      graph: { name: "g", initializer: [{ dims: [8, 8], name: "t", ...storage }] },
    });
    const model = await read({ "m.onnx": bytes });
    expect(model.tensors.length).toBe(1);
    expect(model.metadata["graph.onnx"].length).toBeLessThan(60);
    expect((await collect(writeOnnx(model)))["m.onnx"]).toEqual(bytes);
  });

  test("where lengths are longer than they need to be, and fields are in no order", async () => {
    const tensor = onnxMessage("Tensor", { dims: [8, 8], dataType: 1, rawData: bytesOf(values), name: "t" });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 3, max: 9 }),
        fc.uint8Array({ maxLength: 40 }),
        async (width, other) => {
          const padded = (id: number, payload: Uint8Array) => {
            const length = Array.from(
              { length: width },
              (_, i) => (Math.floor(payload.length / 128 ** i) & 127) | 128,
            );
            length[width - 1] &= 127;
            return Buffer.concat([Uint8Array.of(8 * id + 2, ...length), payload]);
          };
          const unknown = padded(14, other);
          const graph = Buffer.concat([unknown, padded(5, tensor), unknown]);
          const bytes = new Uint8Array(Buffer.concat([padded(7, graph), Uint8Array.of(8, 0x88, 0)]));
          const model = await read({ "m.onnx": bytes });
          expect(model.tensors.length).toBe(1);
          expect((await collect(writeOnnx(model)))["m.onnx"]).toEqual(bytes);
        },
      ),
      { numRuns: 30 },
    );
  });
});

const tensor = { dims: [100], dataType: 1, name: "t" };
const withTensor = (value: object): Files => ({
  "m.onnx": onnxMessage("Model", { graph: { name: "g", initializer: [{ ...tensor, ...value }] } }),
});
const beside = (offset: string) => ({
  location: 1,
  external: [
    { key: "location", value: "d" },
    { key: "offset", value: offset },
  ],
});
const text = (content: string) => ({ "m.onnx": new TextEncoder().encode(content) });
/** A graph in an attribute of a node of a graph in an attribute … */
function nested(depth: number): Uint8Array {
  let graph = Buffer.alloc(0);
  for (const id of new Array(depth).fill([6, 5, 1]).flat())
    graph = Buffer.concat([Uint8Array.of(8 * id + 2, ...varintBytes(graph.length)), graph]);
  return Buffer.concat([Uint8Array.of(58, ...varintBytes(graph.length)), graph]);
}
test.each<[string, Files, string]>([
  ["no protobuf", { "m.onnx": Uint8Array.of(0xff, 0xff, 0xff) }, "m.onnx: no protobuf"],
  ["no graph", { "m.onnx": new Uint8Array() }, "m.onnx: an ONNX model without a graph"],
  [
    "a Git LFS pointer",
    text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "this is a Git LFS pointer",
  ],
  ["a page", text("<!DOCTYPE html><html>"), "m.onnx: this is a page of HTML"],
  ["an absent file of weights", withTensor(beside("0")), "d: no such file"],
  [
    "weights past the end of their file",
    { ...withTensor(beside("500")), d: new Uint8Array(450) },
    "ends at byte 900",
  ],
  ["graphs in graphs in graphs", { "m.onnx": nested(120) }, "more than 100 deep"],
])("%s is refused with a message that says so", async (_, files, message) => {
  const reading = read(files);
  await expect(reading).rejects.toThrow(ModelFileError);
  await expect(reading).rejects.toThrow(message);
});

test("a graph that asks for other tensors than there are is refused", async () => {
  const model = await read(onnxCases["a Constant node's value"].files);
  const fewer = collect(writeOnnx({ ...model, tensors: [] }));
  await expect(fewer).rejects.toThrow("graph: expected one tensor 0");
});
