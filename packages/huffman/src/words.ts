/**
 * Words: the strings of symbols that get a code. A code of single symbols cannot go below 1 bit a symbol; a code of
 * strings can. Two ways to cut, both with exactly one reading of any symbols:
 *
 * - groups (the extended alphabet of Shannon's theorem): always `groupSize` symbols. Symbols s0, s1, ... of an
 *   alphabet of A are the word s0 + A s1 + A^2 s2 + ...
 * - runs (zero run, value): r < runLimit zeros and the value v that ends them are the word r (A - 1) + v - 1;
 *   `runLimit` zeros in a row are the last word.
 *
 *     A = 4, groups of 2:  1 2 0 3        -> words 1 + 4*2 = 9, 0 + 4*3 = 12
 *     A = 4, runs up to 8: 0 0 3 1 0 0..  -> words 2*3 + 2 = 8, 0*3 + 0 = 0, ...
 *
 * Symbols that end inside a word are continued by zeros up to the word's end.
 */
import type { Symbols } from "./histogram.js";

export interface Cutting {
  /** Symbols are 0 .. alphabetSize - 1; at most 65,536 of them. */
  alphabetSize: number;
  /** Symbols a word, 1 .. 8, 1 for runs; 1 together with runLimit 0 is the plain code of single symbols. */
  groupSize: number;
  /** 0: no runs. Else a word has up to this many zeros, a power of two up to 256. */
  runLimit: number;
}

/** A word's index is stored in 16 bits. */
export function isCutting(cutting: Cutting): boolean {
  const { alphabetSize, groupSize, runLimit } = cutting;
  return alphabetSize >= 1 && groupSize <= 8 && runLimit <= 256 && wordCount(cutting) <= 65536;
}

/** How many different words there are. */
export function wordCount({ alphabetSize, groupSize, runLimit }: Cutting): number {
  return runLimit > 0 ? runLimit * (alphabetSize - 1) + 1 : alphabetSize ** groupSize;
}

/** Symbols of the longest word. */
export function longestWord({ groupSize, runLimit }: Cutting): number {
  return Math.max(groupSize, runLimit);
}

/** A word's symbols: zeros, and what follows them. */
export interface Spelling {
  zeros: number;
  symbols: number[];
}

export function spell(word: number, { alphabetSize, groupSize, runLimit }: Cutting): Spelling {
  const values = alphabetSize - 1;
  const zeros = runLimit && Math.floor(word / values);
  const symbols = [];
  if (runLimit === 0) {
    for (let k = 0, rest = word; k < groupSize; k++, rest = Math.floor(rest / alphabetSize)) {
      symbols.push(rest % alphabetSize);
    }
  } else if (zeros < runLimit) {
    symbols.push((word % values) + 1);
  }
  return { zeros, symbols };
}

/** Symbols that one stream or one call may hold. */
export const MAX_COUNT = 2 ** 28;

/** Below this many symbols a second stream's padding costs more than its speed is worth. */
const SHORTEST_PAIR = 64;

/** Where stream A's symbols end and B's begin: at half, made even; of a few symbols A takes all. */
export function segmentEnd(count: number): number {
  return count < SHORTEST_PAIR ? count : 2 * Math.ceil(count / 4);
}

/**
 * Cuts symbols into words.
 *
 * @throws {RangeError} when a symbol is outside the alphabet
 */
export function cut(symbols: Symbols, { alphabetSize, groupSize, runLimit }: Cutting): Symbols {
  if (runLimit > 0) return cutRuns(symbols, alphabetSize, runLimit);
  if (groupSize > 1) return cutGroups(symbols, alphabetSize, groupSize);
  return symbols;
}

/** The words of stream A and of stream B. */
export function cutHalves(symbols: Symbols, cutting: Cutting): Symbols[] {
  const middle = segmentEnd(symbols.length);
  return [cut(symbols.subarray(0, middle), cutting), cut(symbols.subarray(middle), cutting)];
}

function cutGroups(symbols: Symbols, alphabetSize: number, groupSize: number): Uint16Array {
  const words = new Uint16Array(Math.ceil(symbols.length / groupSize));
  const whole = Math.floor(symbols.length / groupSize);
  const largest = alphabetSize - 1;
  let outside = 0; // negative once a symbol is above the largest
  let at = 0;
  if (groupSize === 2) {
    for (let i = 0; i < whole; i++, at += 2) {
      const a = symbols[at];
      const b = symbols[at + 1];
      outside |= (largest - a) | (largest - b);
      words[i] = a + alphabetSize * b;
    }
  } else {
    for (let i = 0; i < whole; i++, at += groupSize) {
      let word = 0;
      for (let k = at + groupSize - 1; k >= at; k--) {
        const symbol = symbols[k];
        outside |= largest - symbol;
        word = word * alphabetSize + symbol;
      }
      words[i] = word;
    }
  }
  let last = 0;
  for (let k = symbols.length - 1; k >= at; k--) {
    outside |= largest - symbols[k];
    last = last * alphabetSize + symbols[k];
  }
  if (whole < words.length) words[whole] = last;
  if (outside < 0) throwOutside(symbols, alphabetSize);
  return words;
}

/** Symbols whose values' places are gathered at a time: a place is a byte. */
const BLOCK = 256;

/** Places of the values among 4 symbols, those where these bits are set: a byte each, first one lowest. */
function placesOf(mask: number): number {
  let places = 0;
  for (let k = 3; k >= 0; k--) if ((mask >>> k) & 1) places = (places << 8) | k;
  return places;
}

function cutRuns(symbols: Symbols, alphabetSize: number, runLimit: number): Uint16Array {
  const { length } = symbols;
  const words = new Uint16Array(length);
  const values = alphabetSize - 1;
  const placesByMask = Int32Array.from({ length: 16 }, (_, mask) => placesOf(mask));
  const places = new Uint8Array(BLOCK + 4);
  const store = new DataView(places.buffer);
  const load = new DataView(symbols.buffer, symbols.byteOffset, symbols.byteLength);
  const fours = symbols instanceof Uint8Array ? length & ~3 : 0;
  let outside = 0;
  let count = 0;
  let zeros = 0;
  for (let from = 0; from < length; from += BLOCK) {
    const end = Math.min(from + BLOCK, length);
    const quick = Math.min(end, fours);
    // Whether a symbol is zero is unpredictable, so there is no branch on it: places are written in any case, and the
    // next ones overwrite those that do not count.
    let found = 0;
    let at = from;
    for (; at < quick; at += 4) {
      const four = load.getInt32(at, true);
      const top = ((((four & 0x7f7f7f7f) + 0x7f7f7f7f) | four) & 0x80808080) >>> 7; // 1 in the byte of a value
      const mask = (top | (top >>> 7) | (top >>> 14) | (top >>> 21)) & 15;
      store.setInt32(found, placesByMask[mask] + Math.imul(at - from, 0x01010101), true);
      found += Math.imul(top, 0x01010101) >>> 24; // the sum of the bytes
    }
    for (; at < end; at++) {
      places[found] = at - from;
      found += -symbols[at] >>> 31; // 1 for a value, 0 for a zero
    }
    let next = from - zeros;
    for (let k = 0; k < found; k++) {
      const place = from + places[k];
      const symbol = symbols[place];
      outside |= values - symbol;
      for (zeros = place - next; zeros >= runLimit; zeros -= runLimit) words[count++] = runLimit * values;
      words[count++] = zeros * values + symbol - 1;
      next = place + 1;
    }
    zeros = end - next;
  }
  for (; zeros > 0; zeros -= runLimit) words[count++] = runLimit * values;
  if (outside < 0) throwOutside(symbols, alphabetSize);
  return words.subarray(0, count);
}

function throwOutside(symbols: Symbols, alphabetSize: number): never {
  const at = symbols.findIndex((symbol) => symbol >= alphabetSize);
  throw new RangeError(
    `symbols[${at}]: expected a value below alphabetSize ${alphabetSize}, got ${symbols[at]}`,
  );
}
