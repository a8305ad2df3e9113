/**
 * A model as this package sees it, whatever file it came from: named tensors, and the rest as a few named blobs.
 *
 *     const model = await readModel("tfjs/model.json");
 *     model.tensors[0]; // { name: "conv2d/kernel", shape: [3, 3, 3, 16], dtype: "float32", channelAxis: 3, bytes }
 */

/** What the elements of a tensor are; in bytes they lie little-endian, row-major. */
export type Dtype = keyof typeof dtypeBytes | "string";

/** Bytes an element. A "string" tensor has no fixed size and is carried as the opaque bytes of its format. */
export const dtypeBytes = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3: 1,
  float8_e5m2: 1,
  complex64: 8,
  int64: 8,
  uint64: 8,
  int32: 4,
  uint32: 4,
  int16: 2,
  uint16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
} as const;

export interface ModelTensor {
  name: string;
  shape: number[];
  dtype: Dtype;
  /**
   * Of a weight that may be quantized (a float matrix or kernel): the axis of its output channels, along which steps may differ.
   * Undefined for what is better kept: biases, normalization parameters, integers.
   */
  channelAxis?: number;
  /** Row-major little-endian elements, read when asked for: a model need not fit into memory. */
  bytes(): Promise<Uint8Array>;
}

export interface Model {
  format: ModelFormat;
  tensors: ModelTensor[];
  /** What rides along and is needed to write the model again, by name; JSON texts and protobuf messages as bytes. */
  metadata: Record<string, Uint8Array>;
}

export type ModelFormat = (typeof modelFormats)[number];
export const modelFormats = ["tfjs-layers", "tfjs-graph", "safetensors", "onnx"] as const;

/** A model's file is not what it claims to be; the message names the file and what is wrong with it. */
export class ModelFileError extends Error {
  override name = "ModelFileError";
}

/** Elements of a tensor of this shape; 1 of a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes of a tensor of this shape, or undefined of strings. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number | undefined {
  return dtype === "string" ? undefined : dtypeBytes[dtype] * elementCount(shape);
}

/** Whether a tensor is a float weight worth quantizing: longer than 1 along at least two axes. */
export function isWeight(dtype: Dtype, shape: readonly number[]): boolean {
  return isFloat(dtype) && shape.filter((extent) => extent > 1).length >= 2;
}

/** Whether `floatValues` can read it. */
export function isFloat(dtype: Dtype): dtype is "float32" | "float16" | "bfloat16" {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16";
}
