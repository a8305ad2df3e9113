/**
 * Files to tensors: `bitdiet/decode`, which knows no tensor library and no other module of this package than it needs.
 *
 *     const { tensors } = decodeModel(bytes);
 *     tensors[0]   // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 *
 * Nothing is taken on trust: hashes are compared before anything is decoded, memory grows with what was decoded, and what is given
 * out is bounded by `maxBytes`.
 */
import { decompress } from "@bitdiet/ans";
import { decodeWeights } from "@bitdiet/cabac";
import { xxHash32 } from "@bitdiet/xxhash32";
import { CorruptInputError } from "./errors.js";
import {
  type DType,
  elementsOf,
  type FieldReader,
  type Header,
  headerLength,
  type LevelCoder,
  type MetadataEntry,
  type Part,
  readBytes,
  readHeader,
  readNumber,
  type TensorEntry,
} from "./header.js";
import { decodeLossless } from "./lossless.js";
import type { QuantizedTensor } from "./quantized-tensor.js";
import { rowsOf, scatterRows } from "./rows.js";
import { stepAt } from "./step-grid.js";
import { decodeText } from "./text-coder.js";
import { fromSymbols } from "./zigzag.js";

export { CorruptInputError } from "./errors.js";
export type { DType, Header, MetadataEntry, Part, TensorEntry } from "./header.js";
export { headerLength, readHeader } from "./header.js";

export interface DecodedTensor {
  name: string;
  /** Of the tensor that was encoded. */
  dtype: DType;
  shape: number[];
  /** float32 for a quantized tensor, whatever its type was, and for float32; else the elements' bytes, little-endian. Row-major. */
  values: Float32Array | Uint8Array;
}

export interface DecodedMetadata {
  name: string;
  bytes: Uint8Array;
}

export interface DecodeLimits {
  /**
   * The most bytes to give out. Default: 64 MiB and 1,024 for every byte of the file that is there. A few bytes can truthfully stand
   * for very many equal values.
   */
  maxBytes?: number;
}

/** The parts of a tensor, wherever they came from. */
export interface TensorParts {
  bytes: Uint8Array;
  /** Absent: the tensor is decoded coarsely, if it was encoded in two parts. */
  refinement?: Uint8Array;
}

/**
 * @param bytes one whole file
 * @throws {CorruptInputError} unless the file is whole, every hash fits, and it holds no more than `maxBytes`
 */
export function decodeModel(
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): { tensors: DecodedTensor[]; metadata: DecodedMetadata[] } {
  const header = readHeader(bytes);
  if (header.fileLength !== bytes.length)
    throw new CorruptInputError(`${bytes.length} bytes of a file of ${header.fileLength}`);
  const claimed = [...header.metadata, ...header.tensors].reduce((sum, { size }) => sum + size, 0);
  const maxBytes = limitOf(limits, bytes.length);
  if (claimed > maxBytes) throw new CorruptInputError(`${claimed} bytes claimed, maxBytes is ${maxBytes}`);
  return {
    metadata: header.metadata.map((entry) => decodeMetadata(bytes, entry, { maxBytes })),
    tensors: header.tensors.map((entry) => decodeTensor(bytes, entry, { maxBytes })),
  };
}

/**
 * One tensor of a file, of which its own parts must be there.
 *
 * @throws {CorruptInputError} if they are not, a hash does not fit, or the tensor is larger than `maxBytes`
 */
export function decodeTensor(
  bytes: Uint8Array,
  entry: TensorEntry,
  limits: DecodeLimits = {},
): DecodedTensor {
  return decodeParts(entry, partsOf(bytes, entry), { maxBytes: limitOf(limits, bytes.length) });
}

/** The same from the parts alone: for those who fetched them, and for workers. */
export function decodeParts(
  entry: TensorEntry,
  parts: TensorParts,
  limits: DecodeLimits = {},
): DecodedTensor {
  const { name, dtype, shape, quantized, size } = entry;
  return named(`tensor "${name}"`, () => {
    checkSize(size + transformSize(entry), limits, parts.bytes.length);
    let values: Float32Array | Uint8Array;
    if (quantized) {
      const { levels, steps, kept, transform } = readQuantized(entry, parts);
      const layout = rowsOf(shape, quantized.axis);
      const coarse = quantized.refinement && !parts.refinement ? 2 ** quantized.refinement.bits : 1;
      const factors = Float64Array.from(kept, (row) => steps[quantized.perSlice ? row : 0] * coarse);
      if (transform) {
        const [rows, middle, inner] = layout.extents;
        const samples = (middle * inner) / transform.size;
        const all = Int32Array.from({ length: rows }, (_, row) => row);
        const ones = all.map(() => 1);
        const flat = rowsOf([rows, samples * transform.rows], 0);
        const coefficients = scatterRows(
          new Float32Array(rows * samples * transform.rows),
          levels,
          flat,
          kept,
          factors,
        );
        values = scatterRows(
          new Float32Array(size / 4),
          synthesized(coefficients, transform),
          layout,
          all,
          ones,
        );
      } else values = scatterRows(new Float32Array(size / 4), levels, layout, kept, factors);
    } else {
      const reader = { bytes: checked(parts.bytes, entry.part), position: 0 };
      const exact = decodeLossless(reader, dtype, size);
      if (reader.position !== parts.bytes.length) throw new CorruptInputError("Bytes follow the end");
      values = dtype === "float32" ? new Float32Array(exact.buffer) : exact;
    }
    return { name, dtype, shape, values };
  });
}

/**
 * The levels and steps themselves, for tools that look at them; of a transformed tensor its coefficients.
 *
 * @throws {CorruptInputError} as `decodeTensor`; {RangeError} if the tensor is not quantized
 */
export function decodeQuantized(
  bytes: Uint8Array,
  entry: TensorEntry,
  limits: DecodeLimits = {},
): QuantizedTensor {
  const { quantized, name, shape: valueShape, size } = entry;
  if (!quantized) throw new RangeError(`entry: expected a quantized tensor, got "${name}"`);
  return named(`tensor "${name}"`, () => {
    checkSize(size + transformSize(entry), limits, bytes.length);
    const { levels, steps, kept, transform } = readQuantized(entry, partsOf(bytes, entry));
    const rows = valueShape[quantized.axis] ?? 1;
    const shape = transform ? [rows, (size / 4 / rows / transform.size) * transform.rows] : valueShape;
    const axis = transform ? 0 : quantized.axis;
    const target = new Int32Array(elementsOf(shape));
    return {
      shape,
      axis,
      steps,
      levels: scatterRows(
        target,
        levels,
        rowsOf(shape, axis),
        kept,
        kept.map(() => 1),
      ),
    };
  });
}

/** One piece of metadata of a file. @throws {CorruptInputError} as `decodeTensor` */
export function decodeMetadata(
  bytes: Uint8Array,
  entry: MetadataEntry,
  limits: DecodeLimits = {},
): DecodedMetadata {
  const { name, size, coding, part } = entry;
  return named(`metadata "${name}"`, () => {
    checkSize(size, limits, bytes.length);
    const coded = checked(cutOut(bytes, part), part);
    const decoded =
      coding === 0
        ? coded.slice()
        : coding === 1
          ? decodeText(coded, size)
          : decompress(coded, { maxLength: size });
    if (decoded.length !== size || !(decoded instanceof Uint8Array))
      throw new CorruptInputError(`${decoded.length} bytes instead of ${size}`);
    return { name, bytes: decoded };
  });
}

/** What a stream decoder gives out. */
export type StreamItem =
  | { header: Header }
  | { metadata: DecodedMetadata }
  /** `isFinal` is false for a coarse tensor whose refinement is still to come. */
  | { tensor: DecodedTensor; isFinal: boolean };

/** Takes a file in pieces of any lengths. */
export interface StreamDecoder {
  /**
   * @returns what is complete with these bytes, in the order of the file
   * @throws {CorruptInputError} at the first part that is changed; the decoder is of no use then
   */
  push(chunk: Uint8Array): StreamItem[];
  /** Call it after the last bytes. @throws {CorruptInputError} if the file does not end there */
  end(): void;
}

/**
 * Decodes while a file arrives. It holds the bytes of one part, and the first parts of tensors that are to be refined.
 *
 * @param limits maxBytes: for all tensors and metadata together
 */
export function streamDecoder(limits: DecodeLimits = {}): StreamDecoder {
  const chunks: Uint8Array[] = [];
  let pending = 0;
  let received = 0;
  let spent = 0;
  let isStarted = false;
  /** What is still to come: how many bytes, and what they become. */
  const waiting: { length: number; decode: (bytes: Uint8Array) => StreamItem }[] = [];

  const take = (length: number): Uint8Array => {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const piece = chunks[0].subarray(0, length - at);
      taken.set(piece, at);
      at += piece.length;
      if (piece.length < chunks[0].length) chunks[0] = chunks[0].subarray(piece.length);
      else chunks.shift();
    }
    pending -= length;
    return taken;
  };
  /** What is left of the limit for an entry of this size. */
  const spend = (size: number): DecodeLimits => {
    spent += size;
    return { maxBytes: limitOf(limits, received) - spent + size };
  };
  const start = (): void => {
    const bytes = take(pending);
    chunks.push(bytes);
    pending = bytes.length;
    const length = headerLength(bytes);
    if (length === undefined) return;
    isStarted = true;
    waiting.push({ length, decode: begin });
  };
  const begin = (bytes: Uint8Array): StreamItem => {
    const header = readHeader(bytes);
    for (const entry of header.metadata) {
      const { part } = entry;
      const here = { ...entry, part: { ...part, start: 0 } };
      waiting.push({
        length: part.length,
        decode: (bytes) => ({ metadata: decodeMetadata(bytes, here, spend(entry.size)) }),
      });
    }
    const firstParts = new Map<TensorEntry, Uint8Array>();
    for (const entry of header.tensors) {
      const isFinal = entry.refinementPart === undefined;
      waiting.push({
        length: entry.part.length,
        decode: (bytes) => {
          if (!isFinal) firstParts.set(entry, bytes);
          return { tensor: decodeParts(entry, { bytes }, spend(entry.size)), isFinal };
        },
      });
    }
    for (const entry of header.tensors) {
      if (entry.refinementPart === undefined) continue;
      waiting.push({
        length: entry.refinementPart.length,
        decode: (refinement) => {
          const bytes = firstParts.get(entry) as Uint8Array;
          firstParts.delete(entry);
          const tensor = decodeParts(entry, { bytes, refinement }, { maxBytes: entry.size });
          return { tensor, isFinal: true };
        },
      });
    }
    return { header };
  };

  return {
    push(chunk) {
      if (!(chunk instanceof Uint8Array))
        throw new TypeError(`chunk: expected a Uint8Array, got ${typeof chunk}`);
      if (chunk.length > 0) chunks.push(chunk);
      pending += chunk.length;
      received += chunk.length;
      const items: StreamItem[] = [];
      if (!isStarted) start();
      while (waiting.length > 0 && waiting[0].length <= pending) {
        const { length, decode } = waiting[0];
        items.push(decode(take(length)));
        waiting.shift();
      }
      return items;
    },
    end() {
      if (!isStarted || waiting.length > 0) throw new CorruptInputError("The file is cut");
      if (pending > 0) throw new CorruptInputError(`${pending} bytes follow the end of the file`);
    },
  };
}

const limitOf = ({ maxBytes }: DecodeLimits, there: number): number => maxBytes ?? 2 ** 26 + 1024 * there;

function checkSize(size: number, limits: DecodeLimits, there: number): void {
  const maxBytes = limitOf(limits, there);
  if (!(size <= maxBytes)) throw new CorruptInputError(`${size} bytes claimed, maxBytes is ${maxBytes}`);
}

/** Bytes of a tensor's transform: no part of the tensor, but memory. */
function transformSize({ quantized }: TensorEntry): number {
  const { rows = 0, size = 0 } = quantized?.transform ?? {};
  return 4 * size * (rows + 1);
}

/** Errors of the coders as errors of this package, saying what they are about. */
function named<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Error && error.name === "CorruptInputError")
      throw new CorruptInputError(`${what}: ${error.message}`);
    throw error;
  }
}

function cutOut(bytes: Uint8Array, { start, length }: Part): Uint8Array {
  if (start + length > bytes.length)
    throw new CorruptInputError(`it is cut: ${bytes.length} bytes are there`);
  return bytes.subarray(start, start + length);
}

function partsOf(bytes: Uint8Array, { part, refinementPart }: TensorEntry): TensorParts {
  return { bytes: cutOut(bytes, part), refinement: refinementPart && cutOut(bytes, refinementPart) };
}

/** The bytes, if they are those that were written. */
function checked(bytes: Uint8Array, { length, hash }: Part): Uint8Array {
  if (bytes.length !== length) throw new CorruptInputError(`${bytes.length} bytes instead of ${length}`);
  if (xxHash32(bytes) !== hash) throw new CorruptInputError("The checksum does not match");
  return bytes;
}

/** Coefficients to values: every `rows` of them to `size`. */
interface Synthesis {
  rows: number;
  size: number;
  floats: Float32Array;
  /** Where the synthesis starts, after the mean if there is one. */
  offset: number;
}

interface RowLevels {
  /** Row by row, those that are kept. */
  levels: Int32Array;
  /** 1, or one a slice. */
  steps: Float32Array;
  kept: Int32Array;
  transform?: Synthesis;
}

function readQuantized(
  { shape, quantized, part, refinementPart }: TensorEntry,
  parts: TensorParts,
): RowLevels {
  const { axis, perSlice, coder, transform, refinement } = quantized as NonNullable<TensorEntry["quantized"]>;
  const reader = { bytes: checked(parts.bytes, part), position: 0 };
  const { extents, kernel } = rowsOf(shape, axis);
  const [rows] = extents;
  let rowLength = extents[1] * extents[2];
  let synthesis: Synthesis | undefined;
  if (transform) {
    const { rows, size, hasMean } = transform;
    const offset = hasMean ? size : 0;
    const floats = new Float32Array(decodeLossless(reader, "float32", 4 * (offset + rows * size)).buffer);
    synthesis = { rows, size, floats, offset };
    rowLength = (rowLength / size) * rows;
  }
  const steps = readSteps(reader, perSlice ? rows : 1);
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  const kept = all.filter((row) => steps[perSlice ? row : 0] !== 0);
  const count = kept.length * rowLength;
  const coded = {
    rowLength: rowLength === 1 ? count : rowLength,
    kernel: transform ? ([1, 1] as const) : kernel,
  };
  const levels = readLevels(readBytes(reader, parts.bytes.length - reader.position), count, coder, coded);
  if (refinement && refinementPart && parts.refinement) {
    const residual = readLevels(checked(parts.refinement, refinementPart), count, refinement.coder, coded);
    for (let i = 0; i < count; i++) levels[i] = levels[i] * 2 ** refinement.bits + residual[i];
  }
  return { levels, steps, kept, transform: synthesis };
}

/** No level costs cabac less than 0.00052 bits: bounds what coded bytes can stand for. */
const LEVELS_PER_BYTE = 16384;

function readLevels(
  bytes: Uint8Array,
  count: number,
  coder: LevelCoder,
  rows: { rowLength: number; kernel: readonly [number, number] },
): Int32Array {
  if (count === 0) {
    if (bytes.length > 0) throw new CorruptInputError("Bytes follow the end");
    return new Int32Array(0);
  }
  if (coder === 1) {
    const levels = fromSymbols(decompress(bytes, { maxLength: count }));
    if (levels.length !== count) throw new CorruptInputError(`${levels.length} levels instead of ${count}`);
    return levels;
  }
  if (count > (bytes.length + 4) * LEVELS_PER_BYTE)
    throw new CorruptInputError(`${count} levels claimed in ${bytes.length} bytes`);
  return decodeWeights(bytes, count, rows);
}

/** One step a row, or one for all; 0 for what is pruned. */
function readSteps(reader: FieldReader, count: number): Float32Array {
  const grid = readBytes(reader, 1)[0];
  if (grid === 0) {
    const steps = new Float32Array(readBytes(reader, 4 * count).slice().buffer);
    if (!steps.every((step) => step >= 0 && step < Infinity))
      throw new CorruptInputError("A step is no number");
    return steps;
  }
  const parts = 2 ** ((grid & 127) - 1);
  const isPruned = grid > 127;
  if (parts > 128 || parts < 1) throw new CorruptInputError(`Unknown grid ${grid}`);
  const zigzag = readNumber(reader);
  const middle = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  const list = (length: number) => {
    const bytes = readBytes(reader, readNumber(reader));
    return readLevels(bytes, length, 0, { rowLength: length, kernel: [1, 1] });
  };
  const steps = new Float32Array(count);
  const pruned = count > 1 && isPruned ? list(count) : new Int32Array(count).fill(isPruned ? 1 : 0);
  const offsets = count > 1 ? list(pruned.filter((flag) => flag === 0).length) : [0];
  for (let row = 0, k = 0; row < count; row++) {
    if (pruned[row] !== 0) continue;
    const index = middle + offsets[k++];
    if (!(index >= -126 * parts && index < 128 * parts))
      throw new CorruptInputError(`Step ${index} is not on the grid`);
    steps[row] = stepAt(index, parts);
  }
  return steps;
}

/** Each sample is the mean plus the sum of the coefficients' vectors, in float64. */
function synthesized(coefficients: Float32Array, { rows, size, floats, offset }: Synthesis): Float32Array {
  const values = new Float32Array((coefficients.length / rows) * size);
  for (let at = 0, from = 0; at < values.length; at += size, from += rows) {
    for (let i = 0; i < size; i++) {
      let sum = offset > 0 ? floats[i] : 0;
      for (let k = 0; k < rows; k++) sum += coefficients[from + k] * floats[offset + k * size + i];
      values[at + i] = sum;
    }
  }
  return values;
}
