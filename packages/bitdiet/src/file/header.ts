/**
 * A file's first bytes: what it is, what is in it, and where. FORMAT.md gives every byte.
 *
 *     "BITD" · version 1 · coder of the fields · parts, size, coded size · xxHash32 · coded fields · xxHash32 of every part · parts …
 *
 * Parts follow the header without gaps, so that an entry needs lengths only and no two can overlap.
 */
import { xxHash32 } from "@bitdiet/stream";
import { unpackBytes } from "./byte-coders.js";
import { type MetadataEntry, partsOf, readEntries, type TensorEntry } from "./entries.js";
import { CorruptInputError, must, named } from "./errors.js";
import { checkFields, checkLimitOptions, checkLimits, type DecodeLimits, roomForEntries } from "./limits.js";
import { type Reader, readNumber } from "./numbers.js";

const MAGIC = 0x44544942;
export const VERSION = 1;
/** So many first bytes always tell how long the header is: three numbers of at most seven bytes behind six. */
export const PROLOGUE = 27;
/** Fields may be this long whatever they are coded in, else as many times as long as their code. */
export const MAX_SMALL_FIELDS = 2 ** 16;
export const MAX_FIELDS_PER_BYTE = 64;

/** What is in a file, and where. Plain data: it can be cloned into a worker. */
export interface Header {
  metadata: MetadataEntry[];
  tensors: TensorEntry[];
  /** Where the first part starts, in bytes. */
  length: number;
  /** Where the last part ends. */
  fileLength: number;
}

/** Whether a file that begins so is one of this format, of any version. */
export function isBitdiet(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) === MAGIC;
}

/** @returns undefined if there are too few bytes to tell */
function readPrologue(bytes: Uint8Array) {
  must(bytes.length < 4 || isBitdiet(bytes), "Not a .bitdiet file");
  if (bytes.length >= 5 && bytes[4] !== VERSION)
    throw new CorruptInputError(`Version ${bytes[4]} of the format, not ${VERSION}`);
  if (bytes.length < PROLOGUE && bytes.slice(6).filter((byte) => byte < 128).length < 3) return undefined;
  const reader: Reader = { bytes, position: 6 };
  const [parts, size, codedSize] = [readNumber(reader), readNumber(reader), readNumber(reader)];
  const hashes = reader.position + 4 + codedSize;
  return { coder: bytes[5], size, hashes, start: reader.position, length: hashes + 4 * parts };
}

/**
 * How many bytes the header has, given the first bytes of a file: 27 are always enough.
 *
 * @returns undefined if these bytes are too few to tell
 * @throws {CorruptInputError} if they are no file of this format
 */
export function headerLength(bytes: Uint8Array): number | undefined {
  return readPrologue(bytes)?.length;
}

/**
 * @param bytes a file, or its first `headerLength(bytes)` bytes
 * @throws {CorruptInputError} unless the header is whole, its numbers fit each other, and what it stands for is within the limits;
 *   {RangeError} if a limit is none
 */
export function readHeader(bytes: Uint8Array, limits: DecodeLimits = {}): Header {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`);
  checkLimitOptions(limits);
  const prologue = readPrologue(bytes);
  must(prologue !== undefined && prologue.length <= bytes.length, "The header is cut");
  const { coder, size, hashes, start, length } = prologue;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const hash = headerHash(bytes.subarray(0, start), bytes.subarray(start + 4, length));
  must(hash === view.getUint32(start, true), "The header is changed");
  const header = named("header", () => {
    const coded = bytes.subarray(start + 4, hashes);
    must(size <= Math.max(MAX_SMALL_FIELDS, MAX_FIELDS_PER_BYTE * coded.length));
    checkFields(size, length, limits);
    const reader: Reader = { bytes: unpackBytes(coder, coded, size), position: 0 };
    const entries = readEntries(reader, roomForEntries(length, limits));
    const parts = partsOf(entries);
    must(reader.position === size && hashes + 4 * parts.length === length);
    let end = length;
    parts.forEach((part, i) => {
      part.start = end;
      part.hash = view.getUint32(hashes + 4 * i, true);
      end += part.length;
    });
    must(end <= Number.MAX_SAFE_INTEGER);
    return { ...entries, length, fileLength: end };
  });
  checkLimits(header, size, limits);
  return header;
}

/** Hash of the first bytes, and with that as its seed of all that follows the hash. */
export function headerHash(before: Uint8Array, after: Uint8Array): number {
  return xxHash32(after, xxHash32(before));
}
