/**
 * Levels of a rounded layer, made better one by one: coordinate descent on error + rate (as QuantEase does for the error alone, Behdin et
 * al., arXiv 2309.01885). Rounding decides each weight before it knows the later ones; here all others are known.
 *
 *     error of level l + 1 instead of l: -2 step (H e)_c + step^2 H_cc more; the coder's bits for it, given the neighbours in the row
 */

/** Larger magnitudes are priced as this one. */
const LARGEST = 15;
/** Classes of a level's surroundings: the sum of its neighbours' magnitudes, up to this. */
const SURROUNDINGS = 4;
const MAX_PASSES = 3;

/** Bits of a magnitude (sign included) given the surroundings: SURROUNDINGS tables of LARGEST + 1. */
export type Prices = Float64Array;

/** What each level would cost a coder that has learned these levels: a stand-in for the adaptive one, which cannot be asked twice. */
export function learnPrices(levels: Int32Array, columns: number): Prices {
  const counts = new Float64Array(SURROUNDINGS * (LARGEST + 1));
  // Before anything is seen: half as many of each magnitude as of the one below.
  for (let i = 0; i < counts.length; i++) counts[i] = 2 ** -(i % (LARGEST + 1));
  for (let start = 0; start < levels.length; start += columns) {
    const row = levels.subarray(start, start + columns);
    for (let c = 0; c < columns; c++) counts[cell(sizeAt(row, c - 1) + sizeAt(row, c + 1), row[c])]++;
  }
  for (let table = 0; table < counts.length; table += LARGEST + 1) {
    let total = 0;
    for (let size = 0; size <= LARGEST; size++) total += counts[table + size];
    for (let size = 0; size <= LARGEST; size++)
      counts[table + size] = Math.log2(total / counts[table + size]) + (size > 0 ? 1 : 0);
  }
  return counts;
}

function sizeAt(row: Int32Array, c: number): number {
  return c < 0 || c >= row.length ? 0 : Math.abs(row[c]);
}

function cell(around: number, level: number): number {
  return Math.min(around, SURROUNDINGS - 1) * (LARGEST + 1) + Math.min(Math.abs(level), LARGEST);
}

/**
 * Changes levels by 1 as long as that lowers e H e^T + rate * bits, e = wanted - step * levels.
 *
 * @param wanted as many as levels; more are not read
 * @param covariance H, levels x levels
 * @returns whether any level changed
 */
export function refineRow(
  wanted: Float64Array,
  covariance: Float64Array,
  { step, rate, prices }: { step: number; rate: number; prices: Prices },
  levels: Int32Array,
): boolean {
  const columns = levels.length;
  const slopes = new Float64Array(columns); // H e
  for (let k = 0; k < columns; k++) {
    const error = wanted[k] - step * levels[k];
    for (let c = 0, at = k * columns; c < columns; c++) slopes[c] += error * covariance[at + c];
  }
  const bitsOf = (c: number, level: number) => {
    const [before, after] = [sizeAt(levels, c - 1), sizeAt(levels, c + 1)];
    let bits = prices[cell(before + after, level)];
    // The neighbours' own prices depend on this level, too.
    const size = Math.abs(level);
    if (c > 0) bits += prices[cell(sizeAt(levels, c - 2) + size, before)];
    if (c < columns - 1) bits += prices[cell(size + sizeAt(levels, c + 2), after)];
    return bits;
  };
  let hasChanged = false;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let changes = 0;
    for (let c = 0; c < columns; c++) {
      const curvature = step * step * covariance[c * columns + c];
      const slope = 2 * step * slopes[c];
      const bits = bitsOf(c, levels[c]);
      let change = 0;
      let least = 0;
      for (const by of [-1, 1]) {
        const error = curvature - by * slope;
        // Not even all these bits could make up for it.
        if (error > rate * bits) continue;
        const cost = error + rate * (bitsOf(c, levels[c] + by) - bits);
        if (cost < least) {
          least = cost;
          change = by;
        }
      }
      if (change === 0) continue;
      levels[c] += change;
      changes++;
      for (let k = 0, at = c * columns; k < columns; k++) slopes[k] -= change * step * covariance[at + k];
    }
    if (changes === 0) break;
    hasChanged = true;
  }
  return hasChanged;
}
