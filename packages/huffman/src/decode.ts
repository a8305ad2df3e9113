/**
 * Bits to symbols. A reader is one number, the position in bits: the next bits of stream A are one unaligned
 * big-endian 32-bit load at p >>> 3, shifted left by p & 7, which gives 25 valid bits or more; stream B, written
 * backwards, is the same with a little-endian load that ends where B's bits begin. Two look-ups a load, two streams at
 * once. Loads and stores go through DataViews, whose bounds checks make truncated input an error, never a stray read.
 */
import type { DecodeTable } from "./decode-table.js";
import { CorruptInputError } from "./errors.js";

/**
 * Decodes the pair of streams that `encodePair` wrote to bytes[from .. to).
 *
 * @param out zeros; A's symbols go to out[start .. middle), B's to out[middle .. end), all in bytes of output
 * @throws CorruptInputError unless the streams end exactly with these bytes
 */
export function decodePair(
  table: DecodeTable,
  bytes: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  start: number,
  middle: number,
  end: number,
): void {
  const { content, step, shortStep, bits } = table;
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from);
  const output = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const shift = 32 - bits;
  const top = view.byteLength - 4; // where B's first load is
  const last = top << 3; // a load at a bit position up to this one stays inside the view
  // An iteration gains up to two steps and stores 8 bytes past the first; `decodeRest` does the segments' ends.
  const slack = 2 * table.longestStep + 8;
  const stopA = middle - slack;
  const stopB = end - slack;
  let pA = 0;
  let pB = 0;
  let oA = start;
  let oB = middle;
  // The loops leave off where a segment or the bytes are near their end, or at a code longer than the table.
  for (let escaped = true; escaped; ) {
    while (shortStep && oA <= stopA && oB <= stopB && pA <= last && pB <= last) {
      const wA = view.getUint32(pA >>> 3, false) << (pA & 7);
      const wB = view.getUint32(top - (pB >>> 3), true) << (pB & 7);
      let iA = wA >>> shift;
      let iB = wB >>> shift;
      let sA = shortStep[iA];
      let sB = shortStep[iB];
      output.setFloat64(oA, content[iA], true);
      output.setFloat64(oB, content[iB], true);
      oA += sA >>> 4;
      oB += sB >>> 4;
      pA += sA & 15;
      pB += sB & 15;
      iA = (wA << (sA & 15)) >>> shift;
      iB = (wB << (sB & 15)) >>> shift;
      sA = shortStep[iA];
      sB = shortStep[iB];
      output.setFloat64(oA, content[iA], true);
      output.setFloat64(oB, content[iB], true);
      oA += sA >>> 4;
      oB += sB >>> 4;
      pA += sA & 15;
      pB += sB & 15;
      if (sA === 0 || sB === 0) break;
    }
    while (!shortStep && oA <= stopA && oB <= stopB && pA <= last && pB <= last) {
      const wA = view.getUint32(pA >>> 3, false) << (pA & 7);
      const wB = view.getUint32(top - (pB >>> 3), true) << (pB & 7);
      let iA = wA >>> shift;
      let iB = wB >>> shift;
      let sA = step[iA];
      let sB = step[iB];
      output.setFloat64(oA + (sA >>> 20), content[iA], true);
      output.setFloat64(oB + (sB >>> 20), content[iB], true);
      oA += (sA >>> 8) & 0xfff;
      oB += (sB >>> 8) & 0xfff;
      pA += sA & 255;
      pB += sB & 255;
      if (bits <= 12) {
        iA = (wA << sA) >>> shift;
        iB = (wB << sB) >>> shift;
        sA = step[iA];
        sB = step[iB];
        output.setFloat64(oA + (sA >>> 20), content[iA], true);
        output.setFloat64(oB + (sB >>> 20), content[iB], true);
        oA += (sA >>> 8) & 0xfff;
        oB += (sB >>> 8) & 0xfff;
        pA += sA & 255;
        pB += sB & 255;
      }
      if (sA === 0 || sB === 0) break;
    }
    escaped = oA <= stopA && oB <= stopB && pA <= last && pB <= last;
    if (escaped) {
      const wA = peek(view, false, pA);
      const wB = peek(view, true, pB);
      if (step[wA >>> shift] === 0) {
        const word = longWord(table, wA);
        oA = putWord(table, word & 0xffff, out, oA, middle);
        pA += word >>> 16;
      }
      if (step[wB >>> shift] === 0) {
        const word = longWord(table, wB);
        oB = putWord(table, word & 0xffff, out, oB, end);
        pB += word >>> 16;
      }
    }
  }
  pA = decodeRest(table, view, false, pA, out, output, oA, middle);
  pB = decodeRest(table, view, true, pB, out, output, oB, end);
  checkEnd(view, pA, pB);
}

/** Two streams that end at these bit positions must fill the view, but for padding of zeros to whole bytes. */
export function checkEnd(view: DataView, pA: number, pB: number): void {
  if (((pA + 7) >>> 3) + ((pB + 7) >>> 3) !== view.byteLength) {
    throw new CorruptInputError("the coded symbols do not end where the bytes do");
  }
  if ((peek(view, false, pA) & paddingMask(pA)) !== 0 || (peek(view, true, pB) & paddingMask(pB)) !== 0) {
    throw new CorruptInputError("the padding after the coded symbols is not zero");
  }
}

/** The rest of one stream: by the table while no store can cross the segment's end, then word by word. */
export function decodeRest(
  table: DecodeTable,
  view: DataView,
  backwards: boolean,
  position: number,
  out: Uint8Array,
  output: DataView,
  at: number,
  end: number,
): number {
  const { content, step, bits, longestStep } = table;
  const shift = 32 - bits;
  const total = view.byteLength << 3;
  let p = position;
  let o = at;
  for (const stop = end - longestStep - 8; o <= stop && p < total; ) {
    const w = peek(view, backwards, p);
    const i = w >>> shift;
    const s = step[i];
    if (s === 0) {
      const word = longWord(table, w);
      o = putWord(table, word & 0xffff, out, o, end);
      p += word >>> 16;
    } else {
      output.setFloat64(o + (s >>> 20), content[i], true);
      o += (s >>> 8) & 0xfff;
      p += s & 255;
    }
  }
  while (o < end) {
    if (p >= total) throw new CorruptInputError("the coded symbols are truncated");
    const word = longWord(table, peek(view, backwards, p));
    o = putWord(table, word & 0xffff, out, o, end);
    p += word >>> 16;
  }
  return p;
}

/** At least 25 bits from bit position p, left-aligned; past the end of the bytes come zeros. */
function peek(view: DataView, backwards: boolean, p: number): number {
  const at = p >>> 3;
  const left = view.byteLength - at;
  if (left >= 4) {
    return (backwards ? view.getUint32(left - 4, true) : view.getUint32(at, false)) << (p & 7);
  }
  let w = 0;
  for (let k = 0; k < left; k++) w |= view.getUint8(backwards ? left - 1 - k : at + k) << (24 - 8 * k);
  return w << (p & 7);
}

/** The bits between position p and the next whole byte, left-aligned. */
function paddingMask(p: number): number {
  const padding = -p & 7;
  return padding === 0 ? 0 : -1 << (32 - padding);
}

/** One word by the canonical limits, any length. @returns word | length << 16 */
function longWord({ bits, order, limit, first }: DecodeTable, w: number): number {
  const code = w >>> 0;
  let length = code >= limit[bits] ? bits + 1 : 1;
  while (code >= limit[length]) length++;
  return order[first[length] + (code >>> (32 - length))] | (length << 16);
}

/** Writes one word's symbols. @returns where the next word's go; past `end` only zeros may go, nowhere */
function putWord(table: DecodeTable, word: number, out: Uint8Array, at: number, end: number): number {
  const { width, cutting } = table;
  const { alphabetSize, groupSize, runLimit } = cutting;
  let o = at;
  let rest = word;
  let count = groupSize;
  if (runLimit > 0) {
    const values = alphabetSize - 1;
    if (word === runLimit * values) return Math.min(end, at + runLimit * width);
    o += Math.floor(word / values) * width;
    rest = (word % values) + 1;
    count = 1;
  }
  for (let k = 0; k < count; k++) {
    const symbol = count > 1 ? rest % alphabetSize : rest;
    rest = Math.floor(rest / alphabetSize);
    if (o >= end) {
      if (symbol !== 0) throw new CorruptInputError("the last word reaches past the end of the symbols");
    } else {
      out[o] = symbol;
      if (width === 2) out[o + 1] = symbol >> 8;
      o += width;
    }
  }
  return o;
}
