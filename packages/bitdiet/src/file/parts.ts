/**
 * The parts of a file: cut out, and compared with their hashes, once.
 *
 *     const part = checkedPart(file.subarray(40, 52), { start: 40, length: 12, hash });   // if their hash is that
 *     decodePart(entry, part);
 */
import { xxHash32 } from "@bitdiet/stream";
import type { Part } from "./entries.js";
import { must } from "./errors.js";

declare const checked: unique symbol;
/** Bytes of a part that are known to be those that were written. */
export type CheckedPart = Uint8Array & { readonly [checked]: true };

export const isIntact = (bytes: Uint8Array, { length, hash }: Part): bytes is CheckedPart =>
  bytes.length === length && xxHash32(bytes) === hash;

/** The bytes, if they are those that were written. @throws {CorruptInputError} */
export function checkedPart(bytes: Uint8Array, part: Part): CheckedPart {
  must(isIntact(bytes, part), "it is cut or changed");
  return bytes;
}

/** The same of a file that is there: as much of the part as there is of it. */
export const partOf = (file: Uint8Array, part: Part): CheckedPart =>
  checkedPart(file.subarray(part.start, part.start + part.length), part);
