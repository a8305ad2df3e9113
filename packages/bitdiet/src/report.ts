/**
 * What became of a model: sizes, and for each tensor what was done and how far it is off.
 *
 *     report.tensors[0]; // { name: "conv1.weight", shape: [16, 3, 3, 3], dtype: "float32", kept: "quantized", byteLength: 219, ... }
 */
import { xxHash32 } from "@bitdiet/stream";
import type { EncodedTensor, SourceTensor } from "./file/encode.js";
import { dequantize } from "./file/quantized-tensor.js";
import { coders } from "./file/write-integers.js";
import { floatBytes, floatValues } from "./formats/floats.js";
import { elementCount, isFloat, type ModelTensor, type TensorUse, trainedGrid } from "./model.js";

/** Why a weight is not quantized that was rounded before, or has few values. */
export const NO_MORE_EXACTLY = "takes no more with every bit";

export interface CompressedTensor {
  name: string;
  shape: number[];
  dtype: string;
  /** Quantized; bit for bit the integers that somebody made before, or those of the grid that it was trained on; rounded to a few significant bits more than weights have; or bit for bit. */
  kept: "quantized" | "quantized before" | "rounded" | "exact";
  /** Why so, in a few words. */
  why: string;
  /** Bytes in the file; 0 for one that equals an earlier tensor and is stored with it. */
  byteLength: number;
  /** Coded bits per element. */
  bits: number;
  /** Signal to noise in dB; Infinity where nothing changed, NaN for tensors that are not floats. */
  signalToNoise: number;
  /** Name of the coder of its integers; "lossless" without. */
  coder: string;
  /** xxHash32 of the bytes that a decoder has to give, little-endian in the tensor's type. */
  hash: number;
}

/** How far a model is off. */
export interface Judgement {
  /** 0 = not at all; NaN where nobody can say. */
  value: number;
  /** What the value is, such as "kl" in nats, or "relative" squared error. */
  kind?: string;
  /** Share of answers that are the same. */
  agreement?: number;
}

export interface CompressReport {
  format: string;
  /** Size of the whole file. */
  bytes: number;
  /** Size of the tensors as they came. */
  originalBytes: number;
  /** Size of topology and names. */
  overheadBytes: number;
  /** Mean coded bits of the numbers that were quantized; NaN where none were. */
  bits: number;
  /** The rate-distortion knob that led here, and the same on a scale from 0 (coarse) to 100 (fine); absent where nothing was lost. */
  lambda?: number;
  quality?: number;
  /** How far the outputs are off, by the caller's judge. */
  divergence?: Judgement;
  tensors: CompressedTensor[];
}

/** What went into the file for a tensor, beside what came. */
export function tensorReport(
  { name, shape, dtype, use }: ModelTensor,
  original: Uint8Array,
  { source, why }: { source: SourceTensor; why: string },
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
    kept: isQuantized
      ? trainedGrid({ use })
        ? "quantized before"
        : "quantized"
      : decoded !== original
        ? "rounded"
        : keptExactly(use),
    why,
    byteLength,
    bits: (8 * byteLength) / Math.max(1, elementCount(shape)),
    signalToNoise: isFloat(dtype)
      ? signalToNoise(floatValues(dtype, decoded), floatValues(dtype, original))
      : Number.NaN,
    coder: coderOf(entry),
    hash: xxHash32(decoded),
  };
}

const keptExactly = ({ kind }: TensorUse) => (kind === "integers" ? "quantized before" : "exact");

function coderOf({ quantized, integers }: EncodedTensor["entry"]): string {
  const how = quantized ?? integers;
  return how ? coders[how.coder].name : "lossless";
}

/** Signal to noise in dB: what values are of a reference, over what they are off. Infinity where they are equal. */
export function signalToNoise(values: Float32Array, reference: Float32Array): number {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; i++) {
    signal += reference[i] ** 2;
    noise += (values[i] - reference[i]) ** 2;
  }
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
}
