/**
 * The file for one point of the curve: integers of a `Quantize` where they are the smallest, every bit elsewhere.
 *
 *     const { pieces, bytes } = await encodedModel(model, await quantize(lambda), lambda);
 */
import {
  type EncodedMetadata,
  type EncodedTensor,
  type EncodeOptions,
  encodeMetadata,
  encodeTensor,
  filePieces,
  type LosslessTensor,
  type SourceTensor,
  storedOnce,
} from "./file/encode.js";
import { dequantize, type QuantizedTensor } from "./file/quantized-tensor.js";
import { leastLossless } from "./file/write-lossless.js";
import { floatBytes } from "./formats/floats.js";
import { FORMAT_ENTRY } from "./loaders/open.js";
import { plainBytes } from "./loaders/source.js";
import { elementCount, type FloatDtype, type Model, type ModelTensor } from "./model.js";
import { finenessOf, type QuantizedModel } from "./quantize/quantize.js";
import type { Sized } from "./quantize/target.js";
import { type CompressedTensor, NO_MORE_EXACTLY, tensorReport } from "./report.js";
import { SHARD_ENTRY, type Shard, shardBytes, shardOf } from "./shard.js";

/** A file, and what it came to. */
export interface EncodedModel extends Sized {
  /** Pieces of the file, in order. */
  pieces: Uint8Array[];
  /** What it holds beside tensors: not the original's where integers are of another graph, with batch norms folded. */
  metadata: Model["metadata"];
  tensors: CompressedTensor[];
  originalBytes: number;
  /** Absent where nothing was lost on purpose. */
  lambda?: number;
}

export interface EncodeModelOptions extends EncodeOptions {
  /** Only this part of the tensors. */
  shard?: Shard;
  onProgress?(step: string, done: number, total: number): void;
}

/** Bits that floats beside the weights keep beyond those of a weight: biases and normalizations then err far less. */
const MORE_SIGNIFICANT_BITS = 5;
const MIN_SIGNIFICANT_BITS = 7;

type Quantized = QuantizedTensor | (() => Promise<QuantizedTensor | undefined>) | undefined;

/** The whole file with these integers; tensors are read one at a time. @param lambda rounds the other floats; 0 keeps every bit */
export async function encodedModel(
  original: Model,
  { tensors: quantized, model = original, notes = new Map() }: QuantizedModel,
  lambda: number,
  { onProgress = () => {}, shard, ...options }: EncodeModelOptions = {},
): Promise<EncodedModel> {
  const parts: EncodedTensor[] = [];
  const tensors: CompressedTensor[] = [];
  let [originalBytes, weightBytes, weights] = [0, 0, 0];
  const own = shard ? shardOf(model, shard).tensors : model.tensors;
  for (const [index, tensor] of own.entries()) {
    onProgress("encoding", index, own.length);
    const bytes = plainBytes(await tensor.bytes());
    const made = quantized.get(tensor.name);
    const { source, why, encoded, isWeight } = await smallest(tensor, bytes, made, lambda, options);
    parts.push(encoded);
    const note = "quantized" in source ? notes.get(tensor.name) : undefined;
    const report = tensorReport(tensor, bytes, { source, why: note ? `${why}; ${note}` : why }, encoded);
    tensors.push(report);
    originalBytes += bytes.length;
    if (!isWeight) continue;
    weightBytes += report.byteLength;
    weights += elementCount(tensor.shape);
  }
  onProgress("encoding", own.length, own.length);
  storedOnce(parts).forEach(({ entry }, index) => {
    if (entry.same !== undefined) tensors[index] = { ...tensors[index], byteLength: 0, bits: 0 };
  });
  const pieces = filePieces(metadataOf(model, shard), parts);
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  const bits = (8 * weightBytes) / weights;
  const { metadata } = model;
  return { pieces, metadata, tensors, originalBytes, bits, bytes, ...(lambda > 0 && { lambda }) };
}

/** What a tensor becomes where not every bit is kept. */
interface Lossy {
  source: SourceTensor;
  why: string;
  isWeight: boolean;
}

async function lossyOf(
  tensor: ModelTensor,
  bytes: Uint8Array,
  quantized: Quantized,
  lambda: number,
): Promise<Lossy | undefined> {
  const { name, dtype, shape, use } = tensor;
  const made = typeof quantized === "function" ? await quantized() : quantized;
  if (made) return { source: { name, dtype, quantized: made }, why: use.reason, isWeight: true };
  const isRounded = use.kind !== "exact" && dtype === "float32" && elementCount(shape) > 1 && lambda > 0;
  if (!isRounded) return undefined;
  const source = exactOf(tensor, roundedSignificands(bytes, lostBits(finenessOf(lambda))));
  return { source, why: use.reason, isWeight: false };
}

const exactOf = ({ name, dtype, shape, use }: ModelTensor, bytes: Uint8Array): LosslessTensor => ({
  name,
  dtype,
  shape,
  bytes,
  ...(use.kind === "integers" && { integers: use.lie }),
});

/** What a tensor becomes: integers, unless it takes no more to keep every bit. */
async function smallest(
  tensor: ModelTensor,
  bytes: Uint8Array,
  quantized: Quantized,
  lambda: number,
  options: EncodeOptions,
): Promise<Lossy & { encoded: EncodedTensor }> {
  const { use } = tensor;
  const exact = exactOf(tensor, bytes);
  const lossy = await lossyOf(tensor, bytes, quantized, lambda);
  if (lossy && !lossy.isWeight) return { ...lossy, encoded: encodeTensor(lossy.source) };
  if (lossy) {
    const encoded = encodeTensor(lossy.source, options);
    if (takesMore(tensor, exact, lengthOf(encoded))) return { ...lossy, encoded };
    return {
      source: exact,
      why: NO_MORE_EXACTLY,
      encoded: encodedExactly(tensor, exact, options),
      isWeight: true,
    };
  }
  const encoded = encodedExactly(tensor, exact, options);
  if (use.kind === "integers")
    return { source: exact, why: `quantized before: kept, ${use.reason}`, encoded, isWeight: false };
  const why = lambda === 0 ? "every bit fits" : quantized ? "zeros, or not finite" : use.reason;
  return { source: exact, why, encoded, isWeight: false };
}

/**
 * The model as a decoder of `encodedModel`'s file would give it, without coding anything: for trials. Only where a tensor takes about
 * as much with every bit, which the file then keeps, may it differ.
 */
export function roundedModel(
  original: Model,
  { tensors: quantized, model = original }: QuantizedModel,
  lambda: number,
): Model {
  const rounded = async (tensor: ModelTensor): Promise<Uint8Array> => {
    const bytes = plainBytes(await tensor.bytes());
    const lossy = await lossyOf(tensor, bytes, quantized.get(tensor.name), lambda);
    if (!lossy) return bytes;
    if (!("quantized" in lossy.source)) return lossy.source.bytes;
    const { quantized: made } = lossy.source;
    if (!takesMore(tensor, exactOf(tensor, bytes), likelyLength(made))) return bytes;
    return floatBytes(tensor.dtype as FloatDtype, dequantize(made));
  };
  return {
    ...model,
    tensors: model.tensors.map((tensor) => ({ ...tensor, bytes: () => rounded(tensor) })),
  };
}

/** Bytes of integers by the best static code for their mean magnitude, a Laplacian's: about what adaptive coders take. */
function likelyLength({ integers }: QuantizedTensor): number {
  let sum = 0;
  for (const integer of integers) sum += Math.abs(integer);
  return (integers.length / 8) * Math.log2(1 + 2 * Math.E * (sum / integers.length));
}

/** What tensors take with every bit, and at least: each trial of a search asks for it. */
const losslessLengths = new WeakMap<ModelTensor, number>();
const leastLengths = new WeakMap<ModelTensor, number>();
const keptExactly = new WeakMap<ModelTensor, { encoded: EncodedTensor; minGain?: number }>();

/** Whether a tensor takes more than so many bytes if every bit is kept. */
function takesMore(tensor: ModelTensor, exact: LosslessTensor, than: number): boolean {
  const { bytes, dtype, shape } = exact;
  const least = leastLengths.get(tensor) ?? leastLossless(bytes, dtype, shape);
  leastLengths.set(tensor, least);
  if (least > than) return true;
  const length = losslessLengths.get(tensor) ?? encodeTensor(exact).bytes.length;
  losslessLengths.set(tensor, length);
  return length > than;
}

/** For tensors that end in the file so: trials then share their bytes. */
function encodedExactly(
  tensor: ModelTensor,
  exact: LosslessTensor,
  { minGain }: EncodeOptions,
): EncodedTensor {
  const kept = keptExactly.get(tensor);
  if (kept && kept.minGain === minGain) return kept.encoded;
  const encoded = encodeTensor(exact, { minGain });
  keptExactly.set(tensor, { encoded, minGain });
  return encoded;
}

function lengthOf({ bytes, refinement }: EncodedTensor): number {
  return bytes.length + (refinement?.length ?? 0);
}

/** Last bits that floats beside weights of this fineness do without. */
export function lostBits(fineness: number): number {
  return 24 - Math.max(MIN_SIGNIFICANT_BITS, Math.ceil(fineness) + MORE_SIGNIFICANT_BITS);
}

/** float32 numbers with their significands rounded, half away from 0: the last bytes then take no room. @param lost their last bits */
export function roundedSignificands(bytes: Uint8Array, lost: number): Uint8Array {
  const rounded = new Uint8Array(bytes);
  const bits = new Uint32Array(rounded.buffer);
  if (lost <= 0) return bytes;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    // What would become infinite stays, as do infinities and NaNs.
    if (magnitude >= 0x7f7ff000) continue;
    bits[i] = (bits[i] & 0x80000000) | ((magnitude + (1 << (lost - 1))) & -(1 << lost));
  }
  return rounded;
}

function metadataOf(model: Model, shard?: Shard): EncodedMetadata[] {
  return [
    encodeMetadata(FORMAT_ENTRY, new TextEncoder().encode(model.format)),
    ...Object.entries(model.metadata).map(([name, bytes]) => encodeMetadata(name, plainBytes(bytes))),
    ...(shard ? [encodeMetadata(SHARD_ENTRY, shardBytes(model, shard))] : []),
  ];
}
