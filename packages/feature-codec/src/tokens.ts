/**
 * Integers as tokens that tables are kept for, and bits that are not worth one. A magnitude below 8 is its own class, from
 * there on every octave has two, as in JPEG XL's hybrid integers (ISO/IEC 18181-1, C.2.3).
 *
 *     0 → 0,  1 → 1,  −1 → 2,  …,  7 → 13,  −8 .. −11 → 16 and 2 bits,  12 → 17 and 2 bits
 */
import { corrupt } from "@bitdiet/stream";
import type { BitReader, BitWriter } from "./bits.js";

/** Magnitudes with a class each. */
const PLAIN = 8;
/** The largest magnitude that is coded. */
export const MAX_MAGNITUDE = 65535;
const CLASSES = PLAIN + 2 * 13;
/** Stands for an integer whose own token has no place in its table; the integer follows in bits. */
export const ESCAPE = 2 * CLASSES - 1;
export const ALPHABET = ESCAPE + 1;

const octaveOf = (magnitude: number) => 31 - Math.clz32(magnitude);

/** Bits behind the token of a class: all but the two highest of its magnitudes. */
const extraOf = (magnitudeClass: number) =>
  magnitudeClass < PLAIN ? 0 : ((magnitudeClass - PLAIN) >> 1) + 2;

/** @param integer −65,535 .. 65,535 */
export function tokenOf(integer: number): number {
  const magnitude = Math.abs(integer);
  if (magnitude < PLAIN) return integer > 0 ? 2 * magnitude - 1 : 2 * magnitude;
  const octave = octaveOf(magnitude);
  const magnitudeClass = PLAIN + 2 * (octave - 3) + ((magnitude >> (octave - 1)) & 1);
  return integer > 0 ? 2 * magnitudeClass - 1 : 2 * magnitudeClass;
}

/** The least magnitude of each token; of ESCAPE, which says nothing of it, the greatest plain one. */
export const MAGNITUDES = Uint16Array.from({ length: ALPHABET }, (_, token) => {
  if (token === ESCAPE) return PLAIN - 1;
  const magnitudeClass = (token + 1) >> 1;
  if (magnitudeClass < PLAIN) return magnitudeClass;
  return (2 + ((magnitudeClass - PLAIN) & 1)) << extraOf(magnitudeClass);
});

/** Whether integers of a token are negative. */
const isNegative = (token: number) => token > 0 && (token & 1) === 0;

export function putExtra(writer: BitWriter, token: number, integer: number): void {
  if (token === ESCAPE) {
    writer.put(integer < 0 ? 1 : 0, 1);
    writer.put(Math.abs(integer), 16);
  } else {
    writer.put(Math.abs(integer), extraOf((token + 1) >> 1));
  }
}

export function takeInteger(reader: BitReader, token: number): number {
  if (token === ESCAPE) {
    const sign = reader.take(1);
    const magnitude = reader.take(16);
    if (sign === 1 && magnitude === 0) corrupt("bits: a second zero");
    return sign ? -magnitude : magnitude;
  }
  const magnitude = MAGNITUDES[token] + reader.take(extraOf((token + 1) >> 1));
  return isNegative(token) ? -magnitude : magnitude;
}

/** Integers of the tokens that have no bits behind them, and how many tokens these are: 0 .. 2 · 8 − 2. */
export const PLAIN_TOKENS = 2 * PLAIN - 1;
