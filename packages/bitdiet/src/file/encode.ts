/**
 * Models to files, and what a file will weigh before it is written.
 *
 *     const steps = Float32Array.of(0.5), integers = Int32Array.of(1, 0, -1, 0);
 *     encodeModel({ tensors: [{ name: "w", dtype: "float32", quantized: { shape: [2, 2], integers, axis: 0, steps } }] })
 *     // a Uint8Array; decodeModel gives back 0.5, 0, -0.5, 0
 *
 * A model too large for memory is encoded tensor by tensor: keep the entries, put the bytes aside, then write `writeHeader` of the
 * entries and behind it the parts: first all metadata, then all tensors' bytes, then all tensors' refinements.
 */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import { xxHash32 } from "@bitdiet/stream";
import { type Dtype, dtypeBits, tensorBytes } from "../model.js";
import { encodeLossless, join } from "./encode-lossless.js";
import { elementsOf, type IntegerCoder, type MetadataEntry, type Part, type TensorEntry } from "./header.js";
import { checkedQuantized, keptRows, type QuantizedTensor } from "./quantized-tensor.js";
import { rowsOf } from "./rows.js";
import { gridIndex, gridOf } from "./step-grid.js";
import { encodeText } from "./text.js";
import { writeHeader, writeNumber } from "./write-header.js";
import { byteSymbols } from "./zigzag.js";

/** A tensor of which every bit is kept. */
export interface LosslessTensor {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  /** Little-endian elements, row-major. */
  bytes: Uint8Array;
}

/** A tensor of which integers and steps are kept. */
export interface QuantizedSource {
  name: string;
  /** What its values were, for whoever writes the original format back. Decoders give float32. */
  dtype: Dtype;
  quantized: QuantizedTensor;
  /**
   * Keeps the low bits of integers apart, behind everything else: from the first part of the file alone a decoder gets values with steps
   * 2^refinementBits as large. 1 .. 30; absent: all in one part.
   */
  refinementBits?: number;
  /** If integers are coefficients, how to get values from them. */
  transform?: RowTransform;
}

/**
 * A linear transform along rows, as dct-transform has it, and the shape of the values. `quantized` then is the matrix of coefficients:
 * one row a slice of the values along `axis`, in which every `size` neighbours, in the order of FORMAT.md, became `rows`.
 */
export interface RowTransform {
  shape: readonly number[];
  axis: number;
  rows: number;
  size: number;
  /** rows × size; row k is what coefficient k adds to the values: `synthesis` of dct-transform, its `basis` where that is absent. */
  synthesis: Float32Array;
  /** `size` values; zeros if absent. */
  mean?: Float32Array;
}

export type SourceTensor = LosslessTensor | QuantizedSource;

export interface SourceModel {
  tensors: readonly SourceTensor[];
  /** Opaque bytes that ride along, by name. */
  metadata?: readonly { name: string; bytes: Uint8Array }[];
}

export interface EncodeOptions {
  /**
   * cabac is the smallest coder and the slowest to decode. It codes a tensor's integers where it saves more than this share of what ans
   * would take: 0 (the default) for the smallest file, 1 for the fastest. Integers below -128 or above 127 always go to cabac.
   */
  cabacGain?: number;
}

/** An entry whose parts have lengths and hashes, but no place yet (start 0), and their bytes. */
export interface EncodedTensor {
  entry: TensorEntry;
  bytes: Uint8Array;
  refinement?: Uint8Array;
}
export interface EncodedMetadata {
  entry: MetadataEntry;
  bytes: Uint8Array;
}

/**
 * The whole file.
 *
 * @throws {TypeError} or {RangeError} naming the tensor if its parts do not fit each other
 */
export function encodeModel(
  { tensors, metadata = [] }: SourceModel,
  options: EncodeOptions = {},
): Uint8Array {
  const blobs = metadata.map(({ name, bytes }) => encodeMetadata(name, bytes));
  const coded = tensors.map((tensor) => encodeTensor(tensor, options));
  return join(filePieces(blobs, coded));
}

/** The pieces of a file in their order: for those who write them one by one. */
export function filePieces(
  metadata: readonly EncodedMetadata[],
  tensors: readonly EncodedTensor[],
): Uint8Array[] {
  const header = writeHeader(
    metadata.map(({ entry }) => entry),
    tensors.map(({ entry }) => entry),
  );
  return [
    header,
    ...metadata.map(({ bytes }) => bytes),
    ...tensors.map(({ bytes }) => bytes),
    ...tensors.flatMap(({ refinement }) => refinement ?? []),
  ];
}

/** What a file would weigh. */
export interface SizeEstimate {
  /** Of the whole file. */
  bytes: number;
  /** Header, names and hashes. */
  header: number;
  metadata: { name: string; bytes: number }[];
  tensors: { name: string; bytes: number }[];
}

/**
 * The size of what `encodeModel` returns for the same arguments, without coding any integers: within 0.2 % and a few bytes a tensor.
 */
export function estimateModel(
  { tensors, metadata = [] }: SourceModel,
  options: EncodeOptions = {},
): SizeEstimate {
  const blobs = metadata.map(({ name, bytes }) => encodeMetadata(name, bytes).entry);
  const entries = tensors.map((tensor) => estimateTensor(tensor, options));
  const header = writeHeader(blobs, entries).length;
  const sizes = {
    metadata: blobs.map(({ name, part }) => ({ name, bytes: part.length })),
    tensors: entries.map(({ name, part, refinementPart }) => ({
      name,
      bytes: part.length + (refinementPart?.length ?? 0),
    })),
  };
  const bytes = [...sizes.metadata, ...sizes.tensors].reduce((sum, each) => sum + each.bytes, header);
  return { bytes, header, ...sizes };
}

/** Longer metadata is coded by ans: the text coder would take more than a second or two to read it. */
const LONGEST_TEXT = 2 ** 20;

export function encodeMetadata(name: string, bytes: Uint8Array): EncodedMetadata {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`metadata "${name}": expected a Uint8Array, got ${typeof bytes}`);
  const isShort = bytes.length <= LONGEST_TEXT;
  const packed = isShort ? encodeText(bytes) : ans.encodeBytes(bytes);
  const isSmaller = packed.length < bytes.length;
  const coded = isSmaller ? packed : bytes;
  const coding = isSmaller ? (isShort ? 1 : 2) : 0;
  return { entry: { name, size: bytes.length, coding, part: partOf(coded) }, bytes: coded };
}

/** @throws {TypeError} or {RangeError} naming the tensor if its parts do not fit each other */
export function encodeTensor(tensor: SourceTensor, options: EncodeOptions = {}): EncodedTensor {
  if (!("quantized" in tensor)) {
    const bytes = encodeLossless(checkedLossless(tensor).bytes, tensor.dtype);
    return { entry: losslessEntry(tensor, partOf(bytes)), bytes };
  }
  const { shape, start, integers, residual, rows } = layered(tensor);
  const base = encodeIntegers(integers, rows, options);
  const bytes = join([start, base.bytes]);
  const entry = quantizedEntry(tensor, shape, base.coder, partOf(bytes));
  if (residual === undefined) return { entry, bytes };
  const { coder, bytes: refinement } = encodeIntegers(residual, rows, options);
  return { entry: refinedEntry(entry, tensor, coder, partOf(refinement)), bytes, refinement };
}

/** The entry that `encodeTensor` would give, its parts' lengths estimated and its hashes 0. */
export function estimateTensor(tensor: SourceTensor, options: EncodeOptions = {}): TensorEntry {
  const unhashed = (length: number): Part => ({ start: 0, length, hash: 0 });
  if (!("quantized" in tensor)) {
    const bytes = encodeLossless(checkedLossless(tensor).bytes, tensor.dtype);
    return losslessEntry(tensor, unhashed(bytes.length));
  }
  const { shape, start, integers, residual, rows } = layered(tensor);
  const base = estimateIntegers(integers, rows, options);
  const entry = quantizedEntry(tensor, shape, base.coder, unhashed(start.length + base.length));
  if (residual === undefined) return entry;
  const { coder, length } = estimateIntegers(residual, rows, options);
  return refinedEntry(entry, tensor, coder, unhashed(length));
}

const partOf = (bytes: Uint8Array): Part => ({ start: 0, length: bytes.length, hash: xxHash32(bytes) });

function checkedLossless(tensor: LosslessTensor): LosslessTensor {
  const { name, dtype, shape, bytes } = tensor;
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`tensor "${name}": bytes: expected a Uint8Array, got ${typeof bytes}`);
  if (!Object.hasOwn(dtypeBits, dtype))
    throw new RangeError(`tensor "${name}": dtype: expected one of dtypeBits, got ${dtype}`);
  const expected = tensorBytes(dtype, shape);
  if (expected !== undefined && bytes.length !== expected)
    throw new RangeError(
      `tensor "${name}": bytes: expected ${expected} of ${dtype} [${shape}], got ${bytes.length}`,
    );
  return tensor;
}

function losslessEntry({ name, dtype, shape, bytes }: LosslessTensor, part: Part): TensorEntry {
  return { name, dtype, shape: [...shape], size: bytes.length, part };
}

function quantizedEntry(
  { name, dtype, quantized, transform, refinementBits: _ }: QuantizedSource,
  shape: readonly number[],
  coder: IntegerCoder,
  part: Part,
): TensorEntry {
  const { axis } = transform ?? quantized;
  return {
    name,
    dtype,
    shape: [...shape],
    size: 4 * elementsOf(shape),
    quantized: {
      axis,
      perSlice: quantized.steps.length !== 1,
      coder,
      ...(transform && {
        transform: { rows: transform.rows, size: transform.size, hasMean: transform.mean !== undefined },
      }),
    },
    part,
  };
}

function refinedEntry(
  entry: TensorEntry,
  { refinementBits = 0 }: QuantizedSource,
  coder: IntegerCoder,
  refinementPart: Part,
): TensorEntry {
  const quantized = entry.quantized && { ...entry.quantized, refinement: { bits: refinementBits, coder } };
  return { ...entry, quantized, refinementPart };
}

/** What cabac wants to know about integers. */
interface CodedRows {
  rowLength: number;
  kernel: [number, number];
}

/** What comes before the integers, and these in rows, without those that are pruned. */
interface Layers {
  shape: readonly number[];
  start: Uint8Array;
  integers: Int32Array;
  residual?: Int32Array;
  rows: CodedRows;
}

function layered({ name, dtype, quantized, transform, refinementBits }: QuantizedSource): Layers {
  try {
    if (!isFloatLike(dtype)) throw new RangeError(`dtype: expected one of floats, got ${dtype}`);
    const { shape, integers, axis, steps } = checkedQuantized(quantized);
    if (integers.length === 0)
      throw new RangeError("integers: expected at least one; without any, keep the tensor losslessly");
    if (transform) checkTransform(transform, quantized);
    if (
      refinementBits !== undefined &&
      !(Number.isInteger(refinementBits) && refinementBits > 0 && refinementBits <= 30)
    )
      throw new RangeError(`refinementBits: expected 1 to 30, got ${refinementBits}`);
    const layout = rowsOf(shape, axis);
    const inRows = keptRows(quantized);
    const rowLength = layout.extents[1] * layout.extents[2];
    const rows: CodedRows = transform
      ? { rowLength, kernel: [1, 1] }
      : { rowLength: rowLength === 1 ? inRows.length : rowLength, kernel: layout.kernel };
    const start = join([transform ? transformBytes(transform) : [], stepBytes(steps)]);
    const valueShape = transform ? transform.shape : shape;
    if (refinementBits === undefined) return { shape: valueShape, start, integers: inRows, rows };
    // The nearest multiple; of two equally near ones that nearer to 0.
    const unit = 2 ** refinementBits;
    const coarse = inRows.map((integer) => Math.sign(integer) * Math.ceil(Math.abs(integer) / unit - 0.5));
    const residual = inRows.map((integer, i) => integer - coarse[i] * unit);
    return { shape: valueShape, start, integers: coarse, residual, rows };
  } catch (error) {
    if (error instanceof Error) error.message = `tensor "${name}": ${error.message}`;
    throw error;
  }
}

const isFloatLike = (dtype: Dtype) => Object.hasOwn(dtypeBits, dtype) && /float/.test(dtype);

function checkTransform(
  { shape, axis, rows, size, synthesis, mean }: RowTransform,
  quantized: QuantizedTensor,
): void {
  const slices = shape[axis] ?? 1;
  const samples = elementsOf(shape) / slices / size;
  if (!(Number.isInteger(samples) && rows > 0 && rows <= size))
    throw new RangeError(`transform: expected samples of ${size} in slices of [${shape}] along axis ${axis}`);
  if (quantized.axis !== 0 || `${quantized.shape}` !== `${[slices, samples * rows]}`)
    throw new RangeError(
      `quantized: expected coefficients [${slices}, ${samples * rows}], got [${quantized.shape}]`,
    );
  if (!(synthesis instanceof Float32Array && synthesis.length === rows * size))
    throw new TypeError(`transform.synthesis: expected a Float32Array of ${rows} × ${size}`);
  if (mean !== undefined && !(mean instanceof Float32Array && mean.length === size))
    throw new TypeError(`transform.mean: expected a Float32Array of ${size}`);
}

/** Mean and synthesis, bit by bit. */
function transformBytes({ synthesis, mean }: RowTransform): Uint8Array {
  const floats = Float32Array.of(...(mean ?? []), ...synthesis);
  return encodeLossless(new Uint8Array(floats.buffer), "float32");
}

/** Steps by their places on the coarsest grid that has them all, else as they are. */
function stepBytes(steps: Float32Array): Uint8Array {
  const parts = gridOf(steps);
  if (parts === undefined) return join([[0], new Uint8Array(steps.slice().buffer)]);
  const kept = steps.filter((step) => step !== 0);
  const indices = Int32Array.from(kept, (step) => gridIndex(step, parts));
  const middle = indices.slice().sort()[indices.length >> 1] ?? 0;
  const isPruned = kept.length < steps.length;
  const bytes = [32 - Math.clz32(parts) + (isPruned ? 128 : 0)];
  writeNumber(bytes, middle >= 0 ? 2 * middle : -2 * middle - 1);
  if (steps.length === 1) return Uint8Array.from(bytes);
  const pieces: ArrayLike<number>[] = [bytes];
  const push = (values: Int32Array) => {
    const coded = cabac.encodeWeights(values);
    const length: number[] = [];
    writeNumber(length, coded.length);
    pieces.push(length, coded);
  };
  if (isPruned) push(Int32Array.from(steps, (step) => (step === 0 ? 1 : 0)));
  push(indices.map((index) => index - middle));
  return join(pieces);
}

function encodeIntegers(
  integers: Int32Array,
  rows: CodedRows,
  { cabacGain = 0 }: EncodeOptions,
): { coder: IntegerCoder; bytes: Uint8Array } {
  if (integers.length === 0) return { coder: 0, bytes: new Uint8Array(0) };
  const symbols = byteSymbols(integers);
  const fast = symbols ? ans.encodeBytes(symbols) : undefined;
  if (fast && cabacGain >= 1) return { coder: 1, bytes: fast };
  const small = cabac.encodeWeights(integers, rows);
  return fast && small.length >= (1 - cabacGain) * fast.length
    ? { coder: 1, bytes: fast }
    : { coder: 0, bytes: small };
}

function estimateIntegers(
  integers: Int32Array,
  rows: CodedRows,
  { cabacGain = 0 }: EncodeOptions,
): { coder: IntegerCoder; length: number } {
  if (integers.length === 0) return { coder: 0, length: 0 };
  const symbols = byteSymbols(integers);
  const fast = symbols ? ans.encodedBits(symbols) / 8 : Infinity;
  if (fast < Infinity && cabacGain >= 1) return { coder: 1, length: fast };
  const small = Math.ceil(cabac.estimateBits(integers, rows) / 8);
  return small >= (1 - cabacGain) * fast ? { coder: 1, length: fast } : { coder: 0, length: small };
}
