/**
 * What a path on the command line stands for: a model of any format, or a .bitdiet file.
 *
 *     const { model } = await openPath("tiny-darknet"); // a folder with a model.json
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { modelAmong, modelFiles, readModel } from "../formats/list.js";
import { folderFiles } from "../formats/node-files.js";
import { type BitdietFile, openBitdiet } from "../loaders/open.js";
import { openSource } from "../loaders/source.js";
import { type Model, ModelFileError } from "../model.js";

export interface OpenedModel {
  /** The file that stands for the model: model.json, *.safetensors … */
  path: string;
  model: Model;
  /** Of a .bitdiet file. */
  bitdiet?: BitdietFile;
}

/** Far above any tensor, far below what would end the process. */
const MOST_TENSOR_BYTES = 2 ** 31;

/** @throws {ModelFileError} or {CorruptInputError} if there is no model that can be read */
export async function openPath(given: string): Promise<OpenedModel> {
  const stats = await stat(given).catch((error) => {
    throw new ModelFileError(`${given}: cannot be read: ${error.code ?? error.message}`);
  });
  const path = stats.isDirectory() ? join(given, await modelIn(given)) : given;
  if (path.endsWith(".bitdiet")) {
    const bitdiet = await openBitdiet(await openSource(path), MOST_TENSOR_BYTES);
    return { path, model: bitdiet.model, bitdiet };
  }
  return { path, model: await readModel(folderFiles(dirname(path)), basename(path)) };
}

/** The model of a folder, or of the onnx/ in it, where the repositories of transformers.js have theirs. */
async function modelIn(folder: string): Promise<string> {
  for (const inner of ["", "onnx"]) {
    const names = await readdir(join(folder, inner)).catch(() => []);
    try {
      const found = modelAmong(names);
      if (found !== undefined) return join(inner, found);
    } catch (error) {
      throw new ModelFileError(`${join(folder, inner)}: ${(error as Error).message}`);
    }
  }
  throw new ModelFileError(`${folder}: expected ${modelFiles} in it, got none`);
}
