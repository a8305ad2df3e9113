/**
 * Bytes of any kind in fewer bytes: names, texts, graphs, and the planes of lossless tensors. FORMAT.md, "Bytes".
 *
 *     const { coder, bytes } = packBytes(new TextEncoder().encode('{"a":[1,2],"b":[1,2],"c":[1,2]}'));
 *     unpackBytes(coder, bytes, 31);   // the same 31 bytes
 *
 * A coder's number is its place here and in the list of pack-bytes.ts: one entry each is all that a new one takes.
 */
import { decodeBytes } from "@bitdiet/ans/decode-bytes";
import { must } from "./errors.js";
import { decodeLz } from "./lz.js";

/** @returns exactly `size` bytes, or throws a CorruptInputError */
type Decode = (coded: Uint8Array, size: number) => Uint8Array;

const decoders: readonly Decode[] = [(coded) => new Uint8Array(coded), decodeBytes, decodeLz];

/** The inverse of `packBytes`. @throws {CorruptInputError} unless these are exactly `size` bytes by a coder that there is */
export function unpackBytes(coder: number, coded: Uint8Array, size: number): Uint8Array {
  must(coder < decoders.length && (size > 0 || coded.length === 0));
  const bytes = decoders[coder](coded, size);
  must(bytes.length === size);
  return bytes;
}
