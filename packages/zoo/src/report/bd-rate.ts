/**
 * Bjøntegaard delta rate: how much less (negative) or more rate one curve takes than another for the same quality, as the
 * mean difference of ln(rate) over the qualities both reach (Bjøntegaard, VCEG-M33, 2001). Between the points the curves
 * are monotone piecewise cubics (PCHIP; Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984), as VCEG-AI11 has it
 * since a single cubic through four points may swing: any number of points from two on will do.
 *
 * Half the rate at every quality is −0.5.
 */
export interface RatePoint {
  /** Positive, of any unit. */
  rate: number;
  /** Higher is better: accuracy, PSNR. */
  quality: number;
}

/**
 * @param anchor the curve to compare with, @param test the curve in question; points in any order
 * @returns mean relative difference in rate, −1 .. ∞; NaN where the curves have no quality in common
 * @throws {RangeError} where a curve has less than two points, a rate that is not positive, or one quality twice
 */
export function bdRate(anchor: readonly RatePoint[], test: readonly RatePoint[]): number {
  const curves = [logRateCurve("anchor", anchor), logRateCurve("test", test)];
  const low = Math.max(...curves.map(({ x }) => x[0]));
  const high = Math.min(...curves.map(({ x }) => x[x.length - 1]));
  if (!(high > low)) return Number.NaN;
  const [a, b] = curves.map((curve) => integral(curve, low, high) / (high - low));
  return Math.expm1(b - a);
}

/** The points that no other beats: less rate and at least the quality, by rising rate. What is left rises strictly in both. */
export function paretoFront<Point extends RatePoint>(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a.rate - b.rate || b.quality - a.quality);
  let best = Number.NEGATIVE_INFINITY;
  return sorted.filter(({ quality }) => {
    const better = quality > best;
    if (better) best = quality;
    return better;
  });
}

/** A piecewise cubic by its points, ascending in x, and the slopes there. */
interface Curve {
  x: number[];
  y: number[];
  slope: number[];
}

function logRateCurve(name: string, points: readonly RatePoint[]): Curve {
  if (points.length < 2) throw new RangeError(`${name}: expected at least two points, got ${points.length}`);
  const sorted = [...points].sort((a, b) => a.quality - b.quality);
  const x = sorted.map(({ quality }) => quality);
  const y = sorted.map(({ rate }, i) => {
    if (!(rate > 0 && rate < Number.POSITIVE_INFINITY))
      throw new RangeError(`${name}: expected positive rates, got ${rate}`);
    if (!(i === 0 ? Number.isFinite(x[0]) : x[i] > x[i - 1])) {
      throw new RangeError(`${name}: expected finite qualities, each once, got ${x[i]} (see paretoFront)`);
    }
    return Math.log(rate);
  });
  return { x, y, slope: pchipSlopes(x, y) };
}

/** Slopes at the points: weighted harmonic means of the neighbouring chords, 0 at an extremum. */
function pchipSlopes(x: number[], y: number[]): number[] {
  const width = x.slice(1).map((right, i) => right - x[i]);
  const chord = width.map((w, i) => (y[i + 1] - y[i]) / w);
  const last = chord.length - 1;
  if (last === 0) return [chord[0], chord[0]];
  const inner = chord.slice(1).map((right, i) => {
    const left = chord[i];
    if (left * right <= 0) return 0;
    const [w1, w2] = [2 * width[i + 1] + width[i], width[i + 1] + 2 * width[i]];
    return (w1 + w2) / (w1 / left + w2 / right);
  });
  return [
    endSlope(width[0], width[1], chord[0], chord[1]),
    ...inner,
    endSlope(width[last], width[last - 1], chord[last], chord[last - 1]),
  ];
}

/** Three-point formula, held back so that the end piece stays monotone. */
function endSlope(width: number, nextWidth: number, chord: number, nextChord: number): number {
  const slope = ((2 * width + nextWidth) * chord - width * nextChord) / (width + nextWidth);
  if (slope * chord <= 0) return 0;
  return chord * nextChord <= 0 && Math.abs(slope) > 3 * Math.abs(chord) ? 3 * chord : slope;
}

/** Exact integral of the piecewise cubic from `low` to `high`, both within its points. */
function integral({ x, y, slope }: Curve, low: number, high: number): number {
  let sum = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const width = x[i + 1] - x[i];
    const from = Math.max(low, x[i]);
    const to = Math.min(high, x[i + 1]);
    if (from >= to) continue;
    const at = (t: number): number => {
      // Antiderivatives of the four Hermite polynomials on 0 .. t.
      const [t2, t3, t4] = [t * t, t ** 3, t ** 4];
      return (
        y[i] * (t4 / 2 - t3 + t) +
        y[i + 1] * (t3 - t4 / 2) +
        width * (slope[i] * (t4 / 4 - (2 * t3) / 3 + t2 / 2) + slope[i + 1] * (t4 / 4 - t3 / 3))
      );
    };
    sum += width * (at((to - x[i]) / width) - at((from - x[i]) / width));
  }
  return sum;
}
