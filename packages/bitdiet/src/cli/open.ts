/**
 * What a path on the command line stands for: a model of any format, or a .bitdiet file.
 *
 *     const { model } = await openPath("tiny-darknet"); // a folder with a model.json
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readModel } from "../formats/list.js";
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

async function modelIn(folder: string): Promise<string> {
  const names = await readdir(folder);
  for (const ending of ["model.json", ".safetensors.index.json", ".safetensors", ".onnx"]) {
    const found = names.filter((name) => (ending === "model.json" ? name === ending : name.endsWith(ending)));
    if (found.length === 1) return found[0];
    if (found.length > 1)
      throw new ModelFileError(`${folder}: expected one model, got ${found.slice(0, 4).join(", ")}`);
  }
  throw new ModelFileError(
    `${folder}: expected a model.json, a .safetensors or an .onnx file in it, got none`,
  );
}
