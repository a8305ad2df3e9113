/**
 * What a file may become, and what that may take, held against its header before anything is decoded.
 *
 *     readHeader(bytes, { maxBytes: 1e8 })   // throws where all tensors and metadata together are more than 100 MB
 */
import type { MetadataEntry, TensorEntry } from "./entries.js";
import { CorruptInputError } from "./errors.js";
import { integerLayout } from "./integer-tensor.js";
import { decoders } from "./integers.js";

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

/** A byte's nanoseconds, with all that is done to it. */
const BYTE_NANOSECONDS = 8;

/** Bytes and nanoseconds that an entry may become and take. */
export function costOf(entry: MetadataEntry | TensorEntry): { bytes: number; nanoseconds: number } {
  const { size } = entry;
  const perByte = size * BYTE_NANOSECONDS;
  if (!("shape" in entry)) return { bytes: size, nanoseconds: perByte };
  const { dtype, shape, quantized, integers } = entry;
  const count = integers ? integerLayout(dtype, shape, integers)!.count : size / 4;
  const coders = [quantized ?? integers ?? []].flat().map(({ coder }) => coder);
  // First parts are decoded once more when their refinements are there.
  if (quantized?.refinement) coders.push(quantized.coder, quantized.refinement.coder);
  const perInteger = coders.reduce((sum, number) => sum + decoders[number].nanoseconds, 0);
  return { bytes: size, nanoseconds: count * perInteger + perByte };
}

/** @throws {CorruptInputError} at the first entry with which the file is beyond its limits */
export function checkLimits(
  { metadata, tensors, length }: { metadata: MetadataEntry[]; tensors: TensorEntry[]; length: number },
  { maxBytes, maxSeconds }: DecodeLimits,
): void {
  let [bytes, nanoseconds, there] = [0, 0, length];
  for (const entry of [...metadata, ...tensors]) {
    const cost = costOf(entry);
    bytes += cost.bytes;
    nanoseconds += cost.nanoseconds;
    // Of a tensor that comes twice its bytes are there once.
    if (!("same" in entry) || entry.same === undefined)
      there += entry.part.length + (("refinementPart" in entry && entry.refinementPart?.length) || 0);
    const mostBytes = maxBytes ?? BASE_BYTES + BYTES_PER_BYTE * there;
    const most =
      maxSeconds === undefined ? BASE_NANOSECONDS + NANOSECONDS_PER_BYTE * there : maxSeconds * 1e9;
    const what = `"${entry.name.slice(0, 80)}"`;
    if (!(bytes <= mostBytes))
      throw new CorruptInputError(`${what}: ${bytes} bytes claimed so far, maxBytes is ${mostBytes}`);
    if (!(nanoseconds <= most))
      throw new CorruptInputError(
        `${what}: up to ${Math.ceil(nanoseconds / 1e9)} seconds of work so far, maxSeconds is ${most / 1e9}`,
      );
  }
}
