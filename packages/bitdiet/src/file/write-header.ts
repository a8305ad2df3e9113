/**
 * A file's first bytes, for entries whose parts are at hand: the other side of header.ts.
 *
 *     join([writeHeader([], [entry]), part]);   // a file of one tensor
 */
import { type MetadataEntry, partsOf, type TensorEntry, writeEntries } from "./entries.js";
import { headerHash, MAX_FIELDS_PER_BYTE, MAX_SMALL_FIELDS, VERSION } from "./header.js";
import { join, writeNumber } from "./numbers.js";
import { type PackedBytes, packBytes } from "./pack-bytes.js";

/**
 * The header of a file with these entries, whose parts follow it in this order: of each metadata entry, the first of each tensor,
 * the second of each tensor that has one. Where parts start is not asked.
 *
 * @throws {RangeError} if a name is there twice, or cannot be written
 */
export function writeHeader(metadata: readonly MetadataEntry[], tensors: readonly TensorEntry[]): Uint8Array {
  const entries = { metadata: [...metadata], tensors: [...tensors] };
  const fields = writeEntries(entries);
  const parts = partsOf(entries);
  const packed = packedFields(fields);
  const start = [...new TextEncoder().encode("BITD"), VERSION, packed.coder];
  for (const number of [parts.length, fields.length, packed.bytes.length]) writeNumber(start, number);
  const hashes = Uint32Array.from(parts, ({ hash }) => hash);
  const rest = join([packed.bytes, new Uint8Array(hashes.buffer)]);
  const hash = Uint32Array.of(headerHash(Uint8Array.from(start), rest));
  return join([start, new Uint8Array(hash.buffer), rest]);
}

/** Fields in so few bytes that readers refuse them stay as they are. */
function packedFields(fields: Uint8Array): PackedBytes {
  const packed = packBytes(fields);
  const isFine = fields.length <= Math.max(MAX_SMALL_FIELDS, MAX_FIELDS_PER_BYTE * packed.bytes.length);
  return isFine ? packed : { coder: 0, bytes: fields };
}
