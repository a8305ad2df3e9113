/**
 * safetensors: a file, or shards with an index, each an 8-byte length, a JSON header and the tensors' bytes.
 * https://huggingface.co/docs/safetensors
 *
 *     const model = await readSafetensors(files, "model.safetensors");
 *     model.tensors[0]; // { name: "conv1.weight", shape: [16, 3, 3, 3], dtype: "float32", channelAxis: 0, bytes }
 *
 * Tensors are read from the file when asked for, and written one after another, so a model need not fit into memory.
 */
import { type Dtype, type Model, ModelFileError, type ModelTensor, tensorBytes } from "../model.js";
import {
  asArray,
  asObject,
  asShape,
  asString,
  checkIsModel,
  type FilePiece,
  jsonBytes,
  type ModelFiles,
  parseJson,
  readJson,
} from "./files.js";
import { safetensorsUses } from "./safetensors-use.js";
import { checkedUse } from "./values.js";

const dtypes: Record<string, Exclude<Dtype, "string">> = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F8_E4M3: "float8_e4m3",
  F8_E5M2: "float8_e5m2",
  F8_E8M0: "float8_e8m0",
  F8_E4M3FNUZ: "float8_e4m3fnuz",
  F8_E5M2FNUZ: "float8_e5m2fnuz",
  F6_E2M3: "float6_e2m3",
  F6_E3M2: "float6_e3m2",
  F4: "float4_e2m1",
  C64: "complex64",
  I64: "int64",
  U64: "uint64",
  I32: "int32",
  U32: "uint32",
  I16: "int16",
  U16: "uint16",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

/** The reference implementation's own bound on a header. */
const MOST_HEADER_BYTES = 100_000_000;

/** What is kept of the layout: the files in order, how many of the model's tensors are in each, and the index's metadata. */
interface Layout {
  files: { name: string; tensors: number; metadata?: unknown }[];
  index?: { name: string; metadata?: unknown };
}

/** A tensor, and how its bytes are read: all, or the first. */
interface StoredTensor {
  name: string;
  shape: number[];
  dtype: Dtype;
  read(count?: number): Promise<Uint8Array>;
}

/**
 * @param name a .safetensors file, or a .safetensors.index.json beside its shards
 * @throws {ModelFileError} if the files are damaged, contradict each other or use a type that is not known
 */
export async function readSafetensors(files: ModelFiles, name: string): Promise<Model> {
  const tensors: StoredTensor[] = [];
  const layout: Layout = { files: [] };
  if (!name.endsWith(".json")) {
    await addFile(files, name, tensors, layout);
  } else {
    const index = asObject(await readJson(files, name), name);
    layout.index = { name, metadata: index["metadata"] };
    const places = Object.entries(asObject(index["weight_map"], `${name}: weight_map`));
    const shards = [
      ...new Set(places.map(([tensor, shard]) => asString(shard, `${name}: weight_map.${tensor}`))),
    ];
    for (const shard of shards.sort()) await addFile(files, shard, tensors, layout);
    const found = new Set(tensors.map((tensor) => tensor.name));
    const missing = places.find(([tensor]) => !found.has(tensor));
    if (missing) throw new ModelFileError(`${name}: ${missing[0]} is not in ${missing[1]}`);
    if (found.size !== tensors.length) throw new ModelFileError(`${name}: its shards share names of tensors`);
  }
  const useOf = safetensorsUses(tensors);
  const used: ModelTensor[] = [];
  for (const { read, ...tensor } of tensors) {
    const use = await checkedUse(useOf(tensor.name), tensor.dtype, tensor.shape, read);
    used.push({ ...tensor, use, bytes: () => read() });
  }
  return {
    format: "safetensors",
    tensors: used,
    metadata: { layout: jsonBytes(layout) },
  };
}

async function addFile(
  files: ModelFiles,
  name: string,
  tensors: StoredTensor[],
  layout: Layout,
): Promise<void> {
  const size = await files.size(name);
  if (size < 8) throw new ModelFileError(`${name}: expected at least 8 bytes, got ${size}`);
  const start = await files.read(name, 0, 8);
  checkIsModel(await files.read(name, 0, Math.min(size, 64)), name);
  const headerBytes = Number(new DataView(start.buffer, start.byteOffset).getBigUint64(0, true));
  if (headerBytes > Math.min(size - 8, MOST_HEADER_BYTES))
    throw new ModelFileError(
      `${name}: expected a header of at most ${Math.min(size - 8, MOST_HEADER_BYTES)} bytes, got ${headerBytes}`,
    );
  const header = asObject(
    parseJson(await files.read(name, 8, 8 + headerBytes), `${name}: header`),
    `${name}: header`,
  );
  const { __metadata__: metadata, ...entries } = header;
  const found = Object.entries(entries).map(([tensor, value]) => {
    const what = `${name}: ${tensor}`;
    const entry = asObject(value, what);
    const dtype = dtypes[asString(entry["dtype"], `${what}: dtype`)];
    if (dtype === undefined) throw new ModelFileError(`${what}: unknown dtype ${entry["dtype"]}`);
    const shape = asShape(entry["shape"], `${what}: shape`);
    const [from, to] = asArray(entry["data_offsets"], `${what}: data_offsets`) as number[];
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from <= to))
      throw new ModelFileError(`${what}: expected data_offsets in order, got ${from}, ${to}`);
    if (8 + headerBytes + to > size)
      throw new ModelFileError(`${what}: ends at byte ${8 + headerBytes + to} of a file of ${size}`);
    if (to - from !== tensorBytes(dtype, shape))
      throw new ModelFileError(
        `${what}: expected ${tensorBytes(dtype, shape)} bytes of ${dtype} [${shape}], got ${to - from}`,
      );
    return { name: tensor, shape, dtype, from, to };
  });
  found.sort((a, b) => a.from - b.from || a.to - b.to);
  // Tensors cover the data exactly once. This also catches a name given twice: JSON.parse keeps the last, and the bytes of the
  // first are then a hole.
  let end = 0;
  for (const { name: tensor, from, to } of found) {
    if (from < end) throw new ModelFileError(`${name}: ${tensor} overlaps the tensor before it`);
    if (from > end)
      throw new ModelFileError(`${name}: bytes ${end} to ${from}, before ${tensor}, belong to none`);
    end = to;
  }
  if (8 + headerBytes + end !== size)
    throw new ModelFileError(`${name}: its tensors end at byte ${8 + headerBytes + end} of ${size}`);
  for (const { from, to, ...rest } of found) {
    const start = 8 + headerBytes + from;
    const read = (count = Infinity) => files.read(name, start, start + Math.min(to - from, count));
    tensors.push({ ...rest, read });
  }
  layout.files.push({ name, tensors: found.length, metadata });
}

/**
 * The model's files as they were, in order, piece by piece: tensors are asked for one after another. Headers are written anew.
 *
 * @throws {ModelFileError} if the model was not read from safetensors
 */
export async function* writeSafetensors(model: Model): AsyncGenerator<FilePiece> {
  const layout = asObject(
    parseJson(model.metadata["layout"] ?? new Uint8Array(), "safetensors: layout"),
    "safetensors: layout",
  ) as unknown as Layout;
  const names = Object.fromEntries(Object.entries(dtypes).map(([short, dtype]) => [dtype, short]));
  // Without a prototype: a tensor may be called "__proto__".
  const places: Record<string, string> = Object.create(null);
  let total = 0;
  let next = 0;
  for (const { name, tensors: count, metadata } of asArray(
    layout.files,
    "safetensors: files",
  ) as Layout["files"]) {
    asString(name, "safetensors: file");
    const tensors = model.tensors.slice(next, next + count);
    next += count;
    const header: Record<string, unknown> = Object.create(null);
    if (metadata !== undefined) header["__metadata__"] = metadata;
    let offset = 0;
    for (const { name: tensor, dtype, shape } of tensors) {
      if (dtype === "string") throw new ModelFileError(`${tensor}: safetensors has no strings`);
      const end = offset + tensorBytes(dtype, shape)!;
      header[tensor] = { dtype: names[dtype], shape, data_offsets: [offset, end] };
      places[tensor] = name;
      offset = end;
    }
    total += offset;
    const json = jsonBytes(header);
    // Spaces up to a multiple of 8, so that the tensors are aligned.
    const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20);
    padded.set(json);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
    yield { file: name, bytes: length };
    yield { file: name, bytes: padded };
    for (const tensor of tensors) yield { file: name, bytes: await tensor.bytes() };
  }
  if (next !== model.tensors.length)
    throw new ModelFileError(`safetensors: expected ${next} tensors, got ${model.tensors.length}`);
  if (layout.index) {
    const { name, metadata = { total_size: total } } = layout.index;
    asString(name, "safetensors: index");
    yield {
      file: name,
      bytes: new TextEncoder().encode(JSON.stringify({ metadata, weight_map: places }, null, 2)),
    };
  }
}
