/**
 * Which table codes a symbol: a context, worked out from symbols that come before it.
 *
 * Feature maps are smooth and sparse, so the magnitudes of the neighbours left, above and above right (same channel)
 * and of the channel before (same pixel) say much about the next one; the idea is that of the context models of
 * H.264's CABAC (Marpe, Schwarz, Wiegand 2003), with static tables in place of adaptive ones. Order is height, width,
 * channels, as in tfjs; outside the map everything is zero.
 *
 *     thresholds [1, 2]: magnitude 0 -> class 0, 1 -> 1, 2 and up -> 2
 *     context = left + 3 * above + 9 * above right + 27 * channel before; 81 contexts, 27 with one channel
 */

import { stateCount } from "./payload.js";

/** A caller's own contexts. */
export interface CallerContexts {
  /** Contexts are 0 .. count - 1; at most 4,096. */
  count: number;
  /**
   * The context of symbols[index]. It may read symbols below `index` only: the decoder knows no others, and reads 0
   * there or nothing.
   */
  contextOf(symbols: ArrayLike<number>, index: number): number;
}

/** The built-in contexts: plain data, so that the coder runs its own loop over them. */
export interface NeighbourContexts {
  count: number;
  height: number;
  width: number;
  channels: number;
  /** The symbol that stands for zero: the magnitude of s is |s - zero|. */
  zero: number;
  /** Ascending; the class of a magnitude is the number of thresholds it reaches. */
  thresholds: readonly number[];
}

export type Contexts = CallerContexts | NeighbourContexts;

export const MAX_CONTEXTS = 4096;
/** A class takes 3 bits of the decoder's look-up. */
export const MAX_THRESHOLDS = 7;

export interface MapShape {
  height: number;
  width: number;
  channels: number;
}

/**
 * @param height, width, channels of one map; symbols may hold several maps, one behind the other
 * @param zero the symbol of value zero, 0 .. 65,535; 0 is right for activations after a ReLU
 * @param thresholds 1 to 7 ascending integers above 0; see magnitudeThresholds
 * @throws {RangeError}
 */
export function neighbourContexts({
  height,
  width,
  channels,
  zero = 0,
  thresholds = [1, 2],
}: MapShape & { zero?: number; thresholds?: ArrayLike<number> }): NeighbourContexts {
  for (const [name, value] of Object.entries({ height, width, channels })) {
    if (!(Number.isInteger(value) && value >= 1 && value < 2 ** 31)) {
      throw new RangeError(`${name}: expected an integer 1..2^31 - 1, got ${value}`);
    }
  }
  if (height * width * channels >= 2 ** 31) {
    throw new RangeError(`shape: expected below 2^31 symbols a map, got ${height} x ${width} x ${channels}`);
  }
  if (!(Number.isInteger(zero) && zero >= 0 && zero < 65536)) {
    throw new RangeError(`zero: expected an integer 0..65535, got ${zero}`);
  }
  const list = Array.from(thresholds);
  if (list.length < 1 || list.length > MAX_THRESHOLDS) {
    throw new RangeError(`thresholds: expected 1..${MAX_THRESHOLDS} of them, got ${list.length}`);
  }
  list.forEach((threshold, i) => {
    if (!(Number.isInteger(threshold) && threshold > (i > 0 ? list[i - 1] : 0) && threshold < 65536)) {
      throw new RangeError(`thresholds: expected ascending integers 1..65535, got ${list.join(", ")}`);
    }
  });
  const classes = list.length + 1;
  const count = classes ** (channels > 1 ? 4 : 3);
  return { count, height, width, channels, zero, thresholds: list };
}

/**
 * Thresholds that give non-zero magnitudes about equally to `classes` - 1 classes; fewer where magnitudes repeat.
 *
 * @param symbols training data, @param classes 2 .. 8, zero's own among them
 */
export function magnitudeThresholds(symbols: ArrayLike<number>, zero = 0, classes = 4): number[] {
  if (!(Number.isInteger(classes) && classes >= 2 && classes <= MAX_THRESHOLDS + 1)) {
    throw new RangeError(`classes: expected an integer 2..${MAX_THRESHOLDS + 1}, got ${classes}`);
  }
  const counts = new Float64Array(65536);
  for (let i = 0; i < symbols.length; i++) counts[Math.abs(symbols[i] - zero)]++;
  return thresholdsOf(counts, classes);
}

/** The same from how often each magnitude occurs. */
export function thresholdsOf(counts: Float64Array, classes: number): number[] {
  let total = 0;
  for (let magnitude = 1; magnitude < counts.length; magnitude++) total += counts[magnitude];
  const thresholds = [1];
  let below = 0;
  for (let magnitude = 1; magnitude < counts.length && thresholds.length < classes - 1; magnitude++) {
    below += counts[magnitude];
    if (below < total && below * (classes - 1) >= total * thresholds.length) thresholds.push(magnitude + 1);
  }
  return thresholds;
}

/** The class of every symbol 0 .. alphabet - 1. */
export function symbolClasses({ zero, thresholds }: NeighbourContexts, alphabet: number): Uint8Array {
  return Uint8Array.from({ length: alphabet }, (_, symbol) => {
    const magnitude = Math.abs(symbol - zero);
    let reached = 0;
    while (reached < thresholds.length && magnitude >= thresholds[reached]) reached++;
    return reached;
  });
}

/** The context of each symbol, for the side that knows all symbols. @throws {RangeError} for a context out of range */
export function contextsOf(symbols: ArrayLike<number>, contexts: Contexts, alphabet: number): Uint16Array {
  const all = new Uint16Array(symbols.length);
  if ("contextOf" in contexts) {
    for (let i = 0; i < all.length; i++) all[i] = checkedContext(contexts, symbols, i);
    return all;
  }
  const { height, width, channels, thresholds } = contexts;
  checkMaps(symbols.length, contexts);
  const classes = symbolClasses(contexts, alphabet);
  const base = thresholds.length + 1;
  const line = width * channels;
  const tops = bandTops(symbols.length, contexts);
  // row[j + channels] is the class above position j until j is passed, then its own; a pixel of zeros at either end.
  const row = new Uint8Array(line + 2 * channels);
  for (let y = 0, start = 0; start < all.length; y++, start += line) {
    if (y % height === 0 || tops.includes(y)) row.fill(0);
    let last = 0;
    let channel = channels;
    for (let j = 0; j < line; j++) {
      const own = classes[symbols[start + j]];
      all[start + j] = row[j] + base * (row[j + channels] + base * (row[j + 2 * channels] + base * last));
      row[j + channels] = own;
      last = own;
      if (--channel === 0) {
        last = 0;
        channel = channels;
      }
    }
  }
  return all;
}

/** Below this many rows in all, the rows that lose their upper neighbours would cost more than speed is worth. */
const MIN_BANDED_ROWS = 64;

/**
 * Rows, of all maps together, are split into 4 bands that are coded in turn, a symbol of each, so that a decoder has
 * four independent symbols at a time; few rows are one band. A band's first row has zeros above.
 *
 * @returns the first row of each band and, last, the number of rows; the earlier bands have the extra rows
 */
export function bandTops(count: number, { width, channels }: MapShape): number[] {
  const rows = count / (width * channels);
  const bands = rows >= MIN_BANDED_ROWS && stateCount(count) === 4 ? 4 : 1;
  const tops = [0];
  for (let band = 0; band < bands; band++) tops.push(tops[band] + Math.ceil((rows - band) / bands));
  return tops;
}

/** Reorders one number a symbol into the order of coding: row by row of the bands, a symbol of each band in turn. */
export function inCodingOrder(numbers: Int32Array, shape: MapShape): Int32Array {
  const tops = bandTops(numbers.length, shape);
  if (tops.length === 2) return numbers;
  const line = shape.width * shape.channels;
  const [, second, third, fourth, rows] = tops;
  const common = Math.floor(rows / 4);
  const ordered = new Int32Array(numbers.length);
  for (let at = 0, i = 0; i < common * line; i++, at += 4) {
    ordered[at] = numbers[i];
    ordered[at + 1] = numbers[second * line + i];
    ordered[at + 2] = numbers[third * line + i];
    ordered[at + 3] = numbers[fourth * line + i];
  }
  let at = 4 * common * line;
  for (let j = 0; j < line; j++) {
    for (let band = 0; band < rows % 4; band++) ordered[at++] = numbers[(tops[band] + common) * line + j];
  }
  return ordered;
}

/** @throws {RangeError} when a count is not one of whole maps */
export function checkMaps(count: number, { height, width, channels }: MapShape): void {
  if (count % (height * width * channels) !== 0) {
    throw new RangeError(
      `symbols: expected whole maps of ${height} x ${width} x ${channels} symbols, got ${count} symbols`,
    );
  }
}

export function checkedContext(contexts: CallerContexts, symbols: ArrayLike<number>, index: number): number {
  const context = contexts.contextOf(symbols, index);
  // What is no integer differs from itself as one.
  if ((context | 0) !== context || context < 0 || context >= contexts.count) {
    throw new RangeError(`contextOf(symbols, ${index}): expected 0..${contexts.count - 1}, got ${context}`);
  }
  return context;
}
