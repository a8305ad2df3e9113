/**
 * The tables that the weights' format itself defines: how likely each value is by scale and expected value. They were learned on
 * eighteen networks for pictures, text and sound, those of the bench among them, quantized to about 1.4 to 6 bits; two profiles differ
 * in dead zone, tails and smoothness.
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

export const PROFILES = 2;

const KNOTS = OCTAVES + 1;
/** Magnitudes from which on the decision "larger?" has another logit: 1 2 3 5 9 17. */
const PIECES = [0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4];
const LAST_PIECE = 5;
const PIECE_NUMBERS = [0, 1, 2, 3, 4, LAST_PIECE];

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

/** Logits of one kind of tables, in units of 1/4: by knot and class, then by profile and knot, then by profile and class. */
interface Logits {
  classes: number;
  perOctave: number;
  values: Int8Array;
  /** Where those of profiles and knots start, and those of profiles and classes. */
  ofKnots: number;
  ofClasses: number;
}
const MATRIX = /* @__PURE__ */ unpacked(MATRIX_LOGITS, 7, 1);
const KERNEL = /* @__PURE__ */ unpacked(KERNEL_LOGITS, 14, EXPECTED_CLASSES);

/** The text has what each is more than its neighbours: of the knot before and the class before, where there are. */
function unpacked(text: string, decisions: number, classes: number): Logits {
  const values = new Int8Array(text.length);
  for (let at = 0; at < text.length; at++) values[at] = text.charCodeAt(at) - 80;
  const ofKnots = decisions * KNOTS * classes;
  const ofClasses = ofKnots + decisions * PROFILES * KNOTS;
  const sumUp = (from: number, to: number, step: number, every: number) => {
    for (let at = from; at < to; at++) if ((at - from) % every >= step) values[at] += values[at - step];
  };
  sumUp(0, ofKnots, 1, classes);
  sumUp(0, ofKnots, classes, KNOTS * classes);
  sumUp(ofKnots, ofClasses, 1, KNOTS);
  return { classes, perOctave: classes > 1 ? 2 : 4, values, ofKnots, ofClasses };
}

/** Probability that a decision is a yes, in units of 2^-16. */
function decision(
  { classes, perOctave, values, ofKnots, ofClasses }: Logits,
  index: number,
  profile: number,
  scale: number,
  expected: number,
): number {
  const octave = Math.floor(scale / perOctave);
  // In eighths of an octave: the middle of the class.
  const part = ((2 * (scale % perOctave) + 1) * 4) / perOctave;
  const at = (knot: number) =>
    values[(index * KNOTS + knot) * classes + expected] +
    values[ofKnots + (index * PROFILES + profile) * KNOTS + knot];
  const own = values[ofClasses + (index * PROFILES + profile) * classes + expected] ?? 0;
  return squash((8 - part) * at(octave) + part * at(octave + 1) + 8 * own);
}

/** The same function, which keeps what it made of each kind and profile. */
export function byProfile<Made>(
  make: (isMatrix: boolean, profile: number) => Made,
): (isMatrix: boolean, profile: number) => Made {
  const made = new Map<number, Made>();
  return (isMatrix, profile) => {
    const key = 2 * profile + Number(isMatrix);
    const kept = made.get(key) ?? make(isMatrix, profile);
    made.set(key, kept);
    return kept;
  };
}

/** Of a probability in units of 2^-16, rounded. */
const frequencyOf = (probability: number): number => (probability + 32) >> (16 - TABLE_LOG);

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
  let limit = MAX_SYMBOL;
  frequencies[ZERO_SYMBOL] = frequencyOf(65536 - nonZero);
  let used = frequencies[ZERO_SYMBOL];
  for (const sign of [1, -1]) {
    const first = isMatrix ? 1 : sign > 0 ? 2 : 8;
    const larger = PIECE_NUMBERS.map((piece) => yes(first + piece));
    let left = Math.floor((nonZero * (sign > 0 ? 65536 - negative : negative)) / 65536);
    for (let k = 1; k <= MAX_SYMBOL; k++) {
      // Too little for a symbol is left for all that are larger.
      if (frequencyOf(left) === 0) {
        limit = Math.min(limit, k - 1);
        break;
      }
      const more = Math.floor((left * larger[k < PIECES.length ? PIECES[k] : LAST_PIECE]) / 65536);
      const frequency = frequencyOf(left - more);
      frequencies[ZERO_SYMBOL + sign * k] = frequency;
      used += frequency;
      if (frequency > 0) rest -= left - more;
      else limit = Math.min(limit, k - 1);
      left = more;
    }
  }
  frequencies[0] = Math.max(1, frequencyOf(rest));
  used += frequencies[0];
  // What rounding leaves over, or has taken too much, is the likeliest symbol's.
  let likeliest = 0;
  for (let symbol = 1; symbol < SYMBOLS; symbol++) {
    if (frequencies[symbol] > frequencies[likeliest]) likeliest = symbol;
  }
  frequencies[likeliest] += size - used;
  return { frequencies, limit };
}
