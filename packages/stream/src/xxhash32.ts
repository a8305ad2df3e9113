/**
 * xxHash32 of a byte array: the checksum that every self-describing Bitdiet stream carries over its decoded symbols.
 * Source: the xxHash specification, XXH32 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
 *
 *     xxHash32(new TextEncoder().encode("abc"))  // 0x32d153ff
 *
 * A mixed-endian reading would give another hash, so words are read by DataView, little-endian on every machine.
 */
const PRIME1 = 0x9e3779b1 | 0;
const PRIME2 = 0x85ebca77 | 0;
const PRIME3 = 0xc2b2ae3d | 0;
const PRIME4 = 0x27d4eb2f | 0;
const PRIME5 = 0x165667b1 | 0;

const { imul } = Math;

/** One step of an accumulator: rotl13(accumulator + lane * PRIME2) * PRIME1. */
function round(accumulator: number, lane: number): number {
  const sum = (accumulator + imul(lane, PRIME2)) | 0;
  return imul((sum << 13) | (sum >>> 19), PRIME1);
}

/** @param bytes any bytes, @param seed 32-bit unsigned; @returns the hash, 0 .. 2^32 - 1 */
export function xxHash32(bytes: Uint8Array, seed = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.byteLength;
  let at = 0;
  let hash: number;
  if (length >= 16) {
    let a = (seed + PRIME1 + PRIME2) | 0;
    let b = (seed + PRIME2) | 0;
    let c = seed | 0;
    let d = (seed - PRIME1) | 0;
    for (const last = length - 16; at <= last; at += 16) {
      a = round(a, view.getInt32(at, true));
      b = round(b, view.getInt32(at + 4, true));
      c = round(c, view.getInt32(at + 8, true));
      d = round(d, view.getInt32(at + 12, true));
    }
    hash =
      ((a << 1) | (a >>> 31)) + ((b << 7) | (b >>> 25)) + ((c << 12) | (c >>> 20)) + ((d << 18) | (d >>> 14));
  } else {
    hash = seed + PRIME5;
  }
  hash = (hash + length) | 0;
  for (; at + 4 <= length; at += 4) {
    hash = (hash + imul(view.getInt32(at, true), PRIME3)) | 0;
    hash = imul((hash << 17) | (hash >>> 15), PRIME4);
  }
  for (; at < length; at++) {
    hash = (hash + imul(bytes[at], PRIME5)) | 0;
    hash = imul((hash << 11) | (hash >>> 21), PRIME1);
  }
  hash = imul(hash ^ (hash >>> 15), PRIME2);
  hash = imul(hash ^ (hash >>> 13), PRIME3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
