/**
 * A .bitdiet file as a model: its tensors and metadata, each fetched and decoded when asked for.
 *
 *     const { model } = await openBitdiet(await openSource("model.bitdiet"));
 *     await model.tensors[0].bytes();
 */
import { CorruptInputError, type DecodedTensor, decodeMetadata, decodeParts } from "../file/decode.js";
import { decodeQuantized } from "../file/decode-quantized.js";
import { type Header, headerLength, type Part, readHeader, type TensorEntry } from "../file/header.js";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { floatBytes } from "../formats/floats.js";
import { isFloat, type Model, type ModelTensor } from "../model.js";
import { type ByteSource, joinPieces, readRange } from "./source.js";

/** The metadata that says which format the model had. */
export const FORMAT_ENTRY = "format";

export interface BitdietFile {
  header: Header;
  model: Model;
  /** Levels and steps of a tensor, undefined if it is not quantized. */
  quantized(entry: TensorEntry): Promise<QuantizedTensor | undefined>;
}

/**
 * Reads the header and the metadata of a file.
 *
 * @param maxBytes the most bytes to make of one tensor. Default: what decodeParts finds acceptable for its coded bytes
 * @throws {CorruptInputError} if they are damaged, or the file is shorter or longer than it says
 */
export async function openBitdiet(source: ByteSource, maxBytes?: number): Promise<BitdietFile> {
  const header = await fetchHeader(source);
  const metadata: Record<string, Uint8Array> = {};
  for (const entry of header.metadata) {
    const bytes = await fetchPart(source, entry.part);
    metadata[entry.name] = decodeMetadata(bytes, { ...entry, part: { ...entry.part, start: 0 } }).bytes;
  }
  const size = source.size();
  if (size !== undefined && size !== header.fileLength)
    throw new CorruptInputError(`${source.name}: ${size} bytes of a file of ${header.fileLength}`);
  const parts = async ({ part, refinementPart }: TensorEntry) => ({
    bytes: await fetchPart(source, part),
    refinement: refinementPart && (await fetchPart(source, refinementPart)),
  });
  const tensors = header.tensors.map(
    (entry): ModelTensor => ({
      name: entry.name,
      shape: entry.shape,
      dtype: entry.dtype,
      use: entry.quantized
        ? { kind: "weight", channelAxis: entry.quantized.axis, reason: "quantized in the file" }
        : { kind: "exact", reason: "not quantized in the file" },
      bytes: async () => tensorBytes(decodeParts(entry, await parts(entry), { maxBytes })),
    }),
  );
  const quantized = async (entry: TensorEntry) => {
    if (!entry.quantized) return undefined;
    const { bytes, refinement = new Uint8Array(0) } = await parts(entry);
    const { part, refinementPart } = entry;
    const moved = {
      ...entry,
      part: { ...part, start: 0 },
      refinementPart: refinementPart && { ...refinementPart, start: bytes.length },
    };
    return decodeQuantized(joinPieces([bytes, refinement]), moved, { maxBytes });
  };
  return { header, model: modelOf(metadata, tensors), quantized };
}

/** A model from what was decoded. @throws {CorruptInputError} if it does not say which format it had */
export function modelOf(blobs: Record<string, Uint8Array>, tensors: ModelTensor[]): Model {
  const { [FORMAT_ENTRY]: format, ...metadata } = blobs;
  if (format === undefined) throw new CorruptInputError("Not a model: its format is not told");
  return { format: new TextDecoder().decode(format), tensors, metadata };
}

/** Elements in the tensor's own type: quantized tensors are decoded as float32. */
export function tensorBytes({ dtype, values }: DecodedTensor): Uint8Array {
  if (values instanceof Float32Array)
    return isFloat(dtype) ? floatBytes(dtype, values) : floatBytes("float32", values);
  return values;
}

async function fetchHeader(source: ByteSource): Promise<Header> {
  const pieces: Uint8Array[] = [];
  let needed = 26;
  let length = 0;
  for await (const piece of source.read(0)) {
    pieces.push(piece);
    length += piece.length;
    if (length < needed) continue;
    const bytes = joinPieces(pieces);
    needed = headerLength(bytes) ?? needed;
    if (length >= needed) return readHeader(bytes.subarray(0, needed));
    pieces.splice(0, pieces.length, bytes);
  }
  const bytes = joinPieces(pieces);
  // Shorter than any file: this says what it is instead.
  headerLength(bytes);
  throw new CorruptInputError(`${source.name}: the header is cut`);
}

async function fetchPart(source: ByteSource, { start, length }: Part): Promise<Uint8Array> {
  const size = source.size();
  if (size !== undefined && start + length > size)
    throw new CorruptInputError(`${source.name}: cut at byte ${size}, expected ${start + length}`);
  return length === 0 ? new Uint8Array(0) : readRange(source, start, start + length);
}
