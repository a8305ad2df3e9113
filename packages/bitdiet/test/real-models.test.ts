/** Real models and the tools that they belong to; where the data is absent these tests are skipped. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import { compressModel } from "../src/compress.js";
import { floatValues } from "../src/formats/floats.js";
import { readModel } from "../src/formats/list.js";
import { folderFiles } from "../src/formats/node-files.js";
import { openBitdiet } from "../src/loaders/open.js";
import { openSource } from "../src/loaders/source.js";
import { fromBitdiet } from "../src/loaders/tfjs.js";
import { layersProgram } from "../src/networks/tfjs/layers.js";
import { tfjsNetwork } from "../src/networks/tfjs/network.js";
import { filesHandler, normals } from "./formats/small-models.js";

const root = join(process.env.BITDIET_DATA ?? "../shared/data", "models");
const isThere = existsSync(join(root, "tiny-darknet-imagenet-tfjs/model.json"));
if (!isThere) console.warn(`No models in ${root} (set BITDIET_DATA): tests of real models are skipped.`);

describe.runIf(isThere)("Tiny Darknet, a layers model of TF.js", () => {
  const folder = join(root, "tiny-darknet-imagenet-tfjs");
  const read = () => readModel(folderFiles(folder), "model.json");
  let original: layers.LayersModel;
  beforeAll(async () => {
    setWasmPaths(join(import.meta.dirname, "../../../node_modules/@tensorflow/tfjs-backend-wasm/dist/"));
    await tf.setBackend("wasm");
    const json = JSON.parse(await readFile(join(folder, "model.json"), "utf8"));
    const paths: string[] = json.weightsManifest.flatMap((group: { paths: string[] }) => group.paths);
    const shards = await Promise.all(
      paths.map(async (path) => [path, new Uint8Array(await readFile(join(folder, path)))] as const),
    );
    const text = new TextEncoder().encode(JSON.stringify(json));
    original = await layers.loadLayersModel(
      filesHandler({ "model.json": text, ...Object.fromEntries(shards) }),
    );
  });
  /** Smooth pictures, so that the network has something to look at. */
  const pictures = () =>
    tf.tidy(() =>
      tf.image.resizeBilinear(tf.sigmoid(tf.tensor4d(normals(2 * 7 * 7 * 3, 3), [2, 7, 7, 3])), [224, 224]),
    );
  const predict = (model: layers.LayersModel, x: tf.Tensor) =>
    tf.tidy(() => (model.predict(x) as tf.Tensor).dataSync<"float32">().slice());

  test("fits into 1 MB, and TF.js gives nearly the same logits from there", async () => {
    const { bytes, report } = await compressModel(await read(), { maxBytes: 1_000_000 });
    expect(bytes.length).toBeLessThanOrEqual(1_000_000);
    expect(bytes.length).toBeGreaterThanOrEqual(990_000);
    expect(report.originalBytes).toBe(4_185_952);
    const compressed = await layers.loadLayersModel(fromBitdiet(bytes));
    const x = pictures();
    const [before, after] = [predict(original, x), predict(compressed, x)];
    const error = before.reduce((sum, value, i) => sum + (value - after[i]) ** 2, 0);
    const energy = before.reduce((sum, value) => sum + value ** 2, 0);
    expect(error).toBeGreaterThan(0);
    expect(error / energy).toBeLessThan(0.02);
    x.dispose();
    compressed.dispose();
  });

  test("runs operation by operation as TF.js runs it, batch norms folded", async () => {
    const network = layersProgram(original);
    expect(network.layers.length).toBe(16);
    const x = pictures();
    const inputs = x.dataSync<"float32">().slice();
    const feed = { dtype: "float32" as const, shape: [2, 224, 224, 3], data: inputs };
    const outputs = await tfjsNetwork(await read(), network, [
      new Map([[network.inputs[0].name, feed]]),
    ]).walk((layer) => network.layers[layer]);
    const expected = predict(original, x);
    const worst = Math.max(...expected.map((value, i) => Math.abs(value - outputs[i])));
    expect(worst).toBeLessThan(1e-4 * Math.max(...expected.map(Math.abs)));
    x.dispose();
  });
});

test.runIf(isThere)("ResNet-20 of PyTorch comes back from 80 kB with every tensor near its own", async () => {
  const model = await readModel(folderFiles(root), "resnet20-cifar10.safetensors");
  const { bytes, report } = await compressModel(model, { maxBytes: 80_000 });
  expect(bytes.length).toBeLessThanOrEqual(80_000);
  expect(bytes.length).toBeGreaterThanOrEqual(79_200);
  const decoded = (await openBitdiet(await openSource(bytes))).model;
  for (const [i, tensor] of decoded.tensors.entries()) {
    const before = model.tensors[i];
    expect(tensor).toMatchObject({ name: before.name, dtype: before.dtype, shape: before.shape });
    if (before.dtype !== "float32") {
      expect(await tensor.bytes()).toEqual(await before.bytes());
      continue;
    }
    const [x, y] = [
      floatValues("float32", await before.bytes()),
      floatValues("float32", await tensor.bytes()),
    ];
    const error = x.reduce((sum, value, k) => sum + (value - y[k]) ** 2, 0);
    expect(error).toBeLessThan(0.2 * x.reduce((sum, value) => sum + value ** 2, 0));
  }
  expect(report.tensors.filter(({ kept }) => kept === "quantized").length).toBe(20);
});
