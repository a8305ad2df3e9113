/**
 * One tensor to its entry and its parts, or to what they would weigh.
 *
 *     encodeTensor({ name: "w", dtype: "float32", quantized: { shape: [2, 2], integers, axis: 0, steps } })
 *     // { entry: { name: "w", part: { length: 3, hash }, … }, bytes: Uint8Array(3) }
 */
import { xxHash32 } from "@bitdiet/stream";
import { type Dtype, dtypeNames, type IntegerRows, isFloat, tensorBytes } from "../model.js";
import { checkedEntry, type Part, type TensorEntry } from "./entries.js";
import type { RowShape } from "./integer-rows.js";
import { elementsOf, join } from "./numbers.js";
import { checkedQuantized, checkShape, keptRows, type QuantizedTensor } from "./quantized-tensor.js";
import { rowsOf } from "./rows.js";
import { writeIntegerTensor } from "./write-integer-tensor.js";
import { type CodedIntegers, codeIntegers, estimated, type Measure, written } from "./write-integers.js";
import { writeLossless } from "./write-lossless.js";
import { writeSteps } from "./write-steps.js";

/** A tensor of which every bit is kept. */
export interface LosslessTensor {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  /** Little-endian elements, row-major. */
  bytes: Uint8Array;
  /** How its integers lie, if they are weights: coders of weights have them where that takes less. Such a tensor decodes to the same bytes. */
  integers?: IntegerRows;
}

/** A tensor of which integers and steps are kept. */
export interface QuantizedSource {
  name: string;
  /** What its values were, for whoever writes the original format back: float16, bfloat16, float32 or float64. Decoders give float32. */
  dtype: Dtype;
  quantized: QuantizedTensor;
  /**
   * Keeps the low bits of integers apart, behind everything else: from the first part of the file alone a decoder gets values with
   * steps 2^refinementBits as large. 1 .. 30; absent: all in one part, or as `progressive` of the options says.
   */
  refinementBits?: number;
}

export type SourceTensor = LosslessTensor | QuantizedSource;

export interface EncodeOptions {
  /**
   * Coders that decode faster take more bytes. A slower one codes a tensor's integers where it saves this share of the bytes for each
   * doubling of the time that decoding takes: 0 for the smallest file, 1 for the fastest. Default: 0.015.
   */
  minGain?: number;
  /**
   * Puts the low bits of all quantized tensors behind everything else: the first half of the file then is a coarse model, which
   * the rest refines.
   */
  progressive?: boolean;
}

const MIN_GAIN = 0.02;

/** An entry whose parts have lengths and hashes, but no place yet (start 0), and their bytes. */
export interface EncodedTensor {
  entry: TensorEntry;
  bytes: Uint8Array;
  refinement?: Uint8Array;
}

/** @throws {TypeError} or {RangeError} naming the tensor if its parts do not fit each other */
export function encodeTensor(tensor: SourceTensor, options: EncodeOptions = {}): EncodedTensor {
  const { entry, bytes, refinement } = coded(tensor, options, written);
  return { entry, bytes: bytes as Uint8Array, ...(refinement && { refinement }) };
}

/**
 * The entry that `encodeTensor` would give, its parts' lengths estimated; instead of the bytes' their hashes are those of the integers,
 * so that equal tensors have equal entries here, too.
 */
export function estimateTensor(tensor: SourceTensor, options: EncodeOptions = {}): TensorEntry {
  return coded(tensor, options, estimated).entry;
}

interface Coded {
  entry: TensorEntry;
  bytes?: Uint8Array;
  refinement?: Uint8Array;
}

/** The one walk of both. */
function coded(tensor: SourceTensor, options: EncodeOptions, measure: Measure): Coded {
  const { minGain = MIN_GAIN } = options;
  if (!(minGain >= 0 && minGain <= 1))
    throw new RangeError(`minGain: expected a share of 0 to 1, got ${minGain}`);
  try {
    return "quantized" in tensor ? quantized(tensor, options, measure) : lossless(tensor, options, measure);
  } catch (error) {
    if (error instanceof Error) error.message = `tensor "${tensor.name}": ${error.message}`;
    throw error;
  }
}

function lossless(
  { name, dtype, shape, bytes, integers }: LosslessTensor,
  { minGain = MIN_GAIN }: EncodeOptions,
  measure: Measure,
): Coded {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`);
  if (!dtypeNames.includes(dtype))
    throw new RangeError(`dtype: expected one of ${dtypeNames.join(", ")}, got ${dtype}`);
  checkShape(shape);
  const expected = tensorBytes(dtype, shape) ?? bytes.length;
  if (bytes.length !== expected)
    throw new RangeError(`bytes: expected ${expected} of ${dtype} [${shape}], got ${bytes.length}`);
  const part = writeLossless(bytes, dtype, shape);
  const entry = { name, dtype, shape: [...shape], size: bytes.length };
  const coded = integers && writeIntegerTensor(bytes, dtype, shape, integers, minGain, measure);
  if (!integers || !coded || coded.length >= part.length)
    return { entry: writable({ ...entry, part: partOf(part) }), bytes: part };
  const { coder, length } = coded;
  return {
    entry: writable({
      ...entry,
      integers: { ...integers, coder },
      part: coded.bytes ? partOf(coded.bytes) : { start: 0, length, hash: xxHash32(bytes) },
    }),
    bytes: coded.bytes,
  };
}

function quantized(
  source: QuantizedSource,
  { minGain = MIN_GAIN, progressive = false }: EncodeOptions,
  measure: Measure,
): Coded {
  const { name, dtype } = source;
  if (!isFloat(dtype)) throw new RangeError(`dtype: expected a float type of 16 bits or more, got ${dtype}`);
  const { shape, axis, steps } = checkedQuantized(source.quantized);
  if (elementsOf(shape) === 0)
    throw new RangeError("integers: expected at least one; without any, keep the tensor losslessly");
  const kept = keptRows(source.quantized);
  const bits = source.refinementBits ?? (progressive ? halfOfBits(kept) : undefined);
  if (bits !== undefined && !(Number.isInteger(bits) && bits > 0 && bits <= 30))
    throw new RangeError(`refinementBits: expected 1 to 30, got ${bits}`);

  const { extents, kernel } = rowsOf(shape, axis);
  const rows: RowShape = { rowLength: extents[1] * extents[2], kernel };
  const [first, second] = bits === undefined ? [kept] : layers(kept, bits);
  const base = codeIntegers(first, rows, minGain, measure);
  const refinement = second && codeIntegers(second, rows, minGain, measure);
  const start = writeSteps(steps);
  const bytes = base.bytes && join([start, base.bytes]);
  const entry: TensorEntry = {
    name,
    dtype,
    shape: [...shape],
    size: 4 * elementsOf(shape),
    quantized: { axis, perRow: steps.length !== 1, coder: base.coder },
    part: bytes ? partOf(bytes) : guessedPart(base, first, start),
  };
  const how = entry.quantized as NonNullable<TensorEntry["quantized"]>;
  if (second && refinement && bits !== undefined) {
    how.refinement = { bits, coder: refinement.coder };
    entry.refinementPart = refinement.bytes ? partOf(refinement.bytes) : guessedPart(refinement, second);
  }
  return { entry: writable(entry), bytes, refinement: refinement?.bytes };
}

const partOf = (bytes: Uint8Array): Part => ({ start: 0, length: bytes.length, hash: xxHash32(bytes) });

function guessedPart(
  { length }: CodedIntegers,
  integers: Int32Array,
  start: Uint8Array = new Uint8Array(0),
): Part {
  const bytes = new Uint8Array(integers.buffer, integers.byteOffset, integers.byteLength);
  return { start: 0, length: start.length + length, hash: xxHash32(bytes, xxHash32(start)) };
}

/** What no reader refuses. */
function writable(entry: TensorEntry): TensorEntry {
  try {
    return checkedEntry(entry);
  } catch {
    throw new RangeError(
      `shape: expected at most 32 axes, and 2^31 - 1 quantized elements, got [${entry.shape}]`,
    );
  }
}

/** Low bits that leave the root of the integers' mean square at 1, where they are that large: about half of what they take. */
function halfOfBits(integers: Int32Array): number | undefined {
  let squares = 0;
  for (const integer of integers) squares += integer * integer;
  const bits = Math.floor(Math.log2(Math.sqrt(squares / Math.max(1, integers.length))));
  return bits >= 1 ? Math.min(30, bits) : undefined;
}

/** Integers as multiples of 2^bits (of two equally near ones that nearer to 0), and the rest. */
function layers(integers: Int32Array, bits: number): [Int32Array, Int32Array] {
  const unit = 2 ** bits;
  const coarse = integers.map((integer) => Math.sign(integer) * Math.ceil(Math.abs(integer) / unit - 0.5));
  return [coarse, integers.map((integer, i) => integer - coarse[i] * unit)];
}
