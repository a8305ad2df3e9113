/** What failed on models that people have, by kind: cases of BITDIET_FIELD (default ../shared/field), skipped where it is absent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compressModel } from "../src/compress.js";
import { readModel, writeModel } from "../src/formats/list.js";
import { folderFiles } from "../src/formats/node-files.js";
import { openBitdiet } from "../src/loaders/open.js";
import { openSource } from "../src/loaders/source.js";
import type { Model } from "../src/model.js";

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
