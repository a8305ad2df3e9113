/**
 * The decoder's table: the next bits of a stream -> up to 8 bytes of output, all the words that these bits complete.
 *
 *     codes 0: "0", 1: "10", 2: "11"; the bits 0101.. -> symbols 0, 1, and 4 bits minus 3 are left for the next look-up
 *
 * The 8 bytes are one Float64, stored by one setFloat64; no arithmetic ever touches it. It must not be a NaN, whose
 * bits an engine may change: a NaN's last two bytes are 0xf0 0x7f or more, so symbols from 240 (or, of 16 bits, from
 * 0x7ff0) get tables of 6 bytes an entry.
 */
import { canonicalOrder } from "./canonical.js";
import { LONGEST_CODE } from "./code-lengths.js";
import type { Cutting } from "./words.js";

/** Zero bytes that one look-up may skip; with the longest run after it, they fit the 12 bits of `step`. */
const LONGEST_SKIP = 2048;

export interface DecodeTable {
  cutting: Cutting;
  /** Bytes a decoded symbol: 1 or 2. */
  width: number;
  /** Look-ups are by this many bits. */
  bits: number;
  /** What each look-up stores, little-endian. */
  content: Float64Array;
  /** Bits used | bytes of output gained << 8 | zero bytes before the content << 20; 0: the code is longer than `bits`. */
  step: Uint32Array;
  /** Without runs, and up to 12 bits, the same in one byte: bits used | bytes of output gained << 4. */
  shortStep: Uint8Array | undefined;
  /** The most bytes one look-up gains. */
  longestStep: number;
  /** Canonical order of the words, for codes longer than the table, and for a stream's last words. */
  order: Uint16Array;
  /** Codes of length l are below limit[l], left-aligned in 32 bits. */
  limit: Float64Array;
  /** order[first[l] + (code >> 32 - l)] is the word. May be negative. */
  first: Int32Array;
}

/**
 * @param lengths of a complete code of at least two words of `cutting`
 * @param bits of a look-up, 1 .. 16
 */
export function buildDecodeTable(
  lengths: Uint8Array,
  cutting: Cutting,
  width: number,
  bits: number,
): DecodeTable {
  const { order, start } = canonicalOrder(lengths);
  const limit = new Float64Array(LONGEST_CODE + 1);
  const first = new Int32Array(LONGEST_CODE + 1);
  let code = 0;
  for (let l = 1; l <= LONGEST_CODE; l++) {
    first[l] = start[l] - code / 2 ** (32 - l);
    code += (start[l + 1] - start[l]) * 2 ** (32 - l);
    limit[l] = code;
  }

  const content = new Float64Array(1 << bits);
  const step = new Uint32Array(1 << bits);
  const shortStep = cutting.runLimit === 0 && bits <= 12 ? new Uint8Array(1 << bits) : undefined;
  const { alphabetSize, groupSize, runLimit } = cutting;
  const capacity = alphabetSize > (width === 1 ? 240 : 0x7ff0) ? 6 : 8;
  const entry = new DataView(new ArrayBuffer(8));
  const values = alphabetSize - 1;
  let longestStep = 0;

  /** Entries of which no further word fits: `used` bits, `skip` zero bytes and then `size` bytes of `entry`. */
  function finish(at: number, end: number, used: number, skip: number, size: number): void {
    if (used === 0) return; // the first code is longer than the table
    content.fill(entry.getFloat64(0, true), at, end);
    step.fill(used | ((skip + size) << 8) | (skip << 20), at, end);
    shortStep?.fill(used | (size << 4), at, end);
    longestStep = Math.max(longestStep, skip + size);
  }

  /** Fills the entries from `at` that begin with the words so far. Words in canonical order cover contiguous entries. */
  function fill(at: number, used: number, skip: number, size: number): void {
    const end = at + (1 << (bits - used));
    for (let i = 0; i < order.length && size < capacity; i++) {
      const word = order[i];
      const then = used + lengths[word];
      if (then > bits) break;
      const next = at + (1 << (bits - then));
      let gap = skip;
      let longer = size;
      if (runLimit > 0) {
        // The output is zero to begin with: zeros before the content are skipped, and so are zeros after it.
        const valueless = word === runLimit * values;
        const zeros = (valueless ? runLimit : Math.floor(word / values)) * width;
        if (size === 0) gap += zeros;
        else longer += zeros;
        const fits = gap <= LONGEST_SKIP && (valueless || longer + width <= capacity);
        if (fits && !valueless) longer = put((word % values) + 1, longer);
        if (fits) fill(at, then, gap, longer);
        else finish(at, next, used, skip, size);
      } else if (size + groupSize * width <= capacity) {
        for (let k = 0, rest = word; k < groupSize; k++, rest = Math.floor(rest / alphabetSize)) {
          longer = put(rest % alphabetSize, longer);
        }
        fill(at, then, gap, longer);
      } else {
        break;
      }
      for (let k = size; k < 8; k++) entry.setUint8(k, 0);
      at = next;
    }
    finish(at, end, used, skip, size);
  }

  function put(symbol: number, at: number): number {
    entry.setUint8(at, symbol);
    if (width === 2) entry.setUint8(at + 1, symbol >> 8);
    return at + width;
  }

  fill(0, 0, 0, 0);
  return { cutting, width, bits, content, step, shortStep, longestStep, order, limit, first };
}
