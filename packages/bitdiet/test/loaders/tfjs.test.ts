import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { afterEach, expect, test } from "vitest";
import { compressModel } from "../../src/compress.js";
import { encodeModel } from "../../src/file/encode.js";
import { readHeader } from "../../src/file/header.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readTfjs, writeTfjs } from "../../src/formats/tfjs.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { CorruptInputError, fromBitdiet, toBitdiet } from "../../src/loaders/tfjs.js";
import {
  collect,
  type Files,
  filesHandler,
  graphModelFiles,
  layersModelFiles,
  runGraph,
  runLayers,
} from "../formats/small-models.js";

async function compressed(files: Record<string, Uint8Array>, target = { bits: 6 }): Promise<Uint8Array> {
  return (await compressModel(await readTfjs(memoryFiles(files), "model.json"), target)).bytes;
}
/** The model's own files, decompressed: what predictions are compared with. */
async function plain(bytes: Uint8Array): Promise<Record<string, Uint8Array>> {
  return collect(writeTfjs((await openBitdiet(await openSource(bytes))).model));
}

test("a layers model gives the same predictions from its .bitdiet file as from its decompressed files", async () => {
  const files = await layersModelFiles();
  const bytes = await compressed(files);
  const expected = await runLayers(await plain(bytes));
  const exact = await runLayers(files);
  for (const source of [bytes, bytes.slice().buffer, new Blob([bytes as Uint8Array<ArrayBuffer>])])
    expect(await runLayers(fromBitdiet(source))).toEqual(expected);
  const error = expected.map((value, i) => Math.abs(value - exact[i]));
  expect(Math.max(...error)).toBeGreaterThan(0);
  expect(Math.max(...error)).toBeLessThan(0.03);
});

test("a graph model too, streamed or at once", async () => {
  const bytes = await compressed(graphModelFiles());
  const expected = await runGraph(await plain(bytes));
  expect(await runGraph(fromBitdiet(bytes))).toEqual(expected);
  const model = await loadGraphModel(fromBitdiet(bytes, { streamWeights: true }), { streamWeights: true });
  const artifacts = await fromBitdiet(bytes, { streamWeights: true }).load!();
  expect(artifacts.weightData).toBeUndefined();
  expect(model.weights["kernel"][0].shape).toEqual([3, 3, 2, 4]);
  model.dispose();
});

test("loading leaves no tensors behind but the model's", async () => {
  const bytes = await compressed(await layersModelFiles());
  const before = tf.memory().numTensors;
  const model = await layers.loadLayersModel(fromBitdiet(bytes));
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test("toBitdiet saves what fromBitdiet loads, to a path or to a function", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const model = await layers.loadLayersModel(filesHandler(await layersModelFiles()));
  let bytes = new Uint8Array();
  const result = await model.save(toBitdiet((saved) => void (bytes = saved.slice()), { bits: 6 }));
  expect(result.modelArtifactsInfo.weightDataBytes).toBe(bytes.length);
  const path = join(folder, "m.bitdiet");
  await model.save(toBitdiet(path, { bits: 6 }));
  expect(new Uint8Array(await readFile(path))).toEqual(bytes);
  await expect(model.save(toBitdiet(path))).rejects.toThrow("exists already");
  expect(await runLayers(fromBitdiet(path))).toEqual(await runLayers(await plain(bytes)));
  model.dispose();
  await rm(folder, { recursive: true });
});

let close = () => {};
afterEach(() => close());
/** A server that gives the file in slices of 64 bytes; `spoil` sees each reply before it is sent, `cut` breaks the first. */
async function serve(bytes: Uint8Array, { spoil = (_: Uint8Array, __: number) => {}, cut = Infinity } = {}) {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.range);
    const match = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
    const start = match ? Number(match[1]) : 0;
    const end = match?.[2] ? Number(match[2]) + 1 : bytes.length;
    const body = bytes.slice(start, end);
    spoil(body, asked.length);
    response.writeHead(match ? 206 : 200, {
      "Content-Length": body.length,
      ...(match ? { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
    });
    if (asked.length > 1 || cut === Infinity) return response.end(body);
    response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  close = () => server.close();
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/m.bitdiet`, asked };
}

test("a connection that breaks in the middle of a tensor is taken up there", async () => {
  const bytes = await compressed(await layersModelFiles());
  const { tensors } = readHeader(bytes);
  const cut = tensors[0].part.start + 10;
  const { url, asked } = await serve(bytes, { cut });
  const fractions: number[] = [];
  const loaded = await runLayers(
    fromBitdiet(url, { onProgress: (fraction) => void fractions.push(fraction) }),
  );
  expect(loaded).toEqual(await runLayers(fromBitdiet(bytes)));
  expect(asked).toEqual([undefined, `bytes=${cut}-`]);
  expect(fractions.at(-1)).toBe(1);
  expect(fractions.every((fraction, i) => i === 0 || fraction >= fractions[i - 1])).toBe(true);
});

test("a damaged part is fetched once more, and only that part", async () => {
  const bytes = await compressed(await layersModelFiles());
  const { part } = readHeader(bytes).tensors[5];
  const spoil = (body: Uint8Array, request: number) => {
    if (request === 1) body[part.start + 3] ^= 4;
  };
  const { url, asked } = await serve(bytes, { spoil });
  expect(await runLayers(fromBitdiet(url))).toEqual(await runLayers(fromBitdiet(bytes)));
  expect(asked).toEqual([undefined, `bytes=${part.start}-${part.start + part.length - 1}`]);
});

test("a part that is damaged at its source gives an error with its name, and not a model", async () => {
  const bytes = await compressed(await layersModelFiles());
  const { name, part } = readHeader(bytes).tensors[5];
  bytes[part.start + 3] ^= 4;
  const { url, asked } = await serve(bytes);
  const loading = layers.loadLayersModel(fromBitdiet(url));
  await expect(loading).rejects.toThrow(CorruptInputError);
  await expect(loading).rejects.toThrow(`tensor "${name}": damaged, and no better when fetched again`);
  expect(asked.length).toBe(2);
});

test("a file cut anywhere gives an error that says so", async () => {
  const bytes = await compressed(graphModelFiles());
  for (const length of [0, 3, 20, 60, 200, bytes.length - 1]) {
    const loading = loadGraphModel(fromBitdiet(bytes.slice(0, length)));
    await expect(loading).rejects.toThrow(CorruptInputError);
    await expect(loading).rejects.toThrow(/cut/);
  }
});

test("a page of HTML in place of the file is named as such", async () => {
  const { url } = await serve(new TextEncoder().encode("<!doctype html><title>Not here</title>"));
  await expect(layers.loadLayersModel(fromBitdiet(url))).rejects.toThrow(
    `${url}: Not a .bitdiet file, but a page of HTML`,
  );
});

test("weights are one buffer, which every version of TF.js takes", async () => {
  const model = await readTfjs(memoryFiles(await layersModelFiles()), "model.json");
  const { bytes } = await compressModel(model, { bits: 6 });
  const { weightData, weightSpecs } = (await fromBitdiet(bytes).load!()) as tf.io.ModelArtifacts;
  expect(weightData).toBeInstanceOf(ArrayBuffer);
  const numbers = weightSpecs!.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect((weightData as ArrayBuffer).byteLength).toBe(4 * numbers);
});

test("a model given to the loader of the other kind is named, with the loader that takes it", async () => {
  const compressed = async (files: Files) =>
    (await compressModel(await readTfjs(memoryFiles(files), "model.json"), { bits: 6 })).bytes;
  const [layersModel, graphModel] = [await layersModelFiles(), graphModelFiles()];
  await expect(loadGraphModel(fromBitdiet(await compressed(layersModel)))).rejects.toThrow(
    "expected another kind of model: tf.loadLayersModel loads this one",
  );
  await expect(layers.loadLayersModel(fromBitdiet(await compressed(graphModel)))).rejects.toThrow(
    "expected another kind of model: tf.loadGraphModel loads this one",
  );
});

test("a file without a topology is a CorruptInputError, whatever it claims to be", async () => {
  const format = { name: "format", bytes: new TextEncoder().encode("tfjs-graph") };
  const loading = fromBitdiet(encodeModel({ tensors: [], metadata: [format] })).load!();
  await expect(loading).rejects.toThrow(CorruptInputError);
});
