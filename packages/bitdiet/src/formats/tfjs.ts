/**
 * TensorFlow.js models: a model.json (layers or graph model) and the shards that its weights manifest lists.
 * https://www.tensorflow.org/js/guide/save_load
 *
 *     const model = await readTfjs(files, "model.json");
 *     model.format; // "tfjs-layers"
 *
 * Weights that the converter quantized to uint8, uint16 or float16 are read as the numbers that TF.js makes of them, bit for
 * bit, and written as float32.
 */

import { joinPieces } from "../loaders/source.js";
import { elementCount, type Model, ModelFileError, type ModelTensor, tensorBytes } from "../model.js";
import {
  asArray,
  asObject,
  asShape,
  asString,
  describe,
  type FilePiece,
  jsonBytes,
  type ModelFiles,
  parseJson,
  readJson,
} from "./files.js";
import { floatValues } from "./floats.js";
import { graphUses } from "./tfjs-graph.js";
import { layersUses } from "./tfjs-layers.js";
import { checkedUse } from "./values.js";

type TfjsDtype = "float32" | "int32" | "bool" | "complex64" | "string";

interface Quantization {
  dtype: "uint8" | "uint16" | "float16";
  scale: number;
  min: number;
}

interface WeightEntry {
  name: string;
  shape: number[];
  dtype: TfjsDtype;
  quantization?: Quantization;
  /** Whatever else the entry says, e.g. that the weight is the optimizer's. */
  extras: Record<string, unknown>;
}

/** Where a stretch of a group's bytes lies. */
interface Shard {
  file: string;
  start: number;
  end: number;
}

/** As TF.js saves: files small enough for every browser's cache. */
const SHARD_BYTES = 4 * 1024 * 1024;

/** A weight, and how its bytes are read: all, or as many first elements as are wanted. */
interface StoredWeight extends WeightEntry {
  read(elements?: number): Promise<Uint8Array>;
}

/**
 * @param name the model.json; or a weights_manifest.json, which is its list of weights alone
 * @throws {ModelFileError} if the files are damaged, contradict each other or use a type that is not known
 */
export async function readTfjs(files: ModelFiles, name: string): Promise<Model> {
  const folder = name.slice(0, name.lastIndexOf("/") + 1);
  const given = await readJson(files, name);
  const isManifest = Array.isArray(given);
  const json = isManifest ? { weightsManifest: given } : asObject(given, name);
  const topology = isManifest ? {} : asObject(json["modelTopology"], `${name}: modelTopology`);
  const weights: StoredWeight[] = [];
  const groups = asArray(json["weightsManifest"], `${name}: weightsManifest`);
  for (const [index, group] of groups.entries())
    weights.push(...(await readGroup(files, folder, group, `${name}: weightsManifest[${index}]`)));
  if (new Set(weights.map((weight) => weight.name)).size !== weights.length)
    throw new ModelFileError(`${name}: weightsManifest: a name occurs twice`);
  // Entries ride along only where they say more than the tensors themselves.
  const more = weights.flatMap(({ name: weight, extras }) =>
    Object.keys(extras).length > 0 ? [{ name: weight, ...extras }] : [],
  );
  const rest: Record<string, unknown> = { ...json, weightsManifest: more };
  if (isManifest) rest["file"] = name.slice(folder.length);
  const isGraph = json["format"] === "graph-model" || "node" in topology;
  const useOf = isGraph ? graphUses(topology, await smallNumbers(weights)) : layersUses(topology);
  const tensors: ModelTensor[] = [];
  for (const { name: weight, shape, dtype, read } of weights) {
    const width = tensorBytes(dtype, [1]) ?? 1;
    const first = (bytes: number) => read(Math.ceil(bytes / width));
    const use = await checkedUse(useOf(weight, shape), dtype, shape, first);
    tensors.push({ name: weight, shape, dtype, use, bytes: () => read() });
  }
  return {
    format: isManifest ? "tfjs-weights" : isGraph ? "tfjs-graph" : "tfjs-layers",
    tensors,
    metadata: { "model.json": jsonBytes(rest) },
  };
}

async function readGroup(
  files: ModelFiles,
  folder: string,
  value: unknown,
  what: string,
): Promise<StoredWeight[]> {
  const group = asObject(value, what);
  const shards: Shard[] = [];
  for (const path of asArray(group["paths"], `${what}.paths`)) {
    const file = folder + asString(path, `${what}.paths`);
    const start = shards.at(-1)?.end ?? 0;
    shards.push({ file, start, end: start + (await files.size(file)) });
  }
  const total = shards.at(-1)?.end ?? 0;
  const weights: StoredWeight[] = [];
  let offset = 0;
  for (const [position, entry] of asArray(group["weights"], `${what}.weights`).entries()) {
    const weight = weightEntry(entry, `${what}.weights[${position}]`);
    const start = offset;
    offset += await storedBytes(files, weight, shards, start);
    const end = offset;
    if (end > total)
      throw new ModelFileError(
        `${what}: ${weight.name} ends at byte ${end}, but its shards have ${total} (${shards.map((shard) => shard.file)})`,
      );
    const width = (end - start) / Math.max(1, elementCount(weight.shape));
    const read = async (elements?: number) => {
      const until = elements === undefined ? end : Math.min(end, start + elements * width);
      return decodeWeight(await readStretch(files, shards, start, until), weight);
    };
    weights.push({ ...weight, read });
  }
  if (offset !== total)
    throw new ModelFileError(
      `${what}: its weights take ${offset} bytes, but its shards have ${total} (${shards.map((shard) => shard.file)})`,
    );
  return weights;
}

/** More numbers than any permutation or shape has. */
const MAX_NUMBERS = 32;

/** Values of the small weights of whole numbers, and of single ones, which say what operations do with others. */
async function smallNumbers(weights: readonly StoredWeight[]): Promise<Map<string, number[]>> {
  const numbers = new Map<string, number[]>();
  for (const { name, dtype, shape, read } of weights)
    if (dtype === "int32" && elementCount(shape) <= MAX_NUMBERS)
      numbers.set(name, [...new Int32Array(new Uint8Array(await read()).buffer)]);
    else if (dtype === "float32" && elementCount(shape) === 1)
      numbers.set(name, [...floatValues(dtype, await read())]);
  return numbers;
}

function weightEntry(value: unknown, what: string): WeightEntry {
  const { name, shape, dtype, quantization, ...extras } = asObject(value, what);
  const entry: WeightEntry = {
    name: asString(name, `${what}.name`),
    shape: asShape(shape, `${what}.shape`),
    dtype: asString(dtype, `${what}.dtype`) as TfjsDtype,
    extras,
  };
  if (!["float32", "int32", "bool", "complex64", "string"].includes(entry.dtype))
    throw new ModelFileError(`${what}: ${entry.name}: unknown dtype ${entry.dtype}`);
  if (quantization === undefined) return entry;
  const { dtype: stored, scale = 1, min = 0, original_dtype: _, ...unknown } = asObject(quantization, what);
  const known =
    (stored === "float16" && entry.dtype === "float32") ||
    ((stored === "uint8" || stored === "uint16") && (entry.dtype === "float32" || entry.dtype === "int32"));
  if (!known || typeof scale !== "number" || typeof min !== "number" || Object.keys(unknown).length > 0)
    throw new ModelFileError(`${what}: ${entry.name}: unknown quantization ${describe(quantization)}`);
  return { ...entry, quantization: { dtype: stored, scale, min } as Quantization };
}

/** Bytes that a weight takes in its group. Strings say so themselves: each has its length before it. */
async function storedBytes(
  files: ModelFiles,
  weight: WeightEntry,
  shards: Shard[],
  start: number,
): Promise<number> {
  if (weight.quantization) return tensorBytes(weight.quantization.dtype, weight.shape)!;
  const bytes = tensorBytes(weight.dtype, weight.shape);
  if (bytes !== undefined) return bytes;
  let end = start;
  for (let i = 0; i < elementCount(weight.shape); i++) {
    const length = await readStretch(files, shards, end, end + 4);
    end += 4 + new DataView(length.buffer, length.byteOffset).getUint32(0, true);
  }
  return end - start;
}

/** Bytes of a group, whose shards are one after another. */
async function readStretch(
  files: ModelFiles,
  shards: Shard[],
  start: number,
  end: number,
): Promise<Uint8Array> {
  const touched = shards.filter((shard) => shard.start < end && shard.end > start);
  const parts = await Promise.all(
    touched.map((shard) =>
      files.read(
        shard.file,
        Math.max(start, shard.start) - shard.start,
        Math.min(end, shard.end) - shard.start,
      ),
    ),
  );
  const bytes = joinPieces(parts);
  if (bytes.length !== end - start)
    throw new ModelFileError(`${shards.map((shard) => shard.file)}: no bytes at ${start} to ${end}`);
  return bytes;
}

/** As tf.io.decodeWeights: q * scale + min in float64, then rounded to float32 or to whole numbers. */
function decodeWeight(bytes: Uint8Array, { dtype, quantization }: WeightEntry): Uint8Array {
  if (!quantization) return bytes;
  if (quantization.dtype === "float16") {
    return new Uint8Array(floatValues("float16", bytes).buffer);
  }
  const { scale, min } = quantization;
  const levels = quantization.dtype === "uint8" ? bytes : new Uint16Array(new Uint8Array(bytes).buffer);
  const values = dtype === "float32" ? new Float32Array(levels.length) : new Int32Array(levels.length);
  if (dtype === "float32") for (let i = 0; i < levels.length; i++) values[i] = levels[i] * scale + min;
  else for (let i = 0; i < levels.length; i++) values[i] = Math.round(levels[i] * scale + min);
  return new Uint8Array(values.buffer);
}

/**
 * model.json and its shards of at most 4 MB, all weights in one group, tensors asked for one after another.
 *
 * @throws {ModelFileError} if the model was not read from TF.js
 */
export async function* writeTfjs(model: Model): AsyncGenerator<FilePiece> {
  const { topology, weights } = tfjsArtifacts(model);
  let total = 0;
  const shards = () => Math.max(1, Math.ceil(total / SHARD_BYTES));
  const lengths = await Promise.all(
    model.tensors.map(async ({ dtype, shape, bytes }) => tensorBytes(dtype, shape) ?? (await bytes()).length),
  );
  for (const length of lengths) total += length;
  const paths = Array.from({ length: shards() }, (_, i) => `group1-shard${i + 1}of${shards()}.bin`);
  const manifest = total === 0 && weights.length === 0 ? [] : [{ paths, weights }];
  const { file, ...json } = topology;
  const isManifest = model.format === "tfjs-weights";
  yield {
    file: isManifest ? asString(file, "tfjs: file") : "model.json",
    bytes: jsonBytes(isManifest ? manifest : { ...json, weightsManifest: manifest }),
  };
  if (manifest.length === 0) return;
  let offset = 0;
  for (const tensor of model.tensors) {
    const bytes = await tensor.bytes();
    for (let from = 0; from < bytes.length; ) {
      const to = Math.min(bytes.length, from + SHARD_BYTES - (offset % SHARD_BYTES));
      yield { file: paths[Math.floor(offset / SHARD_BYTES)], bytes: bytes.subarray(from, to) };
      offset += to - from;
      from = to;
    }
  }
  if (total === 0) yield { file: paths[0], bytes: new Uint8Array() };
}

/** A model.json without its manifest, and an entry of the manifest for each tensor: what loading and writing start from. */
export function tfjsArtifacts({
  metadata,
  tensors,
}: Pick<Model, "metadata"> & { tensors: readonly Pick<ModelTensor, "name" | "shape" | "dtype">[] }): {
  topology: Record<string, unknown>;
  weights: { name: string; shape: number[]; dtype: TfjsDtype }[];
} {
  const { weightsManifest, ...topology } = asObject(
    parseJson(metadata["model.json"] ?? new Uint8Array(), "tfjs: model.json"),
    "tfjs: model.json",
  );
  const extras = new Map(
    (asArray(weightsManifest, "tfjs: weightsManifest") as { name: string }[]).map((entry) => [
      entry.name,
      entry,
    ]),
  );
  return {
    topology,
    weights: tensors.map(({ name, shape, dtype }) => ({
      name,
      shape: [...shape],
      dtype: dtype as TfjsDtype,
      ...extras.get(name),
    })),
  };
}
