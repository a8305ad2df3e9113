/**
 * A model to a .bitdiet file of a wanted size: which tensors are quantized, how finely, and what that costs. Weights alone decide
 * here; calibrated quantization comes in as ready tensors.
 *
 *     const { bytes, report } = await compressModel(model, { bits: 4 });
 *     report.tensors[0]; // { name: "conv1.weight", shape: [16, 3, 3, 3], dtype: "float32", byteLength: 219, bits: 4.06, ... }
 *
 * Tensors are read one at a time: in memory are one tensor, a sample of all, and the coded bytes.
 */
import { xxHash32 } from "@bitdiet/xxhash32";
import {
  type EncodedTensor,
  encodeMetadata,
  encodeTensor,
  estimateTensor,
  filePieces,
  type SourceTensor,
} from "./file/encode.js";
import { dequantize, type QuantizedTensor } from "./file/quantized-tensor.js";
import { floatBytes, floatValues } from "./formats/floats.js";
import { FORMAT_ENTRY } from "./loaders/open.js";
import { joinPieces, plainBytes } from "./loaders/source.js";
import { channelAxis, elementCount, isFloat, type Model, type ModelTensor } from "./model.js";
import { meetBudget } from "./quantize/budget.js";
import { quantizeWeights } from "./quantize/weights.js";

/** How small: mean bits a weight as coded (tensors that are not quantized apart), bytes of the whole file, or 0 (coarse) to 100 (fine). */
export type CompressTarget = { bits: number } | { maxBytes: number } | { quality: number };

export interface CompressedTensor {
  name: string;
  shape: number[];
  dtype: string;
  /** Quantized; rounded to a few significant bits more than weights have; or bit for bit. */
  kept: "quantized" | "rounded" | "exact";
  /** Bytes in the file. */
  byteLength: number;
  /** Coded bits an element. */
  bits: number;
  /** Signal to noise in dB; Infinity where nothing changed, NaN of tensors that are not floats. */
  signalToNoise: number;
  coder: "cabac" | "ans" | "lossless";
  /** xxHash32 of the bytes that a decoder has to give, little-endian in the tensor's type. */
  hash: number;
}

export interface CompressReport {
  format: string;
  /** Of the whole file. */
  bytes: number;
  originalBytes: number;
  /** Of topology and names. */
  overheadBytes: number;
  /** Mean coded bits of a quantized weight. */
  bits: number;
  /** Which statistics chose the levels. */
  method: "weights only" | "calibrated";
  tensors: CompressedTensor[];
}

/** The wanted size cannot be had. */
export class BudgetError extends Error {
  override name = "BudgetError";
}

export interface CompressOptions {
  onProgress?(step: string, done: number, total: number): void;
  /** Tensors that somebody has quantized with more knowledge than weights alone give, by name. The target then is a quality. */
  quantized?: ReadonlyMap<string, QuantizedTensor>;
}

/** Of quantizeWeights: about so many bits a weight, and a bit more with every unit. */
const COARSEST = -2;
const FINEST = 16;
/** Fineness of quality 100: about 8 bits a weight. */
const FINENESS_OF_BEST = 7;
/** Where a search stops. */
const LEAST_CHANGE = 1 / 128;
/** Weights that sizes are estimated from; of larger models the leading part of each tensor. */
const SAMPLE_WEIGHTS = 4_000_000;
/** Kept of floats that are not quantized, beyond the bits of a weight: biases and normalizations then err far less than weights. */
const MORE_SIGNIFICANT_BITS = 5;
const LEAST_SIGNIFICANT_BITS = 7;

/**
 * @throws {BudgetError} if the model cannot be made as small; {RangeError} if the target is none
 */
export async function compressModel(
  model: Model,
  target: CompressTarget,
  options: CompressOptions = {},
): Promise<{ bytes: Uint8Array; report: CompressReport }> {
  const { pieces, report } = await compressToPieces(model, target, options);
  return { bytes: joinPieces(pieces), report };
}

/** The same as the file's pieces in their order, for those who write them one by one. */
export async function compressToPieces(
  model: Model,
  target: CompressTarget,
  { onProgress = () => {}, quantized }: CompressOptions = {},
): Promise<{ pieces: Uint8Array[]; report: CompressReport }> {
  checkTarget(target);
  if (quantized && !("quality" in target))
    throw new RangeError("target: expected a quality where tensors are quantized already");
  const metadata = [
    encodeMetadata(FORMAT_ENTRY, new TextEncoder().encode(model.format)),
    ...Object.entries(model.metadata).map(([name, bytes]) => encodeMetadata(name, plainBytes(bytes))),
  ];
  const encodeAll = async (fineness: number): Promise<Encoded> => {
    const parts: EncodedTensor[] = [];
    const tensors: CompressedTensor[] = [];
    let originalBytes = 0;
    for (const [index, tensor] of model.tensors.entries()) {
      onProgress("encoding", index, model.tensors.length);
      const original = plainBytes(await tensor.bytes());
      const source = sourceOf(tensor, original, fineness, quantized?.get(tensor.name));
      const encoded = encodeTensor(source);
      parts.push(encoded);
      tensors.push(reportOf(tensor, original, source, encoded));
      originalBytes += original.length;
    }
    onProgress("encoding", model.tensors.length, model.tensors.length);
    const pieces = filePieces(metadata, parts);
    return { pieces, tensors, originalBytes, bytes: pieces.reduce((sum, { length }) => sum + length, 0) };
  };

  const overhead = metadata.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const fineness = await findFineness(model, target, overhead, onProgress);
  let encoded = await encodeAll(fineness);
  const weights = elementsIn(model.tensors.filter(isQuantizable));
  // Bits were found exactly unless only a sample was looked at.
  const limit =
    "maxBytes" in target
      ? target.maxBytes
      : "bits" in target && weights > SAMPLE_WEIGHTS
        ? (target.bits * weights) / 8
        : undefined;
  if (limit !== undefined && weights > 0 && fineness < FINEST) {
    let first: Encoded | undefined = encoded;
    // The estimate was good to a percent or so; what is written tells the rest.
    const { found, sizes } = await meetBudget({
      maxBytes: limit,
      start: 4 ** -fineness,
      weights,
      encode: async (lambda) => {
        const made = first ?? (await encodeAll(Math.min(FINEST, -Math.log2(lambda) / 2)));
        first = undefined;
        return { bytes: "maxBytes" in target ? made.bytes : quantizedBytes(made.tensors), made };
      },
    });
    const least = Math.min(...sizes.map(({ bytes }) => bytes));
    if (found) encoded = found.made;
    else if ("maxBytes" in target) encoded = { ...encoded, bytes: least };
  }
  if ("maxBytes" in target && encoded.bytes > target.maxBytes)
    throw new BudgetError(`expected at most ${target.maxBytes} bytes, but it takes ${encoded.bytes}`);
  return { pieces: encoded.pieces, report: summary(model, encoded, quantized !== undefined) };
}

function quantizedBytes(tensors: readonly CompressedTensor[]): number {
  return tensors.reduce((sum, { kept, byteLength }) => sum + (kept === "quantized" ? byteLength : 0), 0);
}

interface Encoded {
  pieces: Uint8Array[];
  tensors: CompressedTensor[];
  originalBytes: number;
  bytes: number;
}

function checkTarget(target: CompressTarget): void {
  const [name, value, least, most] =
    "bits" in target
      ? (["bits", target.bits, 0, 32] as const)
      : "quality" in target
        ? (["quality", target.quality, 0, 100] as const)
        : (["maxBytes", target.maxBytes, 1, Infinity] as const);
  if (!(value >= least && value <= most))
    throw new RangeError(`${name}: expected a number from ${least} to ${most}, got ${value}`);
}

function elementsIn(tensors: readonly { shape: readonly number[] }[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

function isQuantizable(tensor: ModelTensor): boolean {
  return channelAxis(tensor) !== undefined;
}

/** What of a tensor goes into the file. */
function sourceOf(
  tensor: ModelTensor,
  bytes: Uint8Array,
  fineness: number,
  given?: QuantizedTensor,
): SourceTensor {
  const { name, dtype, shape, use } = tensor;
  if (given) return { name, dtype, quantized: given };
  const axis = channelAxis(tensor);
  if (axis !== undefined && isFloat(dtype)) {
    const quantized = quantizeWeights({ values: floatValues(dtype, bytes), shape, axis }, fineness);
    if (quantized) return { name, dtype, quantized };
  }
  const isRounded = use.kind !== "exact" && dtype === "float32" && elementCount(shape) > 1;
  return { name, dtype, shape, bytes: isRounded ? roundedSignificands(bytes, fineness) : bytes };
}

/** float32 numbers with their significands rounded, half away from 0: the last bytes then take no room. */
function roundedSignificands(bytes: Uint8Array, fineness: number): Uint8Array {
  const rounded = new Uint8Array(bytes);
  const bits = new Uint32Array(rounded.buffer);
  const lost = 24 - Math.max(LEAST_SIGNIFICANT_BITS, Math.ceil(fineness) + MORE_SIGNIFICANT_BITS);
  if (lost <= 0) return rounded;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    // What would become infinite stays, as do infinities and NaNs.
    if (magnitude >= 0x7f7ff000) continue;
    bits[i] = (bits[i] & 0x80000000) | ((magnitude + (1 << (lost - 1))) & -(1 << lost));
  }
  return rounded;
}

/** How fine all tensors have to be for the target, from estimates of a sample. */
async function findFineness(
  model: Model,
  target: CompressTarget,
  overhead: number,
  onProgress: NonNullable<CompressOptions["onProgress"]>,
): Promise<number> {
  if ("quality" in target) return (FINENESS_OF_BEST * target.quality) / 100;
  const quantizable = model.tensors.filter(isQuantizable);
  const weights = elementsIn(quantizable);
  if (weights === 0) return 0;
  const share = Math.min(1, SAMPLE_WEIGHTS / weights);
  const samples: { tensor: ModelTensor; bytes: Uint8Array; scale: number }[] = [];
  let fixed = overhead;
  for (const [index, tensor] of model.tensors.entries()) {
    onProgress("reading", index, model.tensors.length);
    const bytes = plainBytes(await tensor.bytes());
    if (!isQuantizable(tensor)) {
      if ("maxBytes" in target) fixed += estimateTensor(sourceOf(tensor, bytes, 0)).part.length;
      continue;
    }
    // Whole slices along the first axis.
    const [extent, ...rest] = tensor.shape;
    const part = Math.max(1, Math.ceil(extent * share));
    const sample = part === extent ? bytes : bytes.slice(0, (bytes.length / extent) * part);
    samples.push({ tensor: { ...tensor, shape: [part, ...rest] }, bytes: sample, scale: extent / part });
  }
  onProgress("reading", model.tensors.length, model.tensors.length);
  const bitsAt = (fineness: number) => {
    let bytes = 0;
    for (const { tensor, bytes: sample, scale } of samples)
      bytes += scale * estimateTensor(sourceOf(tensor, sample, fineness)).part.length;
    return (8 * bytes) / weights;
  };
  const goal = "bits" in target ? target.bits : (8 * (0.996 * target.maxBytes - fixed)) / weights;
  // A unit of fineness is about a bit, less where most levels are 0: the secant through the last two converges in a few steps.
  let [low, high] = [COARSEST, FINEST];
  let fineness = Math.max(low, Math.min(high, goal - 1));
  let slope = 1;
  let before: { fineness: number; bits: number } | undefined;
  for (let tries = 0; tries < 12; tries++) {
    onProgress("choosing steps", tries, 12);
    const bits = bitsAt(fineness);
    if (Math.abs(bits - goal) < 0.001 * Math.max(goal, 0.1)) break;
    if (bits > goal) high = fineness;
    else low = fineness;
    if (high - low < LEAST_CHANGE) {
      fineness = low;
      break;
    }
    if (before && before.fineness !== fineness)
      slope = Math.max(0.05, Math.min(1.5, (bits - before.bits) / (fineness - before.fineness)));
    before = { fineness, bits };
    const next = fineness + (goal - bits) / slope;
    fineness = next > low && next < high ? next : (low + high) / 2;
  }
  onProgress("choosing steps", 12, 12);
  return fineness;
}

function reportOf(
  { name, shape, dtype }: ModelTensor,
  original: Uint8Array,
  source: SourceTensor,
  { entry, bytes, refinement }: EncodedTensor,
): CompressedTensor {
  const byteLength = bytes.length + (refinement?.length ?? 0);
  const isQuantized = "quantized" in source;
  let decoded: Uint8Array;
  if (!isQuantized) decoded = source.bytes;
  else decoded = isFloat(dtype) ? floatBytes(dtype, dequantize(source.quantized)) : original;
  return {
    name,
    shape: [...shape],
    dtype,
    kept: isQuantized ? "quantized" : decoded === original ? "exact" : "rounded",
    byteLength,
    bits: (8 * byteLength) / Math.max(1, elementCount(shape)),
    signalToNoise: isFloat(dtype)
      ? signalToNoise(floatValues(dtype, decoded), floatValues(dtype, original))
      : Number.NaN,
    coder: entry.quantized ? (entry.quantized.coder === 1 ? "ans" : "cabac") : "lossless",
    hash: xxHash32(decoded),
  };
}

/** In dB: what values are of a reference, over what they are off. Infinity where they are equal. */
export function signalToNoise(values: Float32Array, reference: Float32Array): number {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; i++) {
    signal += reference[i] ** 2;
    noise += (values[i] - reference[i]) ** 2;
  }
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
}

function summary(
  model: Model,
  { tensors, bytes, originalBytes }: Encoded,
  isCalibrated: boolean,
): CompressReport {
  let [coded, quantizedBytes, weights] = [0, 0, 0];
  for (const { kept, byteLength, shape } of tensors) {
    coded += byteLength;
    if (kept !== "quantized") continue;
    quantizedBytes += byteLength;
    weights += elementCount(shape);
  }
  return {
    format: model.format,
    bytes,
    originalBytes,
    overheadBytes: bytes - coded,
    bits: (8 * quantizedBytes) / weights,
    method: isCalibrated ? "calibrated" : "weights only",
    tensors,
  };
}
