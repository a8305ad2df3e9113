/**
 * A .bitdiet file as a model: its tensors and metadata, each fetched and decoded when asked for.
 *
 *     const { model } = await openBitdiet(await openSource("model.bitdiet"));
 *     await model.tensors[0].bytes();
 */
import { type DecodedTensor, decodePart, decodeQuantizedPart } from "../file/decode-part.js";
import type { Part, TensorEntry } from "../file/entries.js";
import { CorruptInputError, named } from "../file/errors.js";
import type { Header } from "../file/header.js";
import type { DecodeLimits } from "../file/limits.js";
import { decodeMetadataPart } from "../file/metadata.js";
import { type CheckedPart, checkedPart } from "../file/parts.js";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { floatBytes } from "../formats/floats.js";
import { isFloat, type Model, type ModelTensor, type TensorUse } from "../model.js";
import { type ArrivingModel, byteQueue, headerError, takeHeader } from "./arrival.js";
import { type ByteSource, readRange } from "./source.js";

/** The metadata that says which format the model had. */
export const FORMAT_ENTRY = "format";

export interface BitdietFile {
  header: Header;
  model: Model;
  /** Integers and steps of a tensor, undefined if it is not quantized. */
  quantized(entry: TensorEntry): Promise<QuantizedTensor | undefined>;
}

/**
 * Reads the header and the metadata of a file.
 *
 * @param limits of all tensors and metadata together
 * @throws {CorruptInputError} if they are damaged, the file is shorter or longer than it says, or beyond the limits
 */
export async function openBitdiet(source: ByteSource, limits: DecodeLimits = {}): Promise<BitdietFile> {
  const header = await fetchHeader(source, limits);
  const size = source.size();
  if (size !== undefined && size !== header.fileLength)
    throw new CorruptInputError(`${source.name}: ${size} bytes of a file of ${header.fileLength}`);
  const metadata = new Map<string, Uint8Array>();
  for (const entry of header.metadata) {
    const part = await fetchPart(source, entry.part, `metadata "${entry.name}"`);
    metadata.set(entry.name, decodeMetadataPart(entry, part).bytes);
  }
  const parts = async ({ name, part, refinementPart }: TensorEntry) => {
    const what = `tensor "${name}"`;
    const first = await fetchPart(source, part, what);
    return [first, refinementPart && (await fetchPart(source, refinementPart, what))] as const;
  };
  const tensors = header.tensors.map(
    (entry): ModelTensor => ({
      name: entry.name,
      shape: entry.shape,
      dtype: entry.dtype,
      use: useIn(entry),
      bytes: async () => tensorBytes(await decodePart(entry, ...(await parts(entry)))),
    }),
  );
  const quantized = async (entry: TensorEntry) =>
    entry.quantized && decodeQuantizedPart(entry, ...(await parts(entry)));
  return { header, model: modelOf(metadata, tensors), quantized };
}

function useIn({ quantized, integers }: TensorEntry): TensorUse {
  if (quantized) return { kind: "weight", channelAxis: quantized.axis, reason: "quantized in the file" };
  if (!integers) return { kind: "exact", reason: "not quantized in the file" };
  const { axis, width } = integers;
  return { kind: "integers", lie: { axis, width }, reason: "integers in the file" };
}

/** A model from what was decoded. @throws {CorruptInputError} if it does not say which format it had */
export function modelOf(blobs: ReadonlyMap<string, Uint8Array>, tensors: ModelTensor[]): Model {
  const format = formatOf(blobs);
  if (format === undefined) throw new CorruptInputError("Not a model: its format is not told");
  // Own properties all, whatever they are called.
  const metadata = Object.fromEntries([...blobs].filter(([name]) => name !== FORMAT_ENTRY));
  return { format, tensors, metadata };
}

/** An ONNX model's graph and what belongs to it. @throws {CorruptInputError} if the file holds another model */
export function onnxOf({ name, metadata }: Pick<ArrivingModel, "name" | "metadata">): Model {
  const model = modelOf(metadata, []);
  if (model.format !== "onnx")
    throw new CorruptInputError(`${name}: expected an ONNX model, got ${model.format}`);
  return model;
}

/** Which format the model had, if the metadata say it. */
export function formatOf(blobs: ReadonlyMap<string, Uint8Array>): string | undefined {
  const format = blobs.get(FORMAT_ENTRY);
  return format && new TextDecoder().decode(format);
}

/** Elements in the tensor's own type: quantized tensors are decoded as float32. */
export function tensorBytes({ dtype, values }: DecodedTensor): Uint8Array {
  if (values instanceof Float32Array)
    return isFloat(dtype) ? floatBytes(dtype, values) : floatBytes("float32", values);
  return values;
}

async function fetchHeader(source: ByteSource, limits: DecodeLimits): Promise<Header> {
  const queue = byteQueue();
  try {
    for await (const piece of source.read(0)) {
      queue.push(piece);
      const header = takeHeader(queue, limits);
      if (header) return header;
    }
    throw new CorruptInputError("the header is cut");
  } catch (error) {
    throw headerError(error, source.name, queue.peek());
  }
}

async function fetchPart(source: ByteSource, part: Part, what: string): Promise<CheckedPart> {
  const { start, length } = part;
  const size = source.size();
  if (size !== undefined && start + length > size)
    throw new CorruptInputError(`${source.name}: cut at byte ${size}, expected ${start + length}`);
  const bytes = length === 0 ? new Uint8Array(0) : await readRange(source, start, start + length);
  return named(`${source.name}: ${what}`, () => checkedPart(bytes, part));
}
