/**
 * What a file may become, and what that may take, held against its header before anything is decoded.
 *
 *     readHeader(bytes, { maxBytes: 1e8 })   // throws where all tensors and metadata together are more than 100 MB
 */
import type { MetadataEntry, Part, TensorEntry } from "./entries.js";
import { CorruptInputError } from "./errors.js";
import { integerLayout } from "./integer-layout.js";
import { decoders, WEIGHTS } from "./integers.js";

export interface DecodeLimits {
  /**
   * The most bytes to give out, of all tensors and metadata together. Default: 64 MiB and 1,024 for every byte of the file,
   * counted part by part. A few bytes can truthfully stand for very many equal values.
   */
  maxBytes?: number;
  /**
   * The most work, in seconds of one core of a laptop, as sizes and coders promise in the worst case. Default: 4 and
   * 10 for every MB of the file.
   */
  maxSeconds?: number;
}

const BASE_BYTES = 2 ** 26;
const BYTES_PER_BYTE = 1024;
const BASE_NANOSECONDS = 4e9;
const NANOSECONDS_PER_BYTE = 1e4;

/** Nanoseconds of a byte of the fields: names, entries, and what is kept of them. */
const FIELD_NANOSECONDS = 600;
/** Of a byte given out of what is no list of integers. */
const BYTE_NANOSECONDS = 50;
/** More of it where it comes by lz, and at most so much for each byte that is read. */
const [LZ_NANOSECONDS, LZ_CODED_NANOSECONDS] = [100, 3000];
/** Of a row, and of one more that has a step of its own. */
const ROW_NANOSECONDS = 400;
const STEP_NANOSECONDS = 700;
/** Of each of a part's first bytes, which may all belong to tables, and to what coders start with. */
const START_NANOSECONDS = 3000;
const START_BYTES = 256;

/** @throws {RangeError} naming a limit that is no number of at least 0 */
export function checkLimitOptions({ maxBytes = 0, maxSeconds = 0 }: DecodeLimits): void {
  for (const [name, value] of Object.entries({ maxBytes, maxSeconds }))
    if (!(typeof value === "number" && value >= 0))
      throw new RangeError(`${name}: expected a number of at least 0, got ${value}`);
}

/** Bytes and nanoseconds that an entry may become and take. */
export function costOf(entry: MetadataEntry | TensorEntry): { bytes: number; nanoseconds: number } {
  const { size, part } = entry;
  const coded = "shape" in entry ? (entry.quantized ?? entry.integers) : undefined;
  if (!coded) {
    const byLz = Math.min(size * LZ_NANOSECONDS, part.length * LZ_CODED_NANOSECONDS);
    return { bytes: size, nanoseconds: size * BYTE_NANOSECONDS + byLz + startOf(part) };
  }
  const { dtype, shape, quantized, integers, refinementPart } = entry as TensorEntry;
  const layout = integers && integerLayout(dtype, shape, integers);
  const count = layout?.count ?? size / 4;
  const rows = layout?.rows.extents[0] ?? shape[coded.axis] ?? 1;
  const listOf = (coder: number, { length }: Part) =>
    count * decoders[coder].nanoseconds +
    length * decoders[coder].nanosecondsPerByte +
    rows * ROW_NANOSECONDS +
    startOf({ length });
  const steps = quantized?.perRow
    ? rows * STEP_NANOSECONDS + part.length * decoders[WEIGHTS].nanosecondsPerByte
    : 0;
  const first = listOf(coded.coder, part) + steps;
  if (!quantized?.refinement || !refinementPart) return { bytes: size, nanoseconds: first };
  // First parts are decoded once more when their refinements are there.
  return { bytes: size, nanoseconds: 2 * first + listOf(quantized.refinement.coder, refinementPart) };
}

const startOf = ({ length }: Pick<Part, "length">): number =>
  START_NANOSECONDS * Math.min(length, START_BYTES);

/** @throws {CorruptInputError} at the first entry with which the file is beyond its limits */
export function checkLimits(
  { metadata, tensors, length }: { metadata: MetadataEntry[]; tensors: TensorEntry[]; length: number },
  fieldBytes: number,
  limits: DecodeLimits,
): void {
  let [bytes, nanoseconds, there] = [0, fieldNanoseconds(fieldBytes), length];
  for (const entry of [...metadata, ...tensors]) {
    const cost = costOf(entry);
    bytes += cost.bytes;
    nanoseconds += cost.nanoseconds;
    // Of a tensor that comes twice its bytes are there once.
    if (!("same" in entry) || entry.same === undefined)
      there += entry.part.length + (("refinementPart" in entry && entry.refinementPart?.length) || 0);
    const mostBytes = bytesWithin(there, limits);
    const what = `"${entry.name.slice(0, 80)}"`;
    if (!(bytes <= mostBytes))
      throw new CorruptInputError(`${what}: ${bytes} bytes claimed so far, maxBytes is ${mostBytes}`);
    checkWork(what, nanoseconds, there, limits);
  }
}

const bytesWithin = (there: number, { maxBytes }: DecodeLimits): number =>
  maxBytes ?? BASE_BYTES + BYTES_PER_BYTE * there;

/** Bytes that names and entries may take, so many more than tensors may: a file of nothing but names is no way around `maxBytes`. */
export const roomForEntries = (headerLength: number, limits: DecodeLimits): number =>
  2 ** 22 + bytesWithin(headerLength, limits);

/** Fields are read before anything in them is held against limits. @throws {CorruptInputError} if that alone is too much */
export function checkFields(fieldBytes: number, headerLength: number, limits: DecodeLimits): void {
  checkWork("fields", fieldNanoseconds(fieldBytes), headerLength, limits);
}

const fieldNanoseconds = (bytes: number): number => bytes * FIELD_NANOSECONDS;

function checkWork(what: string, nanoseconds: number, there: number, { maxSeconds }: DecodeLimits): void {
  const most = maxSeconds === undefined ? BASE_NANOSECONDS + NANOSECONDS_PER_BYTE * there : maxSeconds * 1e9;
  if (nanoseconds <= most) return;
  const seconds = Number((nanoseconds / 1e9).toPrecision(3));
  throw new CorruptInputError(
    `${what}: up to ${seconds} seconds of work so far, maxSeconds is ${most / 1e9}`,
  );
}
