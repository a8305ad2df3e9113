/**
 * The decoder's table: the next bits of a stream -> up to 8 bytes of output, all the words that these bits complete.
 *
 *     codes 0: "0", 1: "10", 2: "11"; the bits 0101.. -> symbols 0, 1, and 4 bits minus 3 are left for the next look-up
 *
 * The 8 bytes are one Float64, stored by one setFloat64; no arithmetic ever touches it. It must not be a NaN, whose
 * bits an engine may change: a NaN's last two bytes are 0xf0 0x7f or more, so symbols from 240 (or, of 16 bits, from
 * 0x7ff0) get tables of 6 bytes an entry.
 */
import { type Canonical, canonical } from "./canonical.js";
import { type Cutting, type Spelling, spell } from "./words.js";

/** Zero bytes that one look-up may skip before its content. */
const MAX_SKIP = 2048;

export interface DecodeTable extends Canonical {
  cutting: Cutting;
  /** Bytes a decoded symbol: 1 or 2. */
  width: number;
  /** Look-ups are by this many bits. */
  bits: number;
  /** What each look-up stores, little-endian. */
  content: Float64Array;
  /** Bits used | bytes of content << 8 | zero bytes before the content << 16; 0: the code is longer than `bits`. */
  step: Uint32Array;
  /** The most bytes one look-up gains. */
  longestStep: number;
  /** Whether any look-up skips zero bytes. */
  hasSkips: boolean;
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
  const table = {
    ...canonical(lengths),
    cutting,
    width,
    bits,
    content: new Float64Array(1 << bits),
    step: new Uint32Array(1 << bits),
    longestStep: 0,
    hasSkips: false,
  };
  fill(table, lengths, [], 0, 0, 0, 0, 0, 0);
  return table;
}

const entry = new DataView(new ArrayBuffer(8));

/** Entries of which no further word fits: `used` bits, `skip` zero bytes and then `size` bytes, low and high 4. */
function finish(
  table: DecodeTable,
  at: number,
  end: number,
  used: number,
  skip: number,
  size: number,
  low: number,
  high: number,
): void {
  if (used === 0) return; // the first code is longer than the table
  const { content, step } = table;
  entry.setUint32(0, low, true);
  entry.setUint32(4, high, true);
  const stored = entry.getFloat64(0, true);
  for (let i = at; i < end; i++) {
    content[i] = stored;
    step[i] = used | (size << 8) | (skip << 16);
  }
  table.longestStep = Math.max(table.longestStep, skip + size);
  table.hasSkips ||= skip > 0;
}

/**
 * Fills the entries from `at` that begin with the words so far. Words in canonical order cover contiguous entries.
 * (Not a closure: engines would optimize it anew for every table.)
 *
 * @param spelled the words in canonical order, as far as they were spelled before
 */
function fill(
  table: DecodeTable,
  lengths: Uint8Array,
  spelled: Spelling[],
  at: number,
  used: number,
  skip: number,
  size: number,
  low: number,
  high: number,
): void {
  const { order, bits, width, cutting } = table;
  const capacity = cutting.alphabetSize > (width === 1 ? 240 : 0x7ff0) ? 6 : 8;
  const end = at + (1 << (bits - used));
  let from = at;
  for (let i = 0; i < order.length && size < capacity; i++) {
    const then = used + lengths[order[i]];
    if (then > bits) break;
    const next = from + (1 << (bits - then));
    // The output is zero to begin with: zeros before the content are skipped, and so are zeros after it.
    const { zeros, symbols } = (spelled[i] ??= spell(order[i], cutting));
    const gap = size > 0 ? skip : skip + zeros * width;
    let longer = size > 0 ? size + zeros * width : 0;
    if (
      gap <= MAX_SKIP &&
      longer <= 255 &&
      (symbols.length === 0 || longer + symbols.length * width <= capacity)
    ) {
      let newLow = low;
      let newHigh = high;
      for (const symbol of symbols) {
        if (longer < 4) newLow |= symbol << (8 * longer);
        else newHigh |= symbol << (8 * longer); // shifts count modulo 32
        longer += width;
      }
      fill(table, lengths, spelled, from, then, gap, longer, newLow, newHigh);
    } else {
      finish(table, from, next, used, skip, size, low, high);
    }
    from = next;
  }
  finish(table, from, end, used, skip, size, low, high);
}
