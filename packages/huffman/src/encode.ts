/**
 * Words to bits. Two streams share one run of bytes: A is written forwards from its start, B backwards from its end,
 * so both are found without a word of header, and a decoder can work at both at once.
 *
 *     A: codes 10 0 111 -> byte 10011100 at the left end        [ A → | ← B ]
 *     B: the same codes -> the same byte at the right end, further bytes to its left
 */
import { packedCodes } from "./canonical.js";
import type { Symbols } from "./histogram.js";

export interface EncodeTable {
  /** See `packedCodes`. */
  packed: Uint32Array;
  /** The same for two words at once, indexed by first | second << 8: for up to 256 words of at most 12 bits. */
  pairs: Uint32Array | undefined;
}

/** Below this many words, making the table of pairs takes longer than it saves. */
const FEWEST_FOR_PAIRS = 1 << 15;

/** @param lengths of a complete code, @param count how many words are going to be encoded, about */
export function buildEncodeTable(lengths: Uint8Array, count: number): EncodeTable {
  const packed = packedCodes(lengths);
  if (count < FEWEST_FOR_PAIRS || lengths.length > 256 || packed.some((code) => (code & 31) > 12)) {
    return { packed, pairs: undefined };
  }
  const pairs = new Uint32Array(65536);
  for (let second = 0; second < packed.length; second++) {
    const code = packed[second];
    for (let first = 0; first < packed.length; first++) {
      const before = packed[first];
      pairs[first | (second << 8)] =
        ((before & ~31) | ((code & ~31) >>> (before & 31))) + ((before & 31) + (code & 31));
    }
  }
  return { packed, pairs };
}

/** Bytes that `encodePair` needs for two streams of `bits` bits together: 4-byte stores reach past each one's end. */
export function pairCapacity(bits: number): number {
  return Math.ceil(bits / 8) + 2 + 8;
}

/**
 * Writes the codes of two sequences of words.
 *
 * @param a words that all have a code, and so for b
 * @param packed the table, and `pairs` of it, see `EncodeTable`: arrays alone, for the reason given at `decodeBoth`
 * @param bits size of both streams together, exactly
 * @param target zeros, where bytes[from .. from + pairCapacity(bits)) may be written
 * @returns where the pair ends in `target`
 */
export function encodePair(
  a: Symbols,
  b: Symbols,
  packed: Uint32Array,
  pairs: Uint32Array | undefined,
  bits: number,
  target: Uint8Array,
  from: number,
): number {
  const bytes = target.subarray(from, from + pairCapacity(bits));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // Per stream: bits not yet complete to a byte, left-aligned (acc), their number 0 .. 7 (n), where they go (at).
  let accA = 0;
  let nA = 0;
  let atA = 0;
  let accB = 0;
  let nB = 0;
  let atB = bytes.length - 4;
  let i = 0;
  const both = Math.min(a.length, b.length);
  if (pairs && a instanceof Uint8Array && b instanceof Uint8Array) {
    const inA = new DataView(a.buffer, a.byteOffset, a.length);
    const inB = new DataView(b.buffer, b.byteOffset, b.length);
    for (; i + 4 <= both; i += 4) {
      const fourA = inA.getUint32(i, true);
      const fourB = inB.getUint32(i, true);
      let codeA = pairs[fourA & 65535];
      let codeB = pairs[fourB & 65535];
      accA |= (codeA & ~31) >>> nA;
      accB |= (codeB & ~31) >>> nB;
      nA += codeA & 31;
      nB += codeB & 31;
      view.setUint32(atA, accA, false);
      view.setUint32(atB, accB, true);
      atA += nA >>> 3;
      atB -= nB >>> 3;
      accA <<= nA & 24;
      accB <<= nB & 24;
      nA &= 7;
      nB &= 7;
      codeA = pairs[fourA >>> 16];
      codeB = pairs[fourB >>> 16];
      accA |= (codeA & ~31) >>> nA;
      accB |= (codeB & ~31) >>> nB;
      nA += codeA & 31;
      nB += codeB & 31;
      view.setUint32(atA, accA, false);
      view.setUint32(atB, accB, true);
      atA += nA >>> 3;
      atB -= nB >>> 3;
      accA <<= nA & 24;
      accB <<= nB & 24;
      nA &= 7;
      nB &= 7;
    }
  }
  for (; i < both; i++) {
    const codeA = packed[a[i]];
    const codeB = packed[b[i]];
    accA |= (codeA & ~31) >>> nA;
    accB |= (codeB & ~31) >>> nB;
    nA += codeA & 31;
    nB += codeB & 31;
    view.setUint32(atA, accA, false);
    view.setUint32(atB, accB, true);
    atA += nA >>> 3;
    atB -= nB >>> 3;
    accA <<= nA & 24;
    accB <<= nB & 24;
    nA &= 7;
    nB &= 7;
  }
  for (let k = i; k < a.length; k++) {
    const code = packed[a[k]];
    accA |= (code & ~31) >>> nA;
    nA += code & 31;
    view.setUint32(atA, accA, false);
    atA += nA >>> 3;
    accA <<= nA & 24;
    nA &= 7;
  }
  for (let k = i; k < b.length; k++) {
    const code = packed[b[k]];
    accB |= (code & ~31) >>> nB;
    nB += code & 31;
    view.setUint32(atB, accB, true);
    atB -= nB >>> 3;
    accB <<= nB & 24;
    nB &= 7;
  }
  const endA = nA > 0 ? atA + 1 : atA;
  const startB = nB > 0 ? atB + 3 : atB + 4;
  bytes.copyWithin(endA, startB);
  return from + endA + bytes.length - startB;
}
