/**
 * The tables that the weights' format itself defines: how likely each value is by scale and expected value. They were learned on
 * sixteen networks for pictures, text and sound, quantized to 0.2 to 7 bits; a few profiles differ in dead zone, tails and smoothness.
 *
 * A value is spelled in decisions: other than 0? negative? then while the magnitude is k: is it larger? Each decision's logit is a sum,
 * interpolated between octaves of scale: one part by octave and class of the expected value, one by profile and octave, one by profile
 * and class.
 *
 *     frozenTable(true, 0, 8)  // of a matrix, profile 0, scale 1/16: frequencies of 128 symbols, which sum to 1024
 */
import {
  EXPECTED_CLASSES,
  MAX_SYMBOL,
  OCTAVES,
  SYMBOLS,
  TABLE_LOG,
  ZERO_SYMBOL,
} from "./weights-contexts.js";
import { KERNEL_LOGITS, MATRIX_LOGITS } from "./weights-logits.js";

export const PROFILES = 5;

const KNOTS = OCTAVES + 1;
/** Magnitudes from which on the decision "larger?" has another logit: 1 2 3 5 9 17. */
const PIECES = [0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4];
const LAST_PIECE = 5;

/** 65536 / (1 + exp(-i / 2)). */
const SQUASHED = [
  32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476,
  65500, 65514, 65523,
];

/** The probability, in units of 2^-16, of a logit in units of 1/32. */
export function squash(logit: number): number {
  const size = Math.min(Math.abs(logit), 16 * 16);
  const place = size >> 4;
  const slope = SQUASHED[place + 1] - SQUASHED[place];
  const p = SQUASHED[place] + ((slope * (size & 15)) >> 4);
  return logit < 0 ? 65536 - p : p;
}

/** Logits of one kind of tables, in units of 1/4: all of a decision together, one decision behind the other. */
interface Logits {
  text: string;
  classes: number;
  perOctave: number;
}
const MATRIX: Logits = { text: MATRIX_LOGITS, classes: 1, perOctave: 4 };
const KERNEL: Logits = { text: KERNEL_LOGITS, classes: EXPECTED_CLASSES, perOctave: 2 };

/** Probability that a decision is a yes, in units of 2^-16. */
function decision(
  { text, classes, perOctave }: Logits,
  index: number,
  profile: number,
  scale: number,
  expected: number,
): number {
  const byClass = classes > 1 ? classes : 0;
  const start = index * (KNOTS * classes + PROFILES * (KNOTS + byClass));
  const logit = (at: number) => text.charCodeAt(start + at) - 80;
  const octave = Math.floor(scale / perOctave);
  // In eighths of an octave: the middle of the class.
  const part = ((2 * (scale % perOctave) + 1) * 4) / perOctave;
  const at = (knot: number) =>
    logit(knot * classes + expected) + logit(KNOTS * classes + profile * KNOTS + knot);
  const sum = (8 - part) * at(octave) + part * at(octave + 1);
  const rest = byClass && logit(KNOTS * (classes + PROFILES) + profile * classes + expected);
  return squash(sum + 8 * rest);
}

export interface FrozenTable {
  frequencies: Uint16Array;
  /** The largest magnitude that has a symbol with either sign. */
  limit: number;
}

/** @param scale class of scale, @param expected class of the expected value, 0 for a matrix */
export function frozenTable(isMatrix: boolean, profile: number, scale: number, expected = 0): FrozenTable {
  const logits = isMatrix ? MATRIX : KERNEL;
  const yes = (index: number) => decision(logits, index, profile, scale, expected);
  const size = 1 << TABLE_LOG;
  const frequencies = new Uint16Array(SYMBOLS);
  const nonZero = yes(0);
  const negative = isMatrix ? 32768 : yes(1);
  let rest = nonZero;
  let used = 0;
  const put = (symbol: number, probability: number) => {
    const frequency = (probability + 32) >> (16 - TABLE_LOG);
    frequencies[symbol] = frequency;
    used += frequency;
    return frequency;
  };
  put(ZERO_SYMBOL, 65536 - nonZero);
  let limit = MAX_SYMBOL;
  for (const sign of [1, -1]) {
    const first = isMatrix ? 1 : sign > 0 ? 2 : 8;
    let left = Math.floor((nonZero * (sign > 0 ? 65536 - negative : negative)) / 65536);
    for (let k = 1; k <= MAX_SYMBOL; k++) {
      const more = Math.floor((left * yes(first + (PIECES[k] ?? LAST_PIECE))) / 65536);
      if (put(ZERO_SYMBOL + sign * k, left - more) > 0) rest -= left - more;
      else limit = Math.min(limit, k - 1);
      left = more;
    }
  }
  frequencies[0] = Math.max(1, (rest + 32) >> (16 - TABLE_LOG));
  used += frequencies[0];
  // What rounding leaves over, or has taken too much, is the likeliest symbol's.
  let likeliest = 0;
  for (let symbol = 1; symbol < SYMBOLS; symbol++) {
    if (frequencies[symbol] > frequencies[likeliest]) likeliest = symbol;
  }
  frequencies[likeliest] += size - used;
  return { frequencies, limit };
}
