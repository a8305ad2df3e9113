/**
 * Words to bits. Two streams share one run of bytes: A is written forwards from its start, B backwards from its end,
 * so both are found without a word of header, and a decoder can work at both at once.
 *
 *     A: codes 10 0 111 -> bytes aaaaaa00 from the left        [ A → | ← B ]
 *     B: the same, first byte last
 */
import type { Symbols } from "./histogram.js";

/**
 * Writes the codes of two sequences of words.
 *
 * @param packed from `packedCodes`; every word given must have a code, or be a lone word
 * @param bits size of both streams together, exactly
 */
export function encodePair(a: Symbols, b: Symbols, packed: Uint32Array, bits: number): Uint8Array {
  // Whole 4-byte stores reach up to 4 bytes past the last bit of A and as many before the last bit of B.
  const bytes = new Uint8Array(Math.ceil(bits / 8) + 2 + 8);
  const view = new DataView(bytes.buffer);
  const size = bytes.length;
  const both = Math.min(a.length, b.length);
  // Per stream: bits not yet complete to a byte, left-aligned (acc), their number 0 .. 7 (n), whole bytes (at).
  let accA = 0;
  let nA = 0;
  let atA = 0;
  let accB = 0;
  let nB = 0;
  let atB = size - 4;
  for (let i = 0; i < both; i++) {
    const codeA = packed[a[i]];
    const codeB = packed[b[i]];
    accA |= (codeA & ~31) >>> nA;
    nA += codeA & 31;
    accB |= (codeB & ~31) >>> nB;
    nB += codeB & 31;
    view.setUint32(atA, accA, false);
    view.setUint32(atB, accB, true);
    atA += nA >>> 3;
    accA <<= nA & 24;
    nA &= 7;
    atB -= nB >>> 3;
    accB <<= nB & 24;
    nB &= 7;
  }
  for (let i = both; i < a.length; i++) {
    const code = packed[a[i]];
    accA |= (code & ~31) >>> nA;
    nA += code & 31;
    view.setUint32(atA, accA, false);
    atA += nA >>> 3;
    accA <<= nA & 24;
    nA &= 7;
  }
  for (let i = both; i < b.length; i++) {
    const code = packed[b[i]];
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
  return bytes.subarray(0, endA + size - startB);
}
