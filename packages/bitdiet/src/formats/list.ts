/**
 * A model from any of the formats that this package reads, told by its name and its first bytes.
 *
 *     await readModel(folderFiles("tiny-darknet"), "model.json"); // { format: "tfjs-layers", ... }
 */
import { type Model, ModelFileError } from "../model.js";
import type { FilePiece, ModelFiles } from "./files.js";
import { readOnnx, writeOnnx } from "./onnx.js";
import { readSafetensors, writeSafetensors } from "./safetensors.js";
import { readTfjs, writeTfjs } from "./tfjs.js";

/**
 * @param name model.json, *.safetensors, *.safetensors.index.json or *.onnx
 * @throws {ModelFileError} if it is none of these, or damaged
 */
export async function readModel(files: ModelFiles, name: string): Promise<Model> {
  if (name.endsWith(".safetensors") || name.endsWith(".safetensors.index.json"))
    return readSafetensors(files, name);
  if (name.endsWith(".onnx")) return readOnnx(files, name);
  if (name.endsWith(".json")) return readTfjs(files, name);
  throw new ModelFileError(
    `${name}: expected a TF.js model.json, a .safetensors file or its .index.json, or an .onnx file`,
  );
}

/** The files of a model in its own format, piece by piece. */
export function writeModel(model: Model): AsyncGenerator<FilePiece> {
  if (model.format === "safetensors") return writeSafetensors(model);
  if (model.format === "onnx") return writeOnnx(model);
  return writeTfjs(model);
}
