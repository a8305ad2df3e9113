/**
 * What both ends of a self-describing stream share: header, checksum, payload. FORMAT.md gives every byte.
 *
 *     b1 01 05 | xxHash32 | 07   five symbols 7: magic, kind "constant", count 5, checksum, the symbol
 */
import { xxHash32 } from "@bitdiet/stream";

/** First byte of every stream; it changes when the format does. */
export const MAGIC = 0xb1;

/** Kinds of streams, bits 0 .. 2 of the second byte. */
export const STORED = 0;
export const CONSTANT = 1;
export const STATIC = 2;
export const PAIRS = 3;
export const MAPS = 4;
/** Bit 3 of the second byte: symbols are 16 bits wide. Bits 4 .. 7 hold the table log. */
export const WIDE = 8;

export type Symbols = Uint8Array | Uint16Array;

/** Symbols as little-endian bytes, the order of every machine that browsers run on: what the checksum covers. */
export function bytesOf(symbols: Symbols): Uint8Array {
  return new Uint8Array(symbols.buffer, symbols.byteOffset, symbols.byteLength);
}

/** The checksum is seeded with that of the header before it, so that no header bit can go wrong unseen. */
export function checksum(header: Uint8Array, symbols: Symbols): number {
  return xxHash32(bytesOf(symbols), xxHash32(header));
}
