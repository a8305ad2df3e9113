// What a visitor chose, as a model: a TF.js model.json with its shards, or a .bitdiet file.
// Example: `(await openModel([json, shard])).format` is "tfjs-layers".
import { io } from "@tensorflow/tfjs-core";
import { type Model, memoryFiles, openBitdiet, openSource, readModel } from "bitdiet";
import { fromBitdiet } from "bitdiet/tfjs";
import { deflatedBytes, uint8Levels } from "./uint8.js";

export interface OpenedModel {
  /** Name of the file, without what follows the last dot. */
  name: string;
  format: "tfjs-layers" | "tfjs-graph";
  model: Model;
  /** The weights' files together, in bytes. */
  fileBytes: number;
  /** Loads it as it came: by TF.js itself from its own files. */
  original(): io.IOHandler;
}

/** @throws {Error} with a message for people if these files are no TF.js model, or damaged */
export async function openModel(files: File[]): Promise<OpenedModel> {
  const packed = files.find(({ name }) => name.endsWith(".bitdiet"));
  if (packed) {
    const { model } = await openBitdiet(await openSource(packed));
    return opened(packed, model, [packed], () => fromBitdiet(packed));
  }
  // A folder may hold more than the model, other JSON files among it.
  const json =
    files.find(({ name }) => name === "model.json") ?? files.find(({ name }) => name.endsWith(".json"));
  if (!json) throw new Error("Expected a model.json with its weight files, or a .bitdiet file.");
  const byName = Object.fromEntries(files.map((file) => [file.name, file]));
  const model = await readModel(memoryFiles(byName), json.name);
  const { weightsManifest } = JSON.parse(await json.text()) as { weightsManifest: { paths: string[] }[] };
  const weights = weightsManifest.flatMap(({ paths }) => paths).map((path) => byName[path]);
  return opened(json, model, weights, () => io.browserFiles([json, ...weights]));
}

function opened(main: File, model: Model, weights: File[], original: () => io.IOHandler): OpenedModel {
  const { format } = model;
  if (format !== "tfjs-layers" && format !== "tfjs-graph")
    throw new Error(`This page runs TensorFlow.js models, and this is one of ${format}.`);
  return {
    name: main.name.replace(/\.[^.]*$/, ""),
    format,
    model,
    fileBytes: weights.reduce((sum, { size }) => sum + size, 0),
    original,
  };
}

/** What a model weighs in memory, tensor by tensor, and what the usual way of shrinking it makes of it; bytes. */
export interface ModelSizes {
  tensors: number[];
  total: number;
  /** Each float32 tensor as uint8, all together deflated. */
  uint8Deflated: number;
}

/** @throws {Error} if the files are damaged: every tensor is read once */
export async function sizesOf({ tensors }: Model): Promise<ModelSizes> {
  const lengths: number[] = [];
  const parts: Uint8Array[] = [];
  for (const { dtype, bytes } of tensors) {
    const own = await bytes();
    lengths.push(own.length);
    parts.push(dtype === "float32" ? uint8Levels(new Float32Array(own.slice().buffer)) : own);
  }
  return {
    tensors: lengths,
    total: lengths.reduce((a, b) => a + b, 0),
    uint8Deflated: await deflatedBytes(parts),
  };
}
