/**
 * What a file says about itself before the first tensor. FORMAT.md gives every byte.
 *
 *     "BITD" · version 1 · parts, size, coded size (LEB128) · xxHash32 · coded entries · xxHash32 of every part · parts …
 *
 * Parts follow the header without gaps, so that an entry needs lengths only and no two can overlap.
 */
import { xxHash32 } from "@bitdiet/xxhash32";
import { CorruptInputError } from "./errors.js";
import { decodeText } from "./text-coder.js";

export const MAGIC = 0x44544942;
export const VERSION = 1;

/** Bytes of an element, by the names of safetensors; in the file a type is its place in this list. */
export const DTYPES = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
  complex64: 8,
  float8_e4m3: 1,
  float8_e5m2: 1,
  /** Bytes that only their framework understands, of a length of their own: TF.js strings. */
  string: 0,
} as const;
export type DType = keyof typeof DTYPES;
export const DTYPE_NAMES = Object.keys(DTYPES) as DType[];

/** A stretch of the file. */
export interface Part {
  /** Offset in the file, in bytes. */
  start: number;
  length: number;
  /** xxHash32 of its bytes. */
  hash: number;
}

/** Something opaque that rides along: a topology, a graph, `__metadata__`. */
export interface MetadataEntry {
  name: string;
  /** Bytes as decoded. */
  size: number;
  /** 0 as it is, 1 by the text coder, 2 by ans. */
  coding: number;
  part: Part;
}

/** How levels were coded: 0 by cabac, 1 by ans. */
export type LevelCoder = 0 | 1;

export interface TensorEntry {
  name: string;
  dtype: DType;
  shape: number[];
  /** Bytes as decoded: those of float32 values for a quantized tensor, else as they were. */
  size: number;
  /** Absent where every bit is kept. */
  quantized?: {
    axis: number;
    /** Whether each slice along the axis has a step of its own. */
    perSlice: boolean;
    coder: LevelCoder;
    /** Levels are coefficients: `rows` for every `size` neighbours in a row of values. */
    transform?: { rows: number; size: number; hasMean: boolean };
    /** Absent where the first part has everything. */
    refinement?: { bits: number; coder: LevelCoder };
  };
  /** What the tensor needs, coarsely if there is a second part. */
  part: Part;
  /** What the coarse levels lack; behind the first parts of all tensors. */
  refinementPart?: Part;
}

/** What is in a file, and where. Plain data: it can be cloned into a worker. */
export interface Header {
  metadata: MetadataEntry[];
  tensors: TensorEntry[];
  /** Where the first part starts, in bytes. */
  length: number;
  /** Where the last part ends. */
  fileLength: number;
}

export const elementsOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Numbers, names and lengths, one after the other. */
export interface FieldReader {
  bytes: Uint8Array;
  position: number;
}

/** LEB128, in its shortest form, below 2^49. */
export function readNumber(reader: FieldReader): number {
  let value = 0;
  for (let unit = 1; unit < 2 ** 49; unit *= 128) {
    const byte = reader.bytes[reader.position++];
    value += (byte & 127) * unit;
    if (byte < 128) {
      if (byte === 0 && unit > 1) break;
      return value;
    }
  }
  throw new CorruptInputError("A number is cut or changed");
}

export function readBytes(reader: FieldReader, length: number): Uint8Array {
  const end = reader.position + length;
  if (end > reader.bytes.length) throw new CorruptInputError("Bytes are missing");
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return bytes;
}

/** @returns undefined if there are too few bytes to tell */
function readPrologue(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length >= 4 && view.getUint32(0, true) !== MAGIC)
    throw new CorruptInputError("Not a .bitdiet file");
  if (bytes.length >= 5 && bytes[4] !== VERSION)
    throw new CorruptInputError(`Version ${bytes[4]} of the format; this decoder reads version ${VERSION}`);
  // Three numbers of at most 7 bytes.
  let numbers = 0;
  for (let at = 5; at < bytes.length && at < 26 && numbers < 3; at++) if (bytes[at] < 128) numbers++;
  if (numbers < 3 && bytes.length < 26) return undefined;
  const reader = { bytes, position: 5 };
  const [parts, size, codedSize] = [readNumber(reader), readNumber(reader), readNumber(reader)];
  const start = reader.position;
  return { parts, size, codedSize, start, length: start + 4 + codedSize + 4 * parts };
}

/**
 * How many bytes the header has, given the first bytes of a file: 26 are always enough.
 *
 * @returns undefined if these bytes are too few to tell
 * @throws {CorruptInputError} if they are no file of this format
 */
export function headerLength(bytes: Uint8Array): number | undefined {
  return readPrologue(bytes)?.length;
}

/**
 * @param bytes a file, or its first `headerLength(bytes)` bytes
 * @throws {CorruptInputError} unless the header is whole and its numbers fit each other
 */
export function readHeader(bytes: Uint8Array): Header {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`);
  const prologue = readPrologue(bytes);
  if (prologue === undefined || prologue.length > bytes.length)
    throw new CorruptInputError("The header is cut");
  const { parts, size, codedSize, start, length } = prologue;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const coded = bytes.subarray(start + 4, start + 4 + codedSize);
  if (headerHash(bytes.subarray(0, start), bytes.subarray(start + 4, length)) !== view.getUint32(start, true))
    throw new CorruptInputError("The header is changed");

  const reader = { bytes: size === codedSize ? coded : decodeText(coded, size), position: 0 };
  const metadata: MetadataEntry[] = [];
  const tensors: TensorEntry[] = [];
  let end = length;
  let hashes = 0;
  const part = (partLength: number): Part => {
    if (hashes === parts) throw new CorruptInputError("More parts than hashes");
    const hash = view.getUint32(start + 4 + codedSize + 4 * hashes++, true);
    const range = { start: end, length: partLength, hash };
    end += partLength;
    if (end > Number.MAX_SAFE_INTEGER) throw new CorruptInputError("A part ends beyond 2^53");
    return range;
  };

  const nextName = nameReader(reader);
  for (let count = readNumber(reader); count > 0; count--) {
    const [name, blobSize, coding] = [nextName(), readNumber(reader), readNumber(reader)];
    if (coding > 2) throw new CorruptInputError(`metadata "${name}": unknown coding ${coding}`);
    metadata.push({ name, size: blobSize, coding, part: part(readNumber(reader)) });
  }
  const refined: [TensorEntry, number][] = [];
  const nextTensorName = nameReader(reader);
  for (let count = readNumber(reader); count > 0; count--) {
    const name = nextTensorName();
    const entry = readTensor(reader, name, part);
    if (entry.quantized?.refinement) refined.push([entry, readNumber(reader)]);
    tensors.push(entry);
  }
  for (const [entry, partLength] of refined) entry.refinementPart = part(partLength);
  if (reader.position !== size || hashes !== parts)
    throw new CorruptInputError("The header does not end where it should");
  return { metadata, tensors, length, fileLength: end };
}

function readTensor(reader: FieldReader, name: string, part: (length: number) => Part): TensorEntry {
  const corrupt = (what: string) => new CorruptInputError(`tensor "${name}": ${what}`);
  const kind = readNumber(reader);
  const dtype = DTYPE_NAMES[kind >> 1];
  if (dtype === undefined) throw corrupt(`unknown type ${kind >> 1}`);
  const rank = readNumber(reader);
  if (rank > 32) throw corrupt(`${rank} axes`);
  const shape = Array.from({ length: rank }, () => readNumber(reader));
  const elements = elementsOf(shape);
  if (!(elements <= 2 ** 49)) throw corrupt(`a shape of ${elements} elements`);
  const isQuantized = (kind & 1) === 1;
  const size = isQuantized
    ? 4 * elements
    : dtype === "string"
      ? readNumber(reader)
      : DTYPES[dtype] * elements;
  if (!isQuantized) return { name, dtype, shape, size, part: part(readNumber(reader)) };

  if (elements === 0) throw corrupt("quantized, without elements");
  const flags = readNumber(reader);
  const axis = readNumber(reader);
  if (axis >= Math.max(1, rank)) throw corrupt(`axis ${axis} of ${rank}`);
  if (flags > 31) throw corrupt(`unknown coder or flags ${flags}`);
  const quantized: TensorEntry["quantized"] = {
    axis,
    perSlice: (flags & 1) === 1,
    coder: coderAt(flags >> 1),
  };
  if (flags & 4) {
    const rows = readNumber(reader);
    const sampleSize = readNumber(reader);
    const rowLength = elements / (shape[axis] ?? 1);
    if (!(sampleSize > 0 && rows > 0 && rows <= sampleSize && rowLength % sampleSize === 0))
      throw corrupt(`a transform of ${rows} × ${sampleSize} for rows of ${rowLength}`);
    quantized.transform = { rows, size: sampleSize, hasMean: (flags & 8) !== 0 };
  }
  if (flags & 16) {
    const bits = readNumber(reader);
    if (bits < 2 || bits > 61) throw corrupt(`a refinement by ${bits >> 1} bits`);
    quantized.refinement = { bits: bits >> 1, coder: coderAt(bits) };
  }
  return { name, dtype, shape, size, quantized, part: part(readNumber(reader)) };
}
const coderAt = (flags: number): LevelCoder => (flags & 1) as LevelCoder;

/** Names share their beginnings with the name before. */
function nameReader(reader: FieldReader): () => string {
  let before = new Uint8Array(0);
  const names = new Set<string>();
  return () => {
    const shared = readNumber(reader);
    if (shared > before.length) throw new CorruptInputError("A name is changed");
    const rest = readBytes(reader, readNumber(reader));
    before = Uint8Array.of(...before.subarray(0, shared), ...rest);
    let name: string;
    try {
      name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(before);
    } catch {
      throw new CorruptInputError("A name is not UTF-8");
    }
    if (names.has(name)) throw new CorruptInputError(`"${name}" is there twice`);
    names.add(name);
    return name;
  };
}

/** Of the first fields, and with that as its seed of all that follows the hash. */
export function headerHash(before: Uint8Array, after: Uint8Array): number {
  return xxHash32(after, xxHash32(before));
}
