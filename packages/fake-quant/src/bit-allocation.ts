/**
 * Bit widths that spend a budget where each bit removes the most error: the equal-slope rule of rate-distortion
 * theory, with 0 bits (pruning) as one of the widths. Transform Quantization (Young, Wang, Taubman, Girod 2021,
 * arXiv 2009.01174, section 3 and Algorithm 1), from variances or from measured distortion curves.
 *
 *     minimize sum_k D_k(R_k) + slope * sum_k n_k R_k,  the slope such that sum_k n_k R_k <= meanBits * sum_k n_k
 *
 * Variances [16, 4, 1, 0.1] at 1.5 bits on average: [3, 2, 1, 0], distortions [0.25, 0.25, 0.25, 0.1].
 *
 * The slope is not searched for by trial: only at the slopes of the curves' lower convex hulls does the solution
 * change, so the steps along the hulls are sorted and taken while they fit. This is where such a search would end.
 */

export interface Budget {
  /** Bits a value on average, at least 0; never exceeded. */
  meanBits: number;
  /** Values in each group, positive; by default all groups are of one size. */
  weights?: ArrayLike<number>;
}

/**
 * Widths for groups of known variance (times sensitivity, where the output's error matters), under the high-rate model:
 * a value of group k has distortion v_k 4^-R. That is reverse water-filling in whole bits: each bit in turn goes to
 * the group of largest distortion, the first of equals.
 *
 * Optimal if all groups are of one size. Otherwise filling a budget to the last bit is a knapsack problem, and the
 * result is at least as good as the best one for a budget smaller by one bit a value of the largest group.
 *
 * @param variances at least 0, one a group; a variance of 0 gets no bits
 * @param maxBits largest width, 0 .. 16; 8 by default
 * @returns one width a group, 0 .. maxBits
 * @throws {RangeError} if variances are negative or not finite, or meanBits, maxBits or weights out of range
 */
export function allocateBits(
  variances: ArrayLike<number>,
  { maxBits = 8, ...budget }: Budget & { maxBits?: number },
): Uint8Array {
  if (!Number.isInteger(maxBits) || maxBits < 0 || maxBits > 16) {
    throw new RangeError(`maxBits: expected an integer from 0 to 16, got ${maxBits}`);
  }
  const sizes = groupSizes(variances.length, budget.weights);
  const curves = Array.from(variances, (variance, k) => {
    if (!(variance >= 0 && variance < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`variances[${k}]: expected a finite number of at least 0, got ${variance}`);
    }
    return Array.from({ length: maxBits + 1 }, (_, bits) => sizes[k] * variance * 4 ** -bits);
  });
  return allocateFromCurves(curves, budget);
}

/**
 * Widths from measured distortions, `curves[k][R]` being the total (not the mean) distortion that group k causes at R
 * bits, for R = 0, 1, 2 … as far as it was measured. The curves may rise or wiggle: only their lower convex hulls are
 * used. Assumes what the paper assumes, that distortions add up.
 *
 * The result is that of `bitsAtSlope` for the least slope that keeps the budget, and after it, further down in slope,
 * the steps of single groups that still fit. Deterministic: of equal steps the first group's comes first.
 *
 * @returns one width a group, 0 .. curves[k].length - 1
 * @throws {RangeError} if there are no curves, one is empty or holds NaN or infinities, or meanBits or weights are out of range
 */
export function allocateFromCurves(
  curves: ArrayLike<ArrayLike<number>>,
  { meanBits, weights }: Budget,
): Uint8Array {
  if (!(meanBits >= 0 && meanBits < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`meanBits: expected a finite number of at least 0, got ${meanBits}`);
  }
  const sizes = checkedCurves(curves, weights);
  const available = meanBits * sizes.reduce((sum, size) => sum + size, 0);
  const steps = Array.from(curves, (curve, k) => hullSteps(curve, sizes[k], k)).flat();
  steps.sort((a, b) => b.slope - a.slope || a.group - b.group || a.from - b.from);
  const bits = new Uint8Array(curves.length);
  let spent = 0;
  for (const { group, from, to } of steps) {
    const cost = sizes[group] * (to - from);
    if (bits[group] !== from || spent + cost > available) continue;
    bits[group] = to;
    spent += cost;
  }
  return bits;
}

/**
 * Algorithm 1 for one slope: each group's width of least D_k(R) + slope * n_k * R, the smallest of equals. A sweep of
 * slopes, say 2^-30 .. 2^10, gives the rate-distortion curve of the whole network.
 *
 * @param curves as for `allocateFromCurves`
 * @param slope distortion that one bit is worth, at least 0
 * @throws {RangeError} if slope is negative or not finite, or as `allocateFromCurves`
 */
export function bitsAtSlope(
  curves: ArrayLike<ArrayLike<number>>,
  slope: number,
  weights?: ArrayLike<number>,
): Uint8Array {
  if (!(slope >= 0 && slope < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`slope: expected a finite number of at least 0, got ${slope}`);
  }
  const sizes = checkedCurves(curves, weights);
  return Uint8Array.from(curves, (curve, k) => {
    let best = 0;
    for (let bits = 1; bits < curve.length; bits++) {
      if (curve[bits] + slope * sizes[k] * bits < curve[best] + slope * sizes[k] * best) best = bits;
    }
    return best;
  });
}

interface Step {
  group: number;
  from: number;
  to: number;
  /** Distortion removed a bit, positive. */
  slope: number;
}

/** The falling edges of the curve's lower convex hull, of falling slope, from 0 bits on. */
function hullSteps(curve: ArrayLike<number>, size: number, group: number): Step[] {
  const steps: Step[] = [];
  for (let from = 0; ; ) {
    let to = from;
    let slope = 0;
    for (let bits = from + 1; bits < curve.length; bits++) {
      const candidate = (curve[from] - curve[bits]) / (size * (bits - from));
      if (candidate > slope) {
        slope = candidate;
        to = bits;
      }
    }
    if (to === from) return steps;
    // On a straight hull, rounding must not put a step before the one it follows.
    const previous = steps.length > 0 ? steps[steps.length - 1].slope : slope;
    steps.push({ group, from, to, slope: Math.min(slope, previous) });
    from = to;
  }
}

function checkedCurves(curves: ArrayLike<ArrayLike<number>>, weights?: ArrayLike<number>): Float64Array {
  for (let k = 0; k < curves.length; k++) {
    const curve = curves[k];
    if (curve.length === 0 || curve.length > 256) {
      throw new RangeError(`curves[${k}]: expected 1 to 256 distortions, got ${curve.length}`);
    }
    for (let bits = 0; bits < curve.length; bits++) {
      if (!Number.isFinite(curve[bits])) {
        throw new RangeError(`curves[${k}][${bits}]: expected a finite number, got ${curve[bits]}`);
      }
    }
  }
  return groupSizes(curves.length, weights);
}

function groupSizes(groups: number, weights?: ArrayLike<number>): Float64Array {
  if (groups === 0) throw new RangeError("groups: expected at least one, got none");
  if (weights && weights.length !== groups) {
    throw new RangeError(`weights: expected ${groups} numbers, one a group, got ${weights.length}`);
  }
  return Float64Array.from({ length: groups }, (_, k) => {
    const weight = weights ? weights[k] : 1;
    if (weight > 0 && weight < Number.POSITIVE_INFINITY) return weight;
    throw new RangeError(`weights[${k}]: expected a positive finite number, got ${weight}`);
  });
}
