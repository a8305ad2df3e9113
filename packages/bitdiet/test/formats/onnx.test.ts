import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import { memoryFiles } from "../../src/formats/files.js";
import { WEIGHTS_FILE } from "../../src/formats/inline-weights.js";
import { readOnnx, writeOnnx } from "../../src/formats/onnx.js";
import { ModelFileError } from "../../src/model.js";
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

test("a model that onnxruntime runs gives the same outputs after reading and writing", async () => {
  const files = onnxModel();
  const model = await readOnnx(memoryFiles(files), "model.onnx");
  expect(model.tensors.map(({ bytes: _, ...tensor }) => tensor)).toEqual([
    {
      name: "kernel",
      shape: [8, 3, 3, 3],
      dtype: "float32",
      use: { kind: "weight", channelAxis: 0, reason: "floats along two axes" },
    },
    {
      name: "matrix",
      shape: [10, 128],
      dtype: "float32",
      use: { kind: "weight", channelAxis: 0, reason: "floats along two axes" },
    },
  ]);
  const written = await collect(writeOnnx(model));
  const expected = await run(files["model.onnx"]);
  expect(await run(written["model.onnx"])).toEqual(expected);
  // What rides along runs by itself, its weights beside it.
  const weights = Buffer.concat(await Promise.all(model.tensors.map((tensor) => tensor.bytes())));
  expect(await run(model.metadata["graph.onnx"], [{ path: WEIGHTS_FILE, data: weights }])).toEqual(expected);
});

test("weights beside the model are read from there and written there", async () => {
  const files = onnxModel({ external: true });
  const model = await readOnnx(memoryFiles(files), "model.onnx");
  expect(await model.tensors[0].bytes()).toEqual(bytesOf(normals(216, 1, 0.3)));
  const written = await collect(writeOnnx(model));
  expect(Object.keys(written)).toEqual(["model.onnx", "model.onnx.data"]);
  const beside = [{ path: "model.onnx.data", data: written["model.onnx.data"] }];
  expect(await run(written["model.onnx"], beside)).toEqual(await run(onnxModel()["model.onnx"]));
});

test("fields that the reader does not know survive", async () => {
  const written = await collect(writeOnnx(await readOnnx(memoryFiles(onnxModel()), "model.onnx")));
  const text = Buffer.from(written["model.onnx"]).toString("latin1");
  for (const part of ["somebody", "the first", "kernel_shape"]) expect(text).toContain(part);
  expect(written["model.onnx"].length).toBe(onnxModel()["model.onnx"].length);
});

test("half floats kept as integers become their bytes", async () => {
  const int32Data = Array.from({ length: 64 }, (_, i) => 0x3c00 + i);
  const bytes = onnxMessage("Model", {
    graph: { name: "g", initializer: [{ dims: [8, 8], dataType: 10, name: "h", int32Data }] },
  });
  const { tensors } = await readOnnx(memoryFiles({ "m.onnx": bytes }), "m.onnx");
  expect(tensors[0].dtype).toBe("float16");
  expect(await tensors[0].bytes()).toEqual(bytesOf(Uint16Array.from(int32Data)));
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
test.each<[string, Files, string]>([
  ["no protobuf", { "m.onnx": Uint8Array.of(0xff, 0xff, 0xff) }, "m.onnx: not an ONNX protobuf"],
  ["no graph", { "m.onnx": new Uint8Array() }, "without a graph"],
  ["too few bytes", withTensor({ rawData: new Uint8Array(399) }), "m.onnx: t: expected 400 bytes, got 399"],
  ["an absent file of weights", withTensor(beside("0")), "d: no such file"],
  [
    "weights past the end of their file",
    { ...withTensor(beside("500")), d: new Uint8Array(450) },
    "external data at 500",
  ],
  [
    "weights shorter than the shape",
    { ...withTensor(beside("100")), d: new Uint8Array(450) },
    "expected 400 bytes, got 350",
  ],
])("%s is refused with a message that says so", async (_, files, message) => {
  const reading = readOnnx(memoryFiles(files), "m.onnx");
  await expect(reading).rejects.toThrow(ModelFileError);
  await expect(reading).rejects.toThrow(message);
});
