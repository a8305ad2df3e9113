/**
 * What a file says about itself before the first tensor. FORMAT.md gives every byte.
 *
 *     "BITD" · version 1 · parts, size, coded size (LEB128) · xxHash32 · coded entries · xxHash32 of every part · parts …
 *
 * Parts follow the header without gaps, so that an entry needs lengths only and no two can overlap.
 */
import { xxHash32 } from "@bitdiet/stream";
import { type Dtype, dtypeNames, tensorBytes } from "../model.js";
import { CorruptInputError, must, named } from "./errors.js";
import { decodeText } from "./text.js";

export const MAGIC = 0x44544942;
export const VERSION = 1;

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

/** How integers were coded: 0 by cabac, 1 by ans. */
export type IntegerCoder = 0 | 1;

export interface TensorEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Bytes as decoded: those of float32 values for a quantized tensor, else as they were. */
  size: number;
  /** Absent where every bit is kept. */
  quantized?: {
    axis: number;
    /** Whether each slice along the axis has a step of its own. */
    perSlice: boolean;
    coder: IntegerCoder;
    /** Integers are coefficients: `rows` for every `size` neighbours in a row of values. */
    transform?: { rows: number; size: number; hasMean: boolean };
    /** Absent where the first part has everything. */
    refinement?: { bits: number; coder: IntegerCoder };
  };
  /** What the tensor needs, coarsely if there is a second part. */
  part: Part;
  /** What the coarse integers lack; behind the first parts of all tensors. */
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
    must(byte > 0 || unit === 1);
    if (byte < 128) return value;
  }
  must(false);
}

export function readBytes(reader: FieldReader, length: number): Uint8Array {
  const end = reader.position + length;
  must(end <= reader.bytes.length);
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return bytes;
}

/** @returns undefined if there are too few bytes to tell */
function readPrologue(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  must(bytes.length < 4 || view.getUint32(0, true) === MAGIC, "Not a .bitdiet file");
  if (bytes.length >= 5 && bytes[4] !== VERSION)
    throw new CorruptInputError(`Version ${bytes[4]} of the format, not ${VERSION}`);
  // Three numbers of at most 7 bytes, of which the last is below 128.
  if (bytes.length < 26 && bytes.slice(5).filter((byte) => byte < 128).length < 3) return undefined;
  const reader = { bytes, position: 5 };
  const [parts, size, codedSize] = [readNumber(reader), readNumber(reader), readNumber(reader)];
  const hashes = reader.position + 4 + codedSize;
  return { size, hashes, start: reader.position, length: hashes + 4 * parts };
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
  must(prologue !== undefined && prologue.length <= bytes.length, "The header is cut");
  const { size, hashes, start, length } = prologue;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const hash = headerHash(bytes.subarray(0, start), bytes.subarray(start + 4, length));
  must(hash === view.getUint32(start, true), "The header is changed");

  let at = hashes;
  let end = length;
  const part = (partLength: number): Part => {
    must(at < length);
    const range = { start: end, length: partLength, hash: view.getUint32(at, true) };
    at += 4;
    end += partLength;
    return range;
  };
  return named("header", () => {
    const coded = bytes.subarray(start + 4, hashes);
    const reader = { bytes: size === coded.length ? coded : decodeText(coded, size), position: 0 };
    const metadata = readList(reader, (name): MetadataEntry => {
      const [blobSize, coding] = [readNumber(reader), readNumber(reader)];
      must(coding < 3);
      return { name, size: blobSize, coding, part: part(readNumber(reader)) };
    });
    const refined: [TensorEntry, number][] = [];
    const tensors = readList(reader, (name) => {
      const entry = { ...readTensor(reader, name), part: part(readNumber(reader)) };
      if (entry.quantized?.refinement) refined.push([entry, readNumber(reader)]);
      return entry as TensorEntry;
    });
    for (const [entry, partLength] of refined) entry.refinementPart = part(partLength);
    must(reader.position === size && at === length && end <= Number.MAX_SAFE_INTEGER);
    return { metadata, tensors, length, fileLength: end };
  });
}

function readTensor(reader: FieldReader, name: string): Omit<TensorEntry, "part"> {
  const next = () => readNumber(reader);
  const kind = next();
  const dtype = dtypeNames[kind >> 1];
  const rank = next();
  must(dtype !== undefined && rank <= 32);
  const shape = Array.from({ length: rank }, next);
  const elements = elementsOf(shape);
  must(elements <= 2 ** 49);
  if (!(kind & 1)) {
    return { name, dtype, shape, size: tensorBytes(dtype, shape) ?? next() };
  }

  const flags = next();
  const axis = next();
  must(elements > 0 && elements < 2 ** 31 && axis < Math.max(1, rank) && flags < 32);
  const quantized: TensorEntry["quantized"] = { axis, perSlice: (flags & 1) > 0, coder: coderOf(flags >> 1) };
  if (flags & 4) {
    const [rows, size] = [next(), next()];
    must(rows > 0 && rows <= size && (elements / (shape[axis] ?? 1)) % size === 0);
    quantized.transform = { rows, size, hasMean: (flags & 8) > 0 };
  }
  if (flags & 16) {
    const bits = next();
    must(bits > 1 && bits < 62);
    quantized.refinement = { bits: bits >> 1, coder: coderOf(bits) };
  }
  return { name, dtype, shape, size: 4 * elements, quantized };
}
const coderOf = (flags: number): IntegerCoder => (flags & 1) as IntegerCoder;

/** What has names: these share their beginnings with the name before, and none is there twice. */
function readList<Entry>(reader: FieldReader, read: (name: string) => Entry): Entry[] {
  const entries = new Map<string, Entry>();
  let before = new Uint8Array(0);
  for (let count = readNumber(reader); count > 0; count--) {
    const shared = readNumber(reader);
    must(shared <= before.length);
    before = Uint8Array.of(...before.subarray(0, shared), ...readBytes(reader, readNumber(reader)));
    const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(before);
    must(!entries.has(name));
    entries.set(
      name,
      named(`"${name}"`, () => read(name)),
    );
  }
  return [...entries.values()];
}

/** Of the first fields, and with that as its seed of all that follows the hash. */
export function headerHash(before: Uint8Array, after: Uint8Array): number {
  return xxHash32(after, xxHash32(before));
}
