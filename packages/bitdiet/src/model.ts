/**
 * A model as this package sees it, whatever file it came from: named tensors, and the rest as a few named blobs.
 *
 *     const model = await readModel("tfjs/model.json");
 *     model.tensors[0]; // { name: "conv2d/kernel", shape: [3, 3, 3, 16], dtype: "float32", use, bytes }
 *     model.tensors[0].use; // { kind: "weight", channelAxis: 3, reason: "kernel of Conv2D conv2d" }
 */

/**
 * Bits per element of every type; its place in this table is its number in a file (FORMAT.md). Elements lie little-endian, row-major;
 * those of less than a byte are packed as their framework packs them. A string tensor has no fixed size: it is carried as the opaque
 * bytes of its format.
 */
export const dtypeBits = {
  float32: 32,
  float16: 16,
  bfloat16: 16,
  float64: 64,
  int8: 8,
  uint8: 8,
  int16: 16,
  uint16: 16,
  int32: 32,
  uint32: 32,
  int64: 64,
  uint64: 64,
  bool: 8,
  complex64: 64,
  float8_e4m3: 8,
  float8_e5m2: 8,
  string: 0,
  float8_e8m0: 8,
  float8_e4m3fnuz: 8,
  float8_e5m2fnuz: 8,
  float6_e2m3: 6,
  float6_e3m2: 6,
  float4_e2m1: 4,
  int4: 4,
  uint4: 4,
  int2: 2,
  uint2: 2,
  complex128: 128,
} as const;

export type Dtype = keyof typeof dtypeBits;

/** Types by their numbers in a file. */
export const dtypeNames = Object.keys(dtypeBits) as Dtype[];

/** How the integers of a tensor lie. */
export interface IntegerRows {
  /** That of the output channels, 0 .. rank - 1; 0 where elements hold several integers. */
  axis: number;
  /**
   * 0 where each element is an integer. Else the bits of an integer, 2, 4 or 8: an element holds several, from its lowest bits
   * on, and a row is what one slice along the first axis holds.
   */
  width: number;
}

/**
 * Role of a tensor in its model, from how the model uses it, and why it has it.
 *
 * - `weight`: operand of a convolution, a matrix product or a recurrent layer; may be quantized, with a step for each channel
 * - `depthwise`: kernel of a depthwise convolution: few numbers that outputs depend on much; may be quantized, finely
 * - `embedding`: table whose rows are looked up; may be quantized, with a step for each row
 *   Each of these three may have a grid that it was trained on. `isConvolution` where its kernels see inputs side by side.
 * - `integers`: any of these that somebody has quantized before: every bit is kept; coders of weights see its integers in rows
 * - `vector`: bias, or scale, shift or statistics of a normalization; may lose its last bits, no more
 * - `exact`: anything else, such as indices, grids, filter banks, quantization scales: every bit is kept
 */
export type TensorUse =
  | {
      kind: "weight" | "depthwise" | "embedding";
      channelAxis: number;
      reason: string;
      isConvolution?: boolean;
      grid?: TrainedGrid;
    }
  | { kind: "integers"; lie: IntegerRows; reason: string }
  | { kind: "vector" | "exact"; reason: string };

/** Levels integer * step, with integers in bounds: one of each for all, or for each slice along the channel axis. */
export interface TrainedGrid {
  steps: Float32Array;
  least: readonly number[];
  most: readonly number[];
}

export interface ModelTensor {
  name: string;
  shape: number[];
  dtype: Dtype;
  use: TensorUse;
  /** Row-major little-endian elements, read when asked for: a model need not fit into memory. */
  bytes(): Promise<Uint8Array>;
}

export interface Model {
  /** Name of one of the `formats` of formats/list.ts. */
  format: string;
  tensors: ModelTensor[];
  /** What rides along and is needed to write the model again, by name; JSON texts and protobuf messages as bytes. */
  metadata: Record<string, Uint8Array>;
}

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
  return dtype === "string" ? undefined : Math.ceil((dtypeBits[dtype] * elementCount(shape)) / 8);
}

/** Whether `floatValues` can read it. */
export function isFloat(dtype: Dtype): dtype is FloatDtype {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64";
}
export type FloatDtype = "float32" | "float16" | "bfloat16" | "float64";

/** The grid that a tensor was trained on, if there is one. */
export function trainedGrid({ use }: Pick<ModelTensor, "use">): TrainedGrid | undefined {
  return "grid" in use ? use.grid : undefined;
}

/** Axis of the output channels of a tensor that may be quantized, along which steps may differ; undefined of any other. */
export function channelAxis({ dtype, shape, use }: Omit<ModelTensor, "bytes" | "name">): number | undefined {
  return "channelAxis" in use && isFloat(dtype) && elementCount(shape) > 0 ? use.channelAxis : undefined;
}
