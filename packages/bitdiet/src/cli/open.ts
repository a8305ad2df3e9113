/**
 * What a path on the command line stands for: a model of any format, or a .bitdiet file.
 *
 *     const { model } = await openPath("tiny-darknet"); // a folder with a model.json
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isBitdiet } from "../file/header.js";
import type { ModelFiles } from "../formats/files.js";
import { modelAmong, modelFiles, readModel } from "../formats/list.js";
import { folderFiles } from "../formats/node-files.js";
import { type BitdietFile, openBitdiet } from "../loaders/open.js";
import { type ByteSource, openSource } from "../loaders/source.js";
import { type Model, ModelFileError } from "../model.js";
import { UsageError } from "./options.js";

export interface OpenedModel {
  /** The file that stands for the model: model.json, *.safetensors … */
  path: string;
  model: Model;
  /** Paths of all files that were read for it. */
  files: ReadonlySet<string>;
  /** What a .bitdiet file holds beside its model. */
  bitdiet?: BitdietFile;
}

/** @throws {ModelFileError} or {CorruptInputError} if there is no model that can be read */
export async function openPath(given: string): Promise<OpenedModel> {
  const stats = await stat(given).catch((error) => {
    throw new ModelFileError(`${given}: cannot be read: ${error.code ?? error.message}`);
  });
  const path = stats.isDirectory() ? join(given, await modelIn(given)) : given;
  const source = await openSource(path);
  if (path.endsWith(".bitdiet") || isBitdiet(await firstBytes(source))) {
    const bitdiet = await openBitdiet(source);
    return { path, files: new Set([path]), model: bitdiet.model, bitdiet };
  }
  const files = new Set([path]);
  return { path, files, model: await readModel(noting(dirname(path), files), basename(path)) };
}

async function firstBytes(source: ByteSource): Promise<Uint8Array> {
  for await (const piece of source.read(0, 4)) return piece;
  return new Uint8Array();
}

/** @throws {UsageError} if an output is one of the files that were read, the only original perhaps */
export async function refuseOwnFiles(output: string, files: Iterable<string>): Promise<void> {
  const real = await realpath(output).catch(() => undefined);
  if (real === undefined) return;
  for (const file of files) {
    if ((await realpath(file).catch(() => undefined)) === real)
      throw new UsageError(`${output} is a file of the model that is read: nothing is written over it`);
  }
}

/** Files of a folder; the paths of those that are read go into a set. */
function noting(folder: string, paths: Set<string>): ModelFiles {
  const { size, read } = folderFiles(folder);
  const noted = (name: string) => {
    paths.add(join(folder, name));
    return name;
  };
  return { size: (name) => size(noted(name)), read: (name, ...range) => read(noted(name), ...range) };
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
