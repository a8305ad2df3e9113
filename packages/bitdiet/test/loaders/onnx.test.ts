import * as ort from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { compressModel } from "../../src/compress.js";
import { encodeModel, type SourceTensor } from "../../src/file/encode.js";
import { toRows } from "../../src/file/rows.js";
import { memoryFiles } from "../../src/formats/files.js";
import { floatValues } from "../../src/formats/floats.js";
import { onnxFile, writeOnnx } from "../../src/formats/onnx/write.js";
import { readOnnx } from "../../src/formats/onnx.js";
import { readTfjs } from "../../src/formats/tfjs.js";
import { onnxFileFromBitdiet, onnxFromBitdiet } from "../../src/loaders/onnx.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { bitdietCache, bitdietFetch } from "../../src/loaders/transformers.js";
import { channelAxis, isFloat, type Model, type ModelTensor } from "../../src/model.js";
import { type OnnxCase, onnxCases } from "../formats/onnx-cases.js";
import { collect, layersModelFiles, normals, onnxMessage, onnxModel } from "../formats/small-models.js";

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

/** Outputs of a case's model. */
async function outputs(
  { feeds }: OnnxCase,
  model: Uint8Array,
  externalData: { path: string; data: Uint8Array }[] = [],
): Promise<ort.Tensor["data"]> {
  const session = await ort.InferenceSession.create(model, { externalData });
  const inputs = Object.entries(feeds).map(([name, { type, data, dims }]) => {
    const values = type === "int64" ? BigInt64Array.from(data, BigInt) : data;
    return [name, new ort.Tensor(type as "float32", values as number[], dims)];
  });
  const { y } = await session.run(Object.fromEntries(inputs));
  await session.release();
  return y.data;
}

describe.each(Object.entries(onnxCases).filter(([, { isNotRun }]) => !isNotRun))(
  "tensors in %s",
  (name, each) => {
    test("are quantized where they are weights, and ONNX Runtime runs what comes back", async () => {
      const others = Object.keys(each.files).filter((file) => file !== "m.onnx");
      const model = await readOnnx(memoryFiles(each.files), "m.onnx");
      const bytes = encodeModel({
        metadata: Object.entries({ format: new TextEncoder().encode("onnx"), ...model.metadata }).map(
          ([key, value]) => ({ name: key, bytes: value }),
        ),
        tensors: await Promise.all(model.tensors.map(coarsely)),
      });
      const whole = async (parts: Model) => new Uint8Array(Buffer.concat(await onnxFile(parts)));
      const expected = await outputs(each, await whole(model));
      const { model: graph, externalData } = await onnxFromBitdiet(bytes);
      expect(externalData.map(({ path }) => path)).toEqual(others);
      const found = await outputs(each, graph, externalData);
      expect(await outputs(each, new Uint8Array(Buffer.concat(await onnxFileFromBitdiet(bytes))))).toEqual(
        found,
      );
      expect(await outputs(each, await whole((await openBitdiet(await openSource(bytes))).model))).toEqual(
        found,
      );
      const isLossy = Object.values(each.uses).some((use) => use !== "exact" && use !== "integers");
      if (!isLossy) return expect(found).toEqual(expected);
      const [a, b] = [found, expected] as Float32Array[];
      const error = a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0);
      expect(error, name).toBeGreaterThan(0);
      expect(error).toBeLessThan(0.01 * b.reduce((sum, value) => sum + value ** 2, 0));
    });
  },
);

/** Weights in steps of 1/64 of the largest, all else as it is. */
async function coarsely(tensor: ModelTensor): Promise<SourceTensor> {
  const { name, dtype, shape, bytes } = tensor;
  const axis = channelAxis(tensor);
  if (axis === undefined || !isFloat(dtype)) return { name, dtype, shape, bytes: await bytes() };
  const values = floatValues(dtype, await bytes());
  const step = Math.max(...values.map(Math.abs)) / 64;
  const integers = Int32Array.from(toRows(values, shape, axis), (value) => Math.round(value / step));
  return { name, dtype, quantized: { shape, integers, axis, steps: Float32Array.of(step) } };
}

test("another format is refused by name", async () => {
  const { bytes } = await compressModel(await readTfjs(memoryFiles(await layersModelFiles()), "model.json"), {
    bits: 4,
  });
  await expect(onnxFromBitdiet(bytes)).rejects.toThrow("bytes: expected an ONNX model, got tfjs-layers");
});

const hub = "https://huggingface.co/Xenova/tiny/resolve/main";

test("bitdietCache gives transformers.js an .onnx file for the URL that it asks for, and leaves the rest to others", async () => {
  const kept = new Map<string, Response>();
  const fallback = {
    match: async (request: string) => kept.get(request),
    put: async (request: string, response: Response) => void kept.set(request, response),
  };
  const cache = bitdietCache({ "Xenova/tiny/onnx/model.onnx": await compressed() }, fallback);
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

test("a cache tells why a model cannot be had when it is read: transformers.js takes an error before for an absent file", async () => {
  const cache = bitdietCache({ "Xenova/tiny/onnx/model.onnx": "no/such.bitdiet" });
  const response = await cache.match(`${hub}/onnx/model.onnx`);
  await expect(response!.arrayBuffer()).rejects.toThrow("no/such.bitdiet");
});

test("bitdietFetch downloads and decodes a model once, says its size before, and hands on bytes as they are decoded", async () => {
  const file = await compressed();
  let downloads = 0;
  const served = async (url: string | URL | Request) => {
    if (String(url).endsWith(".bitdiet")) downloads++;
    return new Response(String(url).endsWith(".bitdiet") ? (file as BlobPart) : "other");
  };
  const get = bitdietFetch(
    { "Xenova/tiny/onnx/model.onnx": "https://example.com/m.bitdiet" },
    { fetchFunc: served as typeof fetch, others: served as typeof fetch },
  );
  const size = await get(`${hub}/onnx/model_quantized.onnx`, { headers: { Range: "bytes=0-0" } });
  expect(size.status).toBe(206);
  const [first, second] = await Promise.all([
    get(`${hub}/onnx/model_quantized.onnx`),
    get(new URL(`${hub}/onnx/model_quantized.onnx`)),
  ]);
  expect(first.status).toBe(200);
  const reader = first.body!.getReader();
  const pieces: Uint8Array[] = [];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(piece.value);
  expect(pieces.length).toBeGreaterThan(3);
  const bytes = new Uint8Array(Buffer.concat(pieces));
  expect(new Uint8Array(await second.arrayBuffer())).toEqual(bytes);
  expect(downloads).toBe(1);
  expect(first.headers.get("Content-Length")).toBe(String(bytes.length));
  expect(size.headers.get("Content-Range")).toBe(`bytes 0-0/${bytes.length}`);
  expect((await run(bytes)).length).toBe(10);
  // All numbers are inside: files of external data that a configuration asks for have nothing more.
  expect((await (await get(`${hub}/onnx/model.onnx_data`)).arrayBuffer()).byteLength).toBe(1);
  expect(await (await get(`${hub}/config.json`)).text()).toBe("other");
});

test("bitdietFetch gives one file of a model that had several, and of numbers stored as varints", async () => {
  const halves = Array.from({ length: 1024 }, (_, i) => 0x2c00 + i);
  const graph = onnxMessage("Model", {
    graph: { name: "g", initializer: [{ dims: [32, 32], dataType: 10, name: "t", int32Data: halves }] },
  });
  for (const [files, name] of [
    [onnxModel({ external: true }), "model.onnx"],
    [{ "m.onnx": graph }, "m.onnx"],
  ] as const) {
    const model = await readOnnx(memoryFiles(files), name);
    const bytes = encodeModel({
      metadata: Object.entries({ format: new TextEncoder().encode("onnx"), ...model.metadata }).map(
        ([key, value]) => ({ name: key, bytes: value }),
      ),
      tensors: await Promise.all(
        model.tensors.map(async ({ bytes: read, use: _, ...rest }) => ({ ...rest, bytes: await read() })),
      ),
    });
    const get = bitdietFetch({ "a/m.onnx": bytes });
    const given = new Uint8Array(await (await get("https://x.co/a/m.onnx")).arrayBuffer());
    expect(given).toEqual(new Uint8Array(Buffer.concat(await onnxFile(model))));
  }
});

test("bitdietFetch tells why a model cannot be had, and asks again the next time", async () => {
  const file = await compressed();
  const answers = [
    new Response("<!doctype html>"),
    new Response("<!doctype html>"),
    new Response(file as BlobPart),
  ];
  const get = bitdietFetch(
    { "a/m.onnx": "https://example.com/m.bitdiet" },
    { fetchFunc: (async () => answers.shift()) as unknown as typeof fetch },
  );
  await expect(get("https://x.co/a/m.onnx")).rejects.toThrow("HTML");
  expect((await (await get("https://x.co/a/m.onnx")).arrayBuffer()).byteLength).toBeGreaterThan(1000);
});
