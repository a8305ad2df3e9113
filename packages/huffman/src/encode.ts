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
  /**
   * The same for two symbols at once, indexed by first | second << 8: two words of at most 12 bits, or the one that is
   * a group of two. Only of symbols below 256.
   */
  pairs: Uint32Array | undefined;
}

/** Below this many words, making the table of pairs takes longer than it saves. */
const MIN_FOR_PAIRS = 1 << 15;

/** @param lengths of a complete code, @param count how many words are going to be encoded, about */
export function buildEncodeTable(lengths: Uint8Array, count: number): EncodeTable {
  const packed = packedCodes(lengths);
  if (count < MIN_FOR_PAIRS || lengths.length > 256 || packed.some((code) => (code & 31) > 12)) {
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

/** The table of groups of two symbols of an alphabet of up to 256. @param lengths alphabetSize ** 2 of a complete code */
export function buildGroupTable(lengths: Uint8Array, alphabetSize: number): EncodeTable {
  const packed = packedCodes(lengths);
  const pairs = new Uint32Array(65536);
  for (let word = 0; word < packed.length; word++) {
    pairs[(word % alphabetSize) | (Math.floor(word / alphabetSize) << 8)] = packed[word];
  }
  return { packed, pairs };
}

/** Bytes that `encodePair` needs for two streams of `bits` bits together: 4-byte stores reach past each one's end. */
export function pairCapacity(bits: number): number {
  return Math.ceil(bits / 8) + 2 + 8;
}

/**
 * Writes the codes of two streams.
 *
 * @param a the words of stream A, which all have a code, and so for b; or where `table.pairs` is given, symbols
 * @param rest cuts the symbols that `table.pairs` leaves over into words: fewer than 4, and what one stream is longer
 * @param bits size of both streams together, exactly
 * @param target zeros, where bytes[from .. from + pairCapacity(bits)) may be written
 * @returns where the pair ends in `target`
 */
export function encodePair(
  a: Symbols,
  b: Symbols,
  { packed, pairs }: EncodeTable,
  rest: (symbols: Symbols) => Symbols,
  bits: number,
  target: Uint8Array,
  from: number,
): number {
  const bytes = target.subarray(from, from + pairCapacity(bits));
  const both =
    pairs && a instanceof Uint8Array && b instanceof Uint8Array ? Math.min(a.length, b.length) & ~3 : 0;
  return (
    from +
    encodeBoth(
      a.subarray(0, both),
      b.subarray(0, both),
      pairs ?? packed,
      both > 0 ? rest(a.subarray(both)) : a,
      both > 0 ? rest(b.subarray(both)) : b,
      packed,
      bytes,
    )
  );
}

/** By pairs, then by words. Its arguments are typed arrays alone, for the reason given at `decodeBoth`. */
function encodeBoth(
  headA: Symbols,
  headB: Symbols,
  pairs: Uint32Array,
  a: Symbols,
  b: Symbols,
  packed: Uint32Array,
  bytes: Uint8Array,
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // Per stream: bits not yet complete to a byte, left-aligned (acc), their number 0 .. 7 (n), where they go (at).
  let accA = 0;
  let nA = 0;
  let atA = 0;
  let accB = 0;
  let nB = 0;
  let atB = bytes.length - 4;
  const inA = new DataView(headA.buffer, headA.byteOffset, headA.length);
  const inB = new DataView(headB.buffer, headB.byteOffset, headB.length);
  for (let i = 0; i < headA.length; i += 4) {
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
  const both = Math.min(a.length, b.length);
  for (let i = 0; i < both; i++) {
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
  for (let k = both; k < a.length; k++) {
    const code = packed[a[k]];
    accA |= (code & ~31) >>> nA;
    nA += code & 31;
    view.setUint32(atA, accA, false);
    atA += nA >>> 3;
    accA <<= nA & 24;
    nA &= 7;
  }
  for (let k = both; k < b.length; k++) {
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
  return endA + bytes.length - startB;
}
