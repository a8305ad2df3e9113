/**
 * The rounding rule of every uniform quantizer, for numbers and typed arrays: divide in float32, round to the nearest
 * integer, ties to even. `tf.round(tf.div(x, step))` gives the same integers, so bytes and training agree to the bit.
 *
 *     nearestInteger(0.25, 0.1) = 2     2.5 is a tie;  nearestInteger(0.35, 0.1) = 4     3.5 in float32
 */

// 1.5 * 2^52: next to it doubles are whole numbers, so adding it rounds, ties to even.
const WHOLE = 6755399441055744;

/**
 * Nearest of the integers low .. high to x / step, both taken as float32. NaN gives low, infinities the end they lie at;
 * never -0.
 *
 * Its value is `Math.fround(integer * step)`.
 *
 * @param step distance between two levels, positive
 * @param low lowest integer, -Infinity by default
 * @param high highest integer, Infinity by default
 */
export function nearestInteger(
  x: number,
  step: number,
  low = Number.NEGATIVE_INFINITY,
  high = Number.POSITIVE_INFINITY,
): number {
  const quotient = Math.fround(Math.fround(x) / Math.fround(step));
  // From 2^24 on every float32 is whole.
  const integer = Math.abs(quotient) < 2 ** 24 ? quotient + WHOLE - WHOLE : quotient;
  return integer >= low ? Math.min(integer, high) : low;
}
