/**
 * Bytes of any kind to fewer: the other side of byte-coders.ts.
 *
 *     packBytes(new TextEncoder().encode('{"a":[1,2],"b":[1,2],"c":[1,2]}'));   // { coder: 2, bytes }
 */
import { encodeBytes } from "@bitdiet/ans";
import { encodeLz } from "./write-lz.js";

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
