/**
 * Bytes of any kind in fewer bytes: names, texts, graphs, and the planes of lossless tensors. FORMAT.md, "Bytes".
 *
 *     const { coder, bytes } = packBytes(new TextEncoder().encode('{"a":[1,2],"b":[1,2],"c":[1,2]}'));
 *     unpackBytes(coder, bytes, 31);   // the same 31 bytes
 *
 * A coder's number is its place in the lists: one entry each is all that a new one takes.
 */
import { decodeBytes, encodeBytes } from "@bitdiet/ans";
import { must } from "./errors.js";
import { decodeLz, encodeLz } from "./lz.js";

/** @returns exactly `size` bytes, or throws a CorruptInputError */
type Decode = (coded: Uint8Array, size: number) => Uint8Array;

const decoders: readonly Decode[] = [(coded) => new Uint8Array(coded), decodeBytes, decodeLz];
export const ANS = 1;

/** @returns undefined for bytes that the coder is not for */
type Encode = (bytes: Uint8Array) => Uint8Array | undefined;

const encoders: readonly Encode[] = [(bytes) => bytes, encodeBytes, encodeLz];

/** Bytes as coded, and by which coder. */
export interface PackedBytes {
  coder: number;
  bytes: Uint8Array;
}

/** By the coder that takes the fewest bytes; the first of equals. @param among the coders to try */
export function packBytes(bytes: Uint8Array, among: readonly number[] = [...encoders.keys()]): PackedBytes {
  let best: PackedBytes = { coder: 0, bytes };
  among.forEach((coder) => {
    const coded = encoders[coder](bytes);
    if (coded && coded.length < best.bytes.length) best = { coder, bytes: coded };
  });
  return best;
}

/** The inverse. @throws {CorruptInputError} unless these are exactly `size` bytes by a coder that there is */
export function unpackBytes(coder: number, coded: Uint8Array, size: number): Uint8Array {
  must(coder < decoders.length && (size > 0 || coded.length === 0));
  const bytes = decoders[coder](coded, size);
  must(bytes.length === size);
  return bytes;
}
