/**
 * All formats that models are read from and written in. A new one is a file and an entry here.
 *
 *     await readModel(folderFiles("tiny-darknet"), "model.json"); // { format: "tfjs-layers", ... }
 */
import { MAX_RANK } from "../file/entries.js";
import { nameWriter } from "../file/names.js";
import { type Model, ModelFileError } from "../model.js";
import type { FilePiece, ModelFiles } from "./files.js";
import { writeOnnx } from "./onnx/write.js";
import { readOnnx } from "./onnx.js";
import { readSafetensors, writeSafetensors } from "./safetensors.js";
import { readTfjs, writeTfjs } from "./tfjs.js";

export interface Format {
  /** What `Model.format` says. */
  name: string;
  /** The file to give, in words. */
  file: string;
  /** How that file's name ends, the usual ending first; of several formats the longest ending that fits counts. */
  endings: readonly string[];
  /** The model that a file starts; formats that share endings are told apart by what is in it. */
  read(files: ModelFiles, name: string): Promise<Model>;
  /** Files of a model that was read from this format, as they were, piece by piece. */
  write(model: Model): AsyncGenerator<FilePiece>;
}

const tfjs = {
  file: "a TF.js model.json",
  endings: ["model.json", "weights_manifest.json", ".json"],
  read: readTfjs,
  write: writeTfjs,
};
const tfjsLayers: Format = { name: "tfjs-layers", ...tfjs };
const tfjsGraph: Format = { name: "tfjs-graph", ...tfjs };
/** Weights whose network is in somebody's program. */
const tfjsWeights: Format = { name: "tfjs-weights", ...tfjs };
const safetensors: Format = {
  name: "safetensors",
  file: "a .safetensors file or its .index.json",
  endings: [".safetensors.index.json", ".safetensors"],
  read: readSafetensors,
  write: writeSafetensors,
};
const onnx: Format = {
  name: "onnx",
  file: "an .onnx file",
  endings: [".onnx"],
  read: readOnnx,
  write: writeOnnx,
};

export const formats: readonly Format[] = [tfjsLayers, tfjsGraph, tfjsWeights, safetensors, onnx];

/** What a model may be given as, in words: "a TF.js model.json, …, or an .onnx file". */
export const modelFiles = [...new Set(formats.map(({ file }) => file))]
  .join(", ")
  .replace(/, (?=[^,]*$)/, ", or ");

/** The format that a file's name tells, whatever its case. */
function formatOf(name: string): Format | undefined {
  const lengthIn = ({ endings }: Format) =>
    Math.max(
      0,
      ...endings.filter((ending) => name.toLowerCase().endsWith(ending)).map(({ length }) => length),
    );
  const longest = Math.max(...formats.map(lengthIn));
  return longest === 0 ? undefined : formats.find((format) => lengthIn(format) === longest);
}

/** @throws {ModelFileError} if the file is none of a model, or damaged */
export async function readModel(files: ModelFiles, name: string): Promise<Model> {
  const format = formatOf(name);
  if (!format) throw new ModelFileError(`${name}: expected ${modelFiles}`);
  const model = await format.read(files, name);
  refuseWhatHasNoPlace(model, name);
  return model;
}

/** @throws {ModelFileError} if a .bitdiet file could not hold the names or shapes */
function refuseWhatHasNoPlace({ tensors }: Model, file: string): void {
  const write = nameWriter([], file, { used: 0 });
  const long = tensors.find(({ shape }) => shape.length > MAX_RANK);
  if (long)
    throw new ModelFileError(
      `${file}: ${long.name}: expected at most ${MAX_RANK} axes, got ${long.shape.length}`,
    );
  try {
    for (const { name } of tensors) write(name);
  } catch (error) {
    throw error instanceof RangeError ? new ModelFileError(error.message) : error;
  }
}

/** The files of a model in its own format, piece by piece. @throws {ModelFileError} if its format is none of these */
export function writeModel(model: Model): AsyncGenerator<FilePiece> {
  const format = formats.find(({ name }) => name === model.format);
  if (!format)
    throw new ModelFileError(
      `format: expected one of ${formats.map(({ name }) => name).join(", ")}, got ${model.format}`,
    );
  return format.write(model);
}

/** Endings of files that are models whatever else lies in a folder, in the order in which one is looked for. */
const folderEndings = [...new Set(formats.flatMap(({ endings }) => endings))].filter(
  (ending) => ending !== ".json",
);

/**
 * The file among a folder's that is its model. Of several of a kind, one called "model" is meant.
 *
 * @param names of the folder's files
 * @throws {ModelFileError} if several could be meant
 * @returns undefined if none is a model
 */
export function modelAmong(names: readonly string[]): string | undefined {
  for (const ending of folderEndings) {
    const found = names.filter((name) => name.toLowerCase().endsWith(ending));
    const usual = found.find(
      (name) => name.toLowerCase() === (ending.startsWith(".") ? `model${ending}` : ending),
    );
    if (usual !== undefined || found.length === 1) return usual ?? found[0];
    if (found.length > 1) throw new ModelFileError(`expected one model, got ${found.slice(0, 4).join(", ")}`);
  }
  return undefined;
}
