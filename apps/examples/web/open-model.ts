// What a visitor chose, as a model: a TF.js model.json with its shards, an .onnx file with what belongs to it, or a .bitdiet file.
// Example: `(await openModel([json, shard])).format` is "tfjs-layers".
import {
  floatValues,
  isFloat,
  type Model,
  memoryFiles,
  openBitdiet,
  openSource,
  readModel,
  writeModel,
} from "bitdiet";
import { deflatedBytes, uint8Levels } from "./uint8.js";

export type Format = "tfjs-layers" | "tfjs-graph" | "onnx";

export interface OpenedModel {
  /** Name of the file, without what follows the last dot. */
  name: string;
  format: Format;
  model: Model;
  /** The files with the weights together, in bytes. */
  fileBytes: number;
  /** Text of a preprocessor_config.json that came with it. */
  preprocessor?: string;
}

/** @throws {Error} with a message for people if these files are no model that can be run here, or damaged */
export async function openModel(files: File[]): Promise<OpenedModel> {
  const preprocessor = await files.find(({ name }) => name === "preprocessor_config.json")?.text();
  const packed = files.find(({ name }) => name.endsWith(".bitdiet"));
  if (packed) {
    const { model } = await openBitdiet(await openSource(packed));
    return { ...named(packed, model), fileBytes: packed.size, preprocessor };
  }
  // A folder may hold more than the model, other models and JSON files among it.
  const byEnding = (ending: string) =>
    files.find(({ name }) => name === `model${ending}`) ?? files.find(({ name }) => name.endsWith(ending));
  const main = byEnding(".onnx") ?? byEnding(".json");
  if (!main)
    throw new Error("Expected a model.json with its weight files, an .onnx file, or a .bitdiet file.");
  const byName = Object.fromEntries(files.map((file) => [file.name, file]));
  const model = await readModel(memoryFiles(byName), main.name);
  return { ...named(main, model), fileBytes: await bytesOf(model), preprocessor };
}

function named(main: File, model: Model): { name: string; format: Format; model: Model } {
  const { format } = model;
  if (format !== "tfjs-layers" && format !== "tfjs-graph" && format !== "onnx")
    throw new Error(`This page runs TensorFlow.js and ONNX models, and this is one of ${format}.`);
  return { name: main.name.replace(/\.[^.]*$/, ""), format, model };
}

/** The model's files, of TF.js without the topology, in which weights may be text. */
async function bytesOf(model: Model): Promise<number> {
  let total = 0;
  for await (const { file, bytes } of writeModel(model)) if (!file.endsWith(".json")) total += bytes.length;
  return total;
}

/** What a model's tensors weigh in memory, and what the usual way of shrinking them makes of it; bytes. */
export interface ModelSizes {
  total: number;
  /** The type that most of them have, by bytes. */
  dtype: string;
  /** Each tensor of floats as uint8, all together deflated. */
  uint8Deflated: number;
}

/** @throws {Error} if the files are damaged: every tensor is read once */
export async function sizesOf({ tensors }: Model): Promise<ModelSizes> {
  const byType = new Map<string, number>();
  const parts: Uint8Array[] = [];
  for (const { dtype, bytes } of tensors) {
    const own = await bytes();
    byType.set(dtype, (byType.get(dtype) ?? 0) + own.length);
    parts.push(isFloat(dtype) ? uint8Levels(floatValues(dtype, own)) : own);
  }
  const [[dtype] = ["nothing"]] = [...byType].sort(([, a], [, b]) => b - a);
  return {
    total: [...byType.values()].reduce((a, b) => a + b, 0),
    dtype,
    uint8Deflated: await deflatedBytes(parts),
  };
}
