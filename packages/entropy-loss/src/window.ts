/**
 * The soft histogram where tensor data is at hand (cpu and wasm backends): O(N) time and memory whatever the number
 * of levels. A value at coordinate y belongs to level k with weight exp(-T (y - k)^2); with c the nearest level and
 * u = y - c, divided by the nearest level's weight that is
 *
 *     w(c + m) = exp(-T (m^2 - 2 u m)),    so    w(c + m) = w(c + m - 1) * exp(T (2 u - 1)) * exp(-2 T (m - 1))
 *
 * and one exponential a value gives the whole window of levels c - r .. c + r. Since |u| <= 1/2, a neglected level's
 * weight is at most exp(-T r (r + 1)) of the nearest one's: r is chosen to make that less than 1e-8.
 *
 * T = 10: r = 1, three levels a value. y = 3.4: weights exp(-14), 1, exp(-2), so 0.8808 to level 3, 0.1192 to level 4
 */
import { gapIndex, type LevelGrid, toCoordinates } from "./levels.js";

const NEGLIGIBLE = 1e-8;

/** Values are taken this many at a time, so that what is known of each stays in the cache between two loops. */
const BLOCK = 2048;

/** Above this, exp(-2 T) is too near to underflow to be divided. */
const DIVISIBLE = 300;

/** Levels on either side of the nearest one that a value reaches: the least r with exp(-T r (r + 1)) < 1e-8. */
export function windowRadius(sharpness: number): number {
  return Math.max(1, Math.ceil(Math.sqrt(0.25 - Math.log(NEGLIGIBLE) / sharpness) - 0.5));
}

/** Mean soft assignment to each level; sums to 1. NaN throughout if a value is NaN. */
export function windowHistogram(values: Float32Array, grid: LevelGrid, sharpness: number): Float32Array {
  const last = grid.values.length - 1;
  const radius = Math.min(windowRadius(sharpness), last);
  const decay = decays(sharpness, radius);
  // `radius` places of padding on both ends, so that a window may hang over; what is there has weight 0.
  const sums = new Float64Array(last + 1 + 2 * radius);
  const above = new Float64Array(radius + 1);
  const below = new Float64Array(radius + 1);
  eachBlock(values, grid, sharpness, (nearest, up, down, count) => {
    for (let i = 0; i < count; i++) {
      const center = nearest[i];
      const firstAbove = center < last ? up[i] : 0;
      const firstBelow = center > 0 ? down[i] : 0;
      let total = 1 + firstAbove + firstBelow;
      for (let m = 2, a = firstAbove, b = firstBelow; m <= radius; m++) {
        above[m] = a = center + m <= last ? a * up[i] * decay[m] : 0;
        below[m] = b = center - m >= 0 ? b * down[i] * decay[m] : 0;
        total += a + b;
      }
      const share = 1 / total;
      const at = center + radius;
      sums[at] += share;
      sums[at + 1] += firstAbove * share;
      sums[at - 1] += firstBelow * share;
      for (let m = 2; m <= radius; m++) {
        sums[at + m] += above[m] * share;
        sums[at - m] += below[m] * share;
      }
    }
  });
  // A NaN has reached level 0 and its window only, but it spoils every mean.
  const spoilt = Number.isNaN(sums[radius]);
  const inside = sums.subarray(radius, radius + last + 1);
  return new Float32Array(inside.map((sum) => (spoilt ? Number.NaN : sum / values.length)));
}

/**
 * Gradient of a loss by the values, given its gradient v by the histogram: (2 T / N) Cov_q(k, v) dy/dx, where q is the
 * value's own soft assignment.
 */
export function windowGradient(
  values: Float32Array,
  grid: LevelGrid,
  sharpness: number,
  byHistogram: ArrayLike<number>,
): Float32Array {
  const last = grid.values.length - 1;
  const radius = Math.min(windowRadius(sharpness), last);
  const decay = decays(sharpness, radius);
  const v = new Float64Array(last + 1 + 2 * radius);
  v.set(byHistogram, radius);
  const scale = (2 * sharpness) / values.length;
  const gradient = new Float32Array(values.length);
  eachBlock(values, grid, sharpness, (nearest, up, down, count, from) => {
    for (let i = 0; i < count; i++) {
      const center = nearest[i];
      const at = center + radius;
      // k and v are offsets from the nearest level's: the covariance is the same, and nothing large cancels.
      const origin = v[at];
      let a = center < last ? up[i] : 0;
      let b = center > 0 ? down[i] : 0;
      let av = a * (v[at + 1] - origin);
      let bv = b * (v[at - 1] - origin);
      let total = 1 + a + b;
      let sumK = a - b;
      let sumV = av + bv;
      let sumKV = av - bv;
      for (let m = 2; m <= radius; m++) {
        a = center + m <= last ? a * up[i] * decay[m] : 0;
        b = center - m >= 0 ? b * down[i] * decay[m] : 0;
        av = a * (v[at + m] - origin);
        bv = b * (v[at - m] - origin);
        total += a + b;
        sumK += m * (a - b);
        sumV += av + bv;
        sumKV += m * (av - bv);
      }
      gradient[from + i] = (scale * (sumKV - (sumK * sumV) / total)) / total;
    }
  });
  perUnitOfX(gradient, values, grid);
  return gradient;
}

/** exp(-2 T (m - 1)), for m = 1 .. radius: what the step from level m - 1 to level m loses besides `up` or `down`. */
function decays(sharpness: number, radius: number): Float64Array {
  return Float64Array.from({ length: radius + 1 }, (_, m) => Math.exp(-2 * sharpness * (m - 1)));
}

/**
 * Calls `visit` for each block of values with their nearest levels and the weights `up` and `down` of the next level on
 * either side. A weight beyond the outermost level may be infinite: it is not to be used. NaN is nearest to level 0.
 * The exponentials have a loop of their own because a call in the middle of the sums costs more than this detour.
 */
function eachBlock(
  values: Float32Array,
  grid: LevelGrid,
  sharpness: number,
  visit: (nearest: Int32Array, up: Float64Array, down: Float64Array, count: number, from: number) => void,
): void {
  const last = grid.values.length - 1;
  const size = Math.min(BLOCK, values.length);
  const coordinates = new Float64Array(size);
  const nearest = new Int32Array(size);
  const up = new Float64Array(size);
  const down = new Float64Array(size);
  const upTimesDown = Math.exp(-2 * sharpness);
  for (let from = 0; from < values.length; from += BLOCK) {
    const count = Math.min(BLOCK, values.length - from);
    toCoordinates(grid, values, from, count, coordinates);
    for (let i = 0; i < count; i++) {
      const y = coordinates[i];
      nearest[i] = y > 0 ? (y < last ? y + 0.5 : last) : 0;
      const u = y - nearest[i];
      up[i] = Math.exp(sharpness * (2 * u - 1));
      down[i] = sharpness < DIVISIBLE ? upTimesDown / up[i] : Math.exp(-sharpness * (2 * u + 1));
    }
    visit(nearest, up, down, count, from);
  }
}

/** From per unit of coordinate to per unit of x: divides by the gap that x lies in. */
function perUnitOfX(gradient: Float32Array, x: Float32Array, { values, spacing }: LevelGrid): void {
  if (spacing === 1) return;
  for (let i = 0; i < gradient.length; i++) {
    const gap = spacing > 0 ? 0 : gapIndex(values, x[i]);
    gradient[i] /= spacing > 0 ? spacing : values[gap + 1] - values[gap];
  }
}
