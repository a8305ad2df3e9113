/**
 * Bits to symbols. A reader is one number, the position in bits: the next bits of stream A are one unaligned
 * big-endian 32-bit load at p >>> 3, shifted left by p & 7, which gives 25 valid bits or more; stream B, written
 * backwards, is the same with a little-endian load that ends where B's bits begin. Two look-ups a load, two streams at
 * once. Loads and stores go through DataViews, whose bounds checks make truncated input an error, never a stray read.
 */
import { corrupt } from "@bitdiet/stream";
import { countCodes } from "./code-lengths.js";
import { decodeDense } from "./decode-dense.js";
import { buildDecodeTable, type DecodeTable } from "./decode-table.js";
import type { Symbols } from "./histogram.js";
import { type Cutting, longestWord, segmentEnd, spell } from "./words.js";

/**
 * The `count` symbols whose words' codes fill bytes[from ..).
 *
 * @param lengths of a complete code, or of a lone symbol, which takes no bytes
 * @param width bytes of a symbol, 1 or 2; decides the type of the result
 * @param tables tables made for this code before, to be used again; new ones are added
 * @throws {CorruptInputError} unless the streams end exactly with the bytes
 */
export function decodeWords(
  lengths: Uint8Array,
  cutting: Cutting,
  width: number,
  bytes: Uint8Array,
  from: number,
  count: number,
  tables: DecodeTable[],
): Symbols {
  const size = bytes.length - from;
  const coded = count > 0 && countCodes(lengths) > 1;
  // Every word takes a bit at least: nothing is allocated for symbols that the bytes cannot hold.
  if (coded ? count > 8 * size * longestWord(cutting) : size > 0) {
    corrupt("payload: end");
  }
  const symbols = width > 1 ? new Uint16Array(count) : new Uint8Array(count);
  if (!coded) return symbols.fill(lengths.indexOf(1));
  const bits = tableBits(lengths, count);
  let table = tables.find((known) => known.bits >= bits);
  if (!table) tables.push((table = buildDecodeTable(lengths, cutting, width, bits)));
  decodePair(table, bytes, from, new Uint8Array(symbols.buffer), segmentEnd(count) * width);
  return symbols;
}

/**
 * Bits of a look-up: more give more symbols each, and take longer to prepare; for large alphabets, enough that few
 * codes are longer.
 */
function tableBits(lengths: Uint8Array, count: number): number {
  return lengths.length > 4096 && count > 65536 ? 16 : Math.max(8, Math.min(12, 27 - Math.clz32(count)));
}

/** How far the reading of one stream has come. */
interface Stream {
  view: DataView;
  /** Stream B is read backwards from the end of the view. */
  backwards: boolean;
  /** Bits read. */
  position: number;
  /** Bytes of output written, and where they end. */
  at: number;
  end: number;
}

/** Decodes the pair of streams that `encodePair` wrote: A to out[0 .. middle), B to the rest; `out` is zeros. */
function decodePair(
  table: DecodeTable,
  bytes: Uint8Array,
  from: number,
  out: Uint8Array,
  middle: number,
): void {
  const { content, step, bits, hasSkips } = table;
  const decodeMost = hasSkips ? decodeBoth : decodeDense;
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, bytes.length - from);
  const output = new DataView(out.buffer);
  const a: Stream = { view, backwards: false, position: 0, at: 0, end: middle };
  const b: Stream = { view, backwards: true, position: 0, at: middle, end: out.length };
  // An iteration gains up to two steps, and stores 8 bytes from the second on; `decodeRest` does the segments' ends.
  const slack = 2 * table.longestStep + 8;
  const progress = Int32Array.of(0, 0, 0, middle);
  while (decodeMost(content, step, bits, view, output, progress, a.end - slack, b.end - slack)) {
    [a.position, b.position, a.at, b.at] = progress;
    takeWord(table, a, out);
    takeWord(table, b, out);
    progress.set([a.position, b.position, a.at, b.at]);
  }
  [a.position, b.position, a.at, b.at] = progress;
  let used = 0;
  for (const stream of [a, b]) {
    decodeRest(table, stream, out, output);
    used += (stream.position + 7) >>> 3;
    const padding = (peek(stream) >>> 1) >>> (31 - (-stream.position & 7));
    if (padding !== 0) corrupt("payload: padding");
  }
  if (used !== view.byteLength) corrupt("payload: end");
}

/**
 * Both streams at once, up to a code that is longer than the table, or to where a segment or the bytes are near their
 * end. Its arguments are typed arrays and numbers alone: an engine drops optimized code that knows of an object whose kind
 * has died since, as tables do between calls.
 *
 * @param progress bits read of A and of B, bytes written of A and of B
 * @returns whether a long code is next, in one of them at least
 */
function decodeBoth(
  content: Float64Array,
  step: Uint32Array,
  bits: number,
  view: DataView,
  output: DataView,
  progress: Int32Array,
  stopA: number,
  stopB: number,
): boolean {
  const shift = 32 - bits;
  const top = view.byteLength - 4; // where B's first load is
  const last = top << 3; // a load at a bit position up to this one stays inside the view
  let [pA, pB, oA, oB] = progress;
  let escaped = false;
  while (!escaped && oA <= stopA && oB <= stopB && pA <= last && pB <= last) {
    const wA = view.getUint32(pA >>> 3, false) << (pA & 7);
    const wB = view.getUint32(top - (pB >>> 3), true) << (pB & 7);
    let iA = wA >>> shift;
    let iB = wB >>> shift;
    let sA = step[iA];
    let sB = step[iB];
    oA += sA >>> 16;
    oB += sB >>> 16;
    output.setFloat64(oA, content[iA], true);
    output.setFloat64(oB, content[iB], true);
    oA += (sA >>> 8) & 255;
    oB += (sB >>> 8) & 255;
    pA += sA & 31;
    pB += sB & 31;
    if (bits <= 12) {
      iA = (wA << sA) >>> shift;
      iB = (wB << sB) >>> shift;
      sA = step[iA];
      sB = step[iB];
      oA += sA >>> 16;
      oB += sB >>> 16;
      output.setFloat64(oA, content[iA], true);
      output.setFloat64(oB, content[iB], true);
      oA += (sA >>> 8) & 255;
      oB += (sB >>> 8) & 255;
      pA += sA & 31;
      pB += sB & 31;
    }
    escaped = sA === 0 || sB === 0;
  }
  progress.set([pA, pB, oA, oB]);
  return escaped && oA <= stopA && oB <= stopB;
}

/** The rest of one stream: by the table while no store can cross the segment's end, then word by word. */
function decodeRest(table: DecodeTable, stream: Stream, out: Uint8Array, output: DataView): void {
  const { content, step, bits, longestStep } = table;
  const stop = stream.end - longestStep - 8;
  while (stream.at < stream.end) {
    const i = peek(stream) >>> (32 - bits);
    const s = stream.at <= stop ? step[i] : 0;
    if (s === 0) {
      takeWord(table, stream, out);
    } else {
      stream.at += s >>> 16;
      output.setFloat64(stream.at, content[i], true);
      stream.at += (s >>> 8) & 255;
      stream.position += s & 31;
    }
  }
}

/** At least 25 bits from the stream's position, left-aligned; past the end of the bytes come zeros. */
function peek({ view, backwards, position }: Stream): number {
  const at = position >>> 3;
  const left = view.byteLength - at;
  let w = 0;
  if (left >= 4) w = backwards ? view.getUint32(left - 4, true) : view.getUint32(at, false);
  else for (let k = 0; k < left; k++) w |= view.getUint8(backwards ? left - 1 - k : at + k) << (24 - 8 * k);
  return w << (position & 7);
}

/** One word by the canonical limits. Past the end of the symbols only zeros may go, nowhere. */
function takeWord(table: DecodeTable, stream: Stream, out: Uint8Array): void {
  const { width, cutting, order, limit, first } = table;
  const code = peek(stream) >>> 0;
  let length = 1;
  while (code >= limit[length]) length++;
  const { zeros, symbols } = spell(order[first[length] + (code >>> (32 - length))], cutting);
  stream.position += length;
  // The last bits of a truncated stream are not there; `peek` made them zeros.
  if (stream.position > 8 * stream.view.byteLength) corrupt("payload: end");
  let o = stream.at + zeros * width;
  for (const symbol of symbols) {
    if (o < stream.end) {
      out[o] = symbol;
      if (width > 1) out[o + 1] = symbol >> 8;
    } else if (symbol > 0) {
      corrupt("payload: end");
    }
    o += width;
  }
  stream.at = Math.min(o, stream.end);
}
