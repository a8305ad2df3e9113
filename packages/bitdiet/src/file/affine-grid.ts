/**
 * float32 values on a grid with an offset, as converters leave them that quantize to bytes: value = code * scale + min, computed in float64,
 * rounded to float32 once (tf.io.decodeWeights).
 *
 *     const grid = affineGridOf(Float32Array.of(-1, -0.9, -0.6), 256);   // about { scale: 0.1, min: -1 }, codes 0, 1, 4
 *     gridValues(grid, 5);                                    // the three among them, bit for bit
 */

export interface AffineGrid {
  scale: number;
  min: number;
}

/** Values of codes 0 .. count - 1. */
export const gridValues = ({ scale, min }: AffineGrid, count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, code) => code * scale + min);

/**
 * @param values different ones, ascending
 * @param maxCodes how many codes there may be
 * @returns undefined if there is no such grid that gives every bit
 */
export function affineGridOf(
  values: Float32Array,
  maxCodes: number,
): (AffineGrid & { codes: Int32Array }) | undefined {
  const { length } = values;
  const span = values[length - 1] - values[0];
  let gap = Infinity;
  for (let i = 1; i < length; i++) gap = Math.min(gap, values[i] - values[i - 1]);
  if (!(length > 1 && span > 0 && span < Infinity && span / gap < maxCodes)) return undefined;
  // A gap alone is known to a few bits; so many of them as the whole span has are known to many more.
  const step = span / Math.round(span / gap);
  const codes = Int32Array.from(values, (value) => Math.round((value - values[0]) / step));
  // The least gap may have been rounded up: there is one code more then.
  if (codes[length - 1] >= maxCodes) return undefined;
  const scale = commonScale(values, codes);
  if (scale === undefined) return undefined;
  const anchor = nearestToZero(values);
  const min = values[anchor] - codes[anchor] * scale;
  const isExact = values.every((value, i) => Object.is(value, Math.fround(codes[i] * scale + min)));
  return isExact ? { scale, min, codes } : undefined;
}

/** Half of what float32 numbers near this one are apart. */
const halfUlp = (value: number): number => 2 ** (Math.floor(Math.log2(Math.abs(value) || 2 ** -126)) - 24);

/** A scale that gives every value to within its rounding, from the one nearest to 0 on, whose rounding is the least. */
function commonScale(values: Float32Array, codes: Int32Array): number | undefined {
  const anchor = nearestToZero(values);
  let [least, most] = [0, Infinity];
  for (let i = 0; i < values.length; i++) {
    const steps = codes[i] - codes[anchor];
    if (steps === 0) continue;
    const between = [-1, 1].map((sign) => (values[i] + sign * halfUlp(values[i]) - values[anchor]) / steps);
    least = Math.max(least, Math.min(...between));
    most = Math.min(most, Math.max(...between));
  }
  return least < most ? (least + most) / 2 : undefined;
}

function nearestToZero(values: Float32Array): number {
  let nearest = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) < Math.abs(values[nearest])) nearest = i;
  return nearest;
}
