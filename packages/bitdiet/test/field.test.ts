/** What failed on models that people have, by kind: cases of BITDIET_FIELD (default ../shared/field), skipped where it is absent. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import * as ort from "onnxruntime-web";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compressModel } from "../src/compress.js";
import { readModel, writeModel } from "../src/formats/list.js";
import { folderFiles } from "../src/formats/node-files.js";
import { onnxFileFromBitdiet, onnxFromBitdiet } from "../src/loaders/onnx.js";
import { openBitdiet } from "../src/loaders/open.js";
import { openSource } from "../src/loaders/source.js";
import type { Model } from "../src/model.js";

ort.env.wasm.numThreads = 1;

const root = process.env.BITDIET_FIELD ?? "../shared/field";
const isThere = existsSync(join(root, "onnx"));
if (!isThere) console.warn(`No cases in ${root} (set BITDIET_FIELD): tests of them are skipped.`);

/** Names of the tensors that are rounded; of all the others every bit comes back. */
const cases: [folder: string, file: string, rounded: string[]][] = [
  ["onnx/onnx-anchor-grid", "model.onnx", []],
  ["onnx/onnx-blocked-scales-2d", "model.onnx", []],
  ["onnx/onnx-constant-node", "model.onnx", ["w"]],
  ["onnx/onnx-external-in-constant-node", "model.onnx", ["w", "w2"]],
  ["onnx/onnx-external-in-subgraph", "model.onnx", ["w2", "wa", "wb"]],
  ["onnx/onnx-float-ids-table", "model.onnx", []],
  ["onnx/onnx-if-initializers", "model.onnx", ["wa", "wb"]],
  ["onnx/onnx-loop-body-constant", "model.onnx", ["w"]],
  ["onnx/onnx-matmulnbits-scales-2d", "model.onnx", []],
  ["onnx/onnx-split-64", "model.onnx", ["w"]],
  ["onnx/onnx-string-initializer", "model.onnx", []],
  ["onnx/st-dtype-e8m0", "model.safetensors", ["w"]],
  ["onnx/st-gptq-like", "model.safetensors", []],
  ["onnx/st-sharded", "model.safetensors.index.json", ["a", "b"]],
  ["onnx/st-unordered-header", "model.safetensors", ["a", "b"]],
  ["adversary/04-onnx-constant", "m.onnx", []],
  ["adversary/04-onnx-subgraph", "m.onnx", []],
];

const read = (folder: string, file: string) => readModel(folderFiles(join(root, folder)), file);
const decoded = async (bytes: Uint8Array) => (await openBitdiet(await openSource(bytes))).model;

async function filesOf(model: Model): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for await (const { file, bytes } of writeModel(model))
    files.set(file, Buffer.concat([files.get(file) ?? new Uint8Array(), bytes]));
  return files;
}

describe.runIf(isThere)("cases of the field", () => {
  test.each(cases)("%s: what is no weight comes back bit by bit", async (folder, file, rounded) => {
    const model = await read(folder, file);
    const { bytes, report } = await compressModel(model, { quality: 85 });
    const names = report.tensors.filter(({ kept }) => kept === "quantized").map(({ name }) => name);
    expect(names.sort()).toEqual(rounded);
    const back = new Map((await decoded(bytes)).tensors.map((tensor) => [tensor.name, tensor]));
    expect(back.size).toBe(model.tensors.length);
    for (const tensor of model.tensors.filter(({ name }) => !rounded.includes(name)))
      expect(Buffer.compare(await back.get(tensor.name)!.bytes(), await tensor.bytes())).toBe(0);
  });

  test.each(cases)("%s: without loss every file is what it was", async (folder, file) => {
    const model = await read(folder, file);
    const { bytes } = await compressModel(model, { maxBytes: Number.MAX_SAFE_INTEGER });
    const before = await filesOf(model);
    const after = await filesOf(await decoded(bytes));
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [name, own] of after) expect(Buffer.compare(own, before.get(name)!)).toBe(0);
    if (!file.endsWith(".onnx")) return;
    const original = await folderFiles(join(root, folder)).read(file);
    expect([...after.values()].some((own) => Buffer.compare(own, original) === 0)).toBe(true);
  });

  test.each(cases.filter(([folder]) => folder.startsWith("onnx/onnx-")))(
    "%s: ONNX Runtime loads what comes back, rounded or not, in all forms, and names the same inputs and outputs",
    async (folder, file) => {
      const model = await read(folder, file);
      const load = (bytes: Uint8Array, externalData: object[] = []) =>
        ort.InferenceSession.create(bytes, { externalData, logSeverityLevel: 4 } as object);
      const before = await filesOf(model);
      const externalData = [...before].map(([path, data]) => ({ path, data }));
      // Files beside a branch's tensors are found on a disk only; what comes back has them within.
      const original = await load(before.get(file)!, externalData).catch(() => undefined);
      for (const target of [{ quality: 85 }, { maxBytes: Number.MAX_SAFE_INTEGER }]) {
        const { bytes } = await compressModel(model, target);
        const streamed = await onnxFromBitdiet(bytes);
        const sessions = [
          await load(streamed.model, streamed.externalData),
          await load(Buffer.concat(await onnxFileFromBitdiet(bytes))),
        ];
        for (const session of sessions) {
          expect(session.inputNames).toEqual(original?.inputNames ?? session.inputNames);
          expect(session.outputNames).toEqual(original?.outputNames ?? session.outputNames);
          await session.release();
        }
      }
      await original?.release();
    },
  );

  test("of a GPT-2 the weights are rounded, the mask of its attention is not", async () => {
    const { report } = await compressModel(await read("onnx/st-gpt2-conv1d", "model.safetensors"), {
      quality: 85,
    });
    const kept = new Map(report.tensors.map((tensor) => [tensor.name, tensor.kept]));
    expect(kept.get("h.0.attn.c_attn.weight")).toBe("quantized");
    expect(kept.get("h.0.attn.bias")).toBe("exact");
  });

  test.each(["onnx/onnx-bad-lfs-pointer/model.onnx", "onnx/st-lfs-pointer/model.safetensors"])(
    "%s is named as what it is",
    async (path) => {
      const [folder, file] = [join(path, ".."), path.split("/").at(-1)!];
      await expect(read(folder, file)).rejects.toThrow("Git LFS pointer");
    },
  );
});

describe.runIf(isThere)("cases of TF.js", () => {
  const made = mkdtempSync(join(tmpdir(), "bitdiet-field-"));
  beforeAll(() => void execFileSync(process.execPath, [join(root, "tfjs/make.mjs"), made]));
  afterAll(() => rmSync(made, { recursive: true }));

  test.each<[string, string, number]>([
    // Six equal filter banks that no op of the graph uses, coordinates, cosines, and 400 tensors of one or two numbers.
    ["twins", "model.json", 1],
    ["grid", "model.json", 1],
    ["transform", "model.json", 1],
    ["manifest", "weights_manifest.json", 1],
    // Names of 400 tensors are in the topology and beside it.
    ["small", "model.json", 1.3],
  ])(
    "%s: what no op uses as a weight comes back bit by bit, no larger than brotli",
    async (name, file, most) => {
      const folder = join(made, name);
      const model = await readModel(folderFiles(folder), file);
      const { bytes, report } = await compressModel(model, { quality: 85 });
      expect(report.tensors.filter(({ kept }) => kept === "quantized")).toEqual([]);
      const files = readdirSync(folder).map((own) => readFileSync(join(folder, own)));
      expect(bytes.length).toBeLessThan(most * brotliCompressSync(Buffer.concat(files)).length);
      const back = new Map((await decoded(bytes)).tensors.map((tensor) => [tensor.name, tensor]));
      for (const tensor of model.tensors)
        expect(Buffer.compare(await back.get(tensor.name)!.bytes(), await tensor.bytes())).toBe(0);
    },
  );
});
