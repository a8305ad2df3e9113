/**
 * The part of a piece of metadata: a topology, a graph, whatever rides along.
 *
 *     decodeMetadataPart(entry, checkedPart(bytes, entry.part));   // { name: "model.json", bytes: Uint8Array }
 */
import { unpackBytes } from "./byte-coders.js";
import type { MetadataEntry } from "./entries.js";
import { named } from "./errors.js";
import type { CheckedPart } from "./parts.js";

export interface DecodedMetadata {
  name: string;
  bytes: Uint8Array;
}

/** @throws {CorruptInputError} unless the part is exactly what its entry says */
export function decodeMetadataPart({ name, coder, size }: MetadataEntry, part: CheckedPart): DecodedMetadata {
  return named(`metadata "${name}"`, () => ({ name, bytes: unpackBytes(coder, part, size) }));
}
