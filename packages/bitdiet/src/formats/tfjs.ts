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
import { useByShape } from "./use.js";

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

/**
 * @param name the model.json
 * @throws {ModelFileError} if the files are damaged, contradict each other or use a type that is not known
 */
export async function readTfjs(files: ModelFiles, name: string): Promise<Model> {
  const json = asObject(await readJson(files, name), name);
  const topology = asObject(json["modelTopology"], `${name}: modelTopology`);
  const format = json["format"] === "graph-model" || "node" in topology ? "tfjs-graph" : "tfjs-layers";
  const axisOf = format === "tfjs-graph" ? graphAxes(topology) : layersAxes(topology);
  const folder = name.includes("/") ? name.slice(0, name.lastIndexOf("/") + 1) : "";
  const tensors: ModelTensor[] = [];
  const manifest: unknown[] = [];
  for (const [index, value] of asArray(json["weightsManifest"], `${name}: weightsManifest`).entries()) {
    const what = `${name}: weightsManifest[${index}]`;
    const group = asObject(value, what);
    const shards: Shard[] = [];
    for (const path of asArray(group["paths"], `${what}.paths`)) {
      const file = folder + asString(path, `${what}.paths`);
      const start = shards.at(-1)?.end ?? 0;
      shards.push({ file, start, end: start + (await files.size(file)) });
    }
    const total = shards.at(-1)?.end ?? 0;
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
      if (Object.keys(weight.extras).length > 0) manifest.push({ name: weight.name, ...weight.extras });
      tensors.push({
        name: weight.name,
        shape: weight.shape,
        dtype: weight.dtype,
        use: useByShape(weight.dtype, weight.shape, axisOf(weight.name, weight.shape.length)),
        bytes: async () => decodeWeight(await readStretch(files, shards, start, end), weight),
      });
    }
    if (offset !== total)
      throw new ModelFileError(
        `${what}: its weights take ${offset} bytes, but its shards have ${total} (${shards.map((shard) => shard.file)})`,
      );
  }
  const names = new Set(tensors.map((tensor) => tensor.name));
  if (names.size !== tensors.length)
    throw new ModelFileError(`${name}: weightsManifest: a name occurs twice`);
  // Entries ride along only where they say more than the tensors themselves.
  const rest = { ...json, weightsManifest: manifest };
  return { format, tensors, metadata: { "model.json": jsonBytes(rest) } };
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

/** Of a layers model: from the layer's class, found by the first part of the weight's name. */
function layersAxes(topology: Record<string, unknown>): (name: string, rank: number) => number {
  const classes = new Map<string, string>();
  collectLayers(topology["model_config"] ?? topology, classes);
  return (name, rank) => {
    const path = name.split("/");
    const kind = path.at(-1)!;
    const layer = path.map((part) => classes.get(part)).find((found) => found !== undefined) ?? "";
    if (kind.startsWith("embeddings")) return 0;
    // [height, width, in, multiplier]: one kernel an input channel.
    if (kind.startsWith("depthwise_kernel")) return rank - 2;
    // [height, width, out, in]
    if (layer.includes("Transpose") && rank >= 3) return rank - 2;
    return rank - 1;
  };
}

function collectLayers(value: unknown, classes: Map<string, string>): void {
  if (Array.isArray(value)) for (const item of value) collectLayers(item, classes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return;
  const { class_name: className, config } = value as Record<string, unknown>;
  if (typeof className === "string" && typeof config === "object" && config !== null) {
    const { name } = config as Record<string, unknown>;
    if (typeof name === "string") classes.set(name, className);
    collectLayers((config as Record<string, unknown>)["layers"] ?? config, classes);
  } else if (!("class_name" in value)) {
    for (const item of Object.values(value)) if (typeof item === "object") collectLayers(item, classes);
  }
}

/** Of a graph model: from the operation that takes the weight. */
function graphAxes(topology: Record<string, unknown>): (name: string, rank: number) => number {
  const uses = new Map<string, (rank: number) => number>();
  const graphs = [
    topology,
    ...asArray(asObject(topology["library"] ?? {}, "library")["function"] ?? [], "functions"),
  ];
  for (const graph of graphs) {
    const nodes = ((graph as Record<string, unknown>)["node"] ??
      (graph as Record<string, unknown>)["nodeDef"]) as unknown;
    if (!Array.isArray(nodes)) continue;
    for (const node of nodes) {
      const { op, input, attr } = asObject(node, "modelTopology: node");
      if (typeof op !== "string" || !Array.isArray(input)) continue;
      const transposed = (key: string) =>
        (attr as Record<string, { b?: boolean }> | undefined)?.[key]?.b === true;
      const [first, second] = input.map((name) => String(name).replace(/^\^|:.*$/g, ""));
      if (op.includes("Depthwise")) uses.set(second, (rank) => rank - 2);
      else if (op === "Conv2DBackpropInput") uses.set(second, (rank) => rank - 2);
      else if (op.includes("Conv")) uses.set(second, (rank) => rank - 1);
      else if (op.startsWith("Gather") || op.startsWith("ResourceGather")) uses.set(first, () => 0);
      else if (op.includes("MatMul")) {
        const across = transposed("transpose_b") || transposed("adj_y");
        uses.set(second, (rank) => rank - (across ? 2 : 1));
      }
    }
  }
  return (name, rank) => Math.max(0, uses.get(name)?.(rank) ?? rank - 1);
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
  yield {
    file: "model.json",
    bytes: jsonBytes({ ...topology, weightsManifest: manifest }),
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
