import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import { compressModel } from "../../src/compress.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readOnnx, writeOnnx } from "../../src/formats/onnx.js";
import { readTfjs } from "../../src/formats/tfjs.js";
import { onnxFileFromBitdiet, onnxFromBitdiet } from "../../src/loaders/onnx.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { bitdietCache } from "../../src/loaders/transformers.js";
import { collect, layersModelFiles, normals, onnxModel } from "../formats/small-models.js";

ort.env.wasm.numThreads = 1;

async function run(
  model: Uint8Array,
  externalData?: { path: string; data: Uint8Array }[],
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(model, { externalData });
  const { y } = await session.run({ x: new ort.Tensor("float32", normals(108, 99), [1, 3, 6, 6]) });
  await session.release();
  return y.data as Float32Array;
}
async function compressed(external = false): Promise<Uint8Array> {
  const model = await readOnnx(memoryFiles(onnxModel({ external })), "model.onnx");
  return (await compressModel(model, { bits: 7 })).bytes;
}

test("onnxruntime runs a .bitdiet file as it runs the decompressed model, and nearly as the original", async () => {
  const bytes = await compressed();
  const plain = await collect(writeOnnx((await openBitdiet(await openSource(bytes))).model));
  const expected = await run(plain["model.onnx"]);
  const { model, externalData } = await onnxFromBitdiet(bytes);
  expect(await run(model, externalData)).toEqual(expected);
  const file = new Uint8Array(Buffer.concat(await onnxFileFromBitdiet(bytes)));
  expect(await run(file)).toEqual(expected);
  const exact = await run(onnxModel()["model.onnx"]);
  const scale = Math.max(...exact.map(Math.abs));
  const error = Math.max(...exact.map((value, i) => Math.abs(value - expected[i])));
  expect(error / scale).toBeLessThan(0.03);
  expect(error).toBeGreaterThan(0);
});

test("weights that were in a file of their own are in the model's bytes all the same", async () => {
  const file = new Uint8Array(Buffer.concat(await onnxFileFromBitdiet(await compressed(true))));
  expect((await run(file)).length).toBe(10);
});

test("another format is refused by name", async () => {
  const { bytes } = await compressModel(await readTfjs(memoryFiles(await layersModelFiles()), "model.json"), {
    bits: 4,
  });
  await expect(onnxFromBitdiet(bytes)).rejects.toThrow("bytes: expected an ONNX model, got tfjs-layers");
});

test("bitdietCache gives transformers.js an .onnx file for the URL that it asks for, and leaves the rest to others", async () => {
  const kept = new Map<string, Response>();
  const fallback = {
    match: async (request: string) => kept.get(request),
    put: async (request: string, response: Response) => void kept.set(request, response),
  };
  const cache = bitdietCache({ "Xenova/tiny/onnx/model.onnx": await compressed() }, fallback);
  const hub = "https://huggingface.co/Xenova/tiny/resolve/main";
  const response = await cache.match(`${hub}/onnx/model.onnx`);
  const bytes = new Uint8Array(await response!.arrayBuffer());
  expect(response!.headers.get("Content-Length")).toBe(String(bytes.length));
  expect((await run(bytes)).length).toBe(10);
  expect(await cache.match("/models/Xenova/tiny/onnx/model.onnx")).toBeDefined();
  expect(await cache.match(`${hub}/onnx/decoder.onnx`)).toBeUndefined();
  expect(
    await cache.match("https://huggingface.co/Xenova/other/resolve/main/onnx/model.onnx"),
  ).toBeUndefined();
  await cache.put(`${hub}/config.json`, new Response("{}"));
  expect(await (await cache.match(`${hub}/config.json`))!.text()).toBe("{}");
});
