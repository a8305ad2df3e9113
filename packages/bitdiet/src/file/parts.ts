/**
 * The parts of a file: cut out, compared with their hashes, and held against what a caller is ready to take.
 *
 *     checkedPart(file.subarray(40, 52), { start: 40, length: 12, hash })   // the 12 bytes, if their hash is that
 */
import { xxHash32 } from "@bitdiet/stream";
import { CorruptInputError, must } from "./errors.js";
import type { Part, TensorEntry } from "./header.js";

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

export const limitOf = ({ maxBytes }: DecodeLimits, there: number): number =>
  maxBytes ?? 2 ** 26 + 1024 * there;

/** @param there bytes of the file that are there */
export function checkSize(size: number, limits: DecodeLimits, there: number): void {
  const maxBytes = limitOf(limits, there);
  if (!(size <= maxBytes)) throw new CorruptInputError(`${size} bytes claimed, maxBytes is ${maxBytes}`);
}

/** As much of it as is there: `checkedPart` finds out. */
export const cutOut = (bytes: Uint8Array, { start, length }: Part): Uint8Array =>
  bytes.subarray(start, start + length);

export function partsOf(bytes: Uint8Array, { part, refinementPart }: TensorEntry): TensorParts {
  return { bytes: cutOut(bytes, part), refinement: refinementPart && cutOut(bytes, refinementPart) };
}

/** The bytes, if they are those that were written. */
export function checkedPart(bytes: Uint8Array, { length, hash }: Part): Uint8Array {
  must(bytes.length === length && xxHash32(bytes) === hash, "it is cut or changed");
  return bytes;
}
