/**
 * The search for a lambda: whose result comes closest to a limit without passing it. Trials are dear (a whole network is quantized,
 * coded and perhaps run in each), so the next one is where a line through the last two says.
 *
 *     const { best } = await search(goalOf({ maxBytes: 50_000 }, weights), start, encode);
 */
import { MAX_LAMBDA, MIN_LAMBDA } from "./quantize.js";

/** A limit on something that rises or falls with log2(lambda). */
export interface Goal<Measured> {
  limit: number;
  /** How far below the limit is near enough. */
  slack: number;
  measure(made: Measured): number;
  /** Change of the measure for an octave of lambda, about: where there is but one trial to go by. Its sign is sure. */
  slope: number;
  /** Octaves of lambda that make no difference. */
  precision: number;
}

/** One trial: what became of a lambda. */
export interface Trial<Made> {
  lambda: number;
  measure: number;
  made: Made;
}

export interface Found<Made> {
  /** The trial nearest below the limit; undefined where none was below. */
  best?: Trial<Made>;
  /** All trials in their order. */
  trials: { lambda: number; measure: number }[];
}

/** Octaves that lambda is changed by at most at a time: below a bit a weight lines mislead. */
const MAX_CHANGE = 6;
export const MAX_TRIALS = 14;

/**
 * @param start where to begin: any lambda that is not absurd
 * @param attempt is called once at most for each lambda
 */
export async function search<Measured, Made extends Measured>(
  goal: Goal<Measured>,
  start: number,
  attempt: (lambda: number) => Promise<Made>,
  maxTrials = MAX_TRIALS,
): Promise<Found<Made>> {
  const { limit, slack, measure, precision } = goal;
  const trials: { lambda: number; measure: number }[] = [];
  let best: Trial<Made> | undefined;
  let [over, under] = [undefined, undefined] as (number | undefined)[]; // octaves between which the limit is passed
  const [least, most] = [Math.log2(MIN_LAMBDA), Math.log2(MAX_LAMBDA)];
  let at = Math.max(least, Math.min(most, Math.log2(start)));
  // Towards what is below the limit lambda rises where the measure falls with it.
  const inwards = -Math.sign(goal.slope);
  while (trials.length < maxTrials) {
    const lambda = 2 ** at;
    const made = await attempt(lambda);
    const reached = measure(made);
    trials.push({ lambda, measure: reached });
    if (!(reached <= limit)) {
      over = over === undefined ? at : inwards * Math.max(inwards * over, inwards * at);
    } else {
      under = under === undefined ? at : inwards * Math.min(inwards * under, inwards * at);
      if (!best || reached > best.measure || (reached === best.measure && lambda > best.lambda))
        best = { lambda, measure: reached, made };
      if (reached >= limit - slack) break;
    }
    if (over !== undefined && under !== undefined && Math.abs(over - under) < precision) break;
    const next = Math.max(least, Math.min(most, nextPlace(goal, trials, over, under)));
    if (trials.some(({ lambda: tried }) => Math.abs(Math.log2(tried) - next) < precision / 4)) break;
    at = next;
  }
  return { best, trials };
}

/** By a line through the last two trials; between the known bounds, if there are both. */
function nextPlace(
  { limit, slack, slope, precision }: Omit<Goal<never>, "measure">,
  trials: readonly { lambda: number; measure: number }[],
  over?: number,
  under?: number,
): number {
  const last = trials[trials.length - 1];
  const before = trials[trials.length - 2];
  const at = Math.log2(last.lambda);
  let rise = slope;
  if (before) {
    const seen = (last.measure - before.measure) / (at - Math.log2(before.lambda));
    // A fortieth of what is usual is the least that is believed.
    if (Number.isFinite(seen))
      rise = Math.sign(slope) * Math.max(Math.abs(slope) / 40, seen * Math.sign(slope));
  }
  const change = (limit - slack / 2 - last.measure) / rise;
  const outwards = Math.sign(slope) * (last.measure > limit ? -MAX_CHANGE : MAX_CHANGE);
  const place =
    at + (Number.isFinite(change) ? Math.max(-MAX_CHANGE, Math.min(MAX_CHANGE, change)) : outwards);
  if (over === undefined || under === undefined) return place;
  const [low, high] = [Math.min(over, under) + precision / 2, Math.max(over, under) - precision / 2];
  // Lines alone may creep along where measures jump: every third time the middle is taken.
  return place > low && place < high && trials.length % 3 !== 0 ? place : (over + under) / 2;
}
