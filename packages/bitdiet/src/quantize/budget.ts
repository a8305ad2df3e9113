/**
 * Meets a size: looks for the setting whose real bytes come closest under a limit. Trials are dear (a whole network is quantized and
 * encoded in each), so the next one is where a line through the last two says.
 *
 *     const { found } = await meetBudget({ maxBytes: 50_000, start: 1e-5, weights: 270_000, encode: (lambda) => … });
 */

/** One trial: what became of a lambda. */
export interface Trial<Made> {
  lambda: number;
  /** As written. */
  bytes: number;
  made: Made;
}

export interface Budget<Made> {
  maxBytes: number;
  /** Where to begin: any lambda that is not absurd. */
  start: number;
  /** How many weights there are: a fourth of lambda costs each about a bit. */
  weights: number;
  encode(lambda: number): Promise<{ bytes: number; made: Made }>;
  /** The most trials. Default: 12. */
  trials?: number;
  /** The share of the limit that may stay unused. Default: 0.01. */
  slack?: number;
}

/** Two lambdas closer than this give the same steps but for a few rows. */
const SAME = 2 ** 0.002;
/** A lambda is changed by at most this factor at a time: below a bit a weight lines mislead. */
const LARGEST_CHANGE = 2 ** 6;

/**
 * @returns the largest trial that fits, undefined where none did; and all trials, in order
 * @throws {RangeError} if maxBytes or start is not above 0
 */
export async function meetBudget<Made>({
  maxBytes,
  start,
  weights,
  encode,
  trials = 12,
  slack = 0.01,
}: Budget<Made>): Promise<{ found: Trial<Made> | undefined; sizes: { lambda: number; bytes: number }[] }> {
  for (const [name, value] of Object.entries({ maxBytes, start }))
    if (!(value > 0 && value < Infinity)) throw new RangeError(`${name}: expected above 0, got ${value}`);
  const goal = maxBytes * (1 - slack / 2);
  const sizes: { lambda: number; bytes: number }[] = [];
  let found: Trial<Made> | undefined;
  // Between these lambdas sizes pass the limit.
  let tooFine: number | undefined;
  let coarse: number | undefined;
  let lambda = start;
  while (sizes.length < trials) {
    const { bytes, made } = await encode(lambda);
    sizes.push({ lambda, bytes });
    if (bytes > maxBytes) tooFine = Math.max(lambda, tooFine ?? 0);
    else {
      coarse = Math.min(lambda, coarse ?? Infinity);
      if (found === undefined || bytes > found.bytes) found = { lambda, bytes, made };
      if (bytes >= maxBytes * (1 - slack)) break;
    }
    if (tooFine !== undefined && coarse !== undefined && tooFine * SAME > coarse) break;
    lambda = nextLambda(sizes, goal, weights, tooFine, coarse);
  }
  return { found, sizes };
}

/** By a line through the last two trials, bytes over log lambda; between the known bounds, if there are both. */
function nextLambda(
  sizes: readonly { lambda: number; bytes: number }[],
  goal: number,
  weights: number,
  tooFine?: number,
  coarse?: number,
): number {
  const last = sizes[sizes.length - 1];
  const before = sizes[sizes.length - 2];
  const least = weights / 16 / 64; // bytes an octave of lambda: half a bit a weight at high rate, far less near 0
  let slope = weights / 16;
  if (before && before.lambda !== last.lambda)
    slope = Math.max(least, (last.bytes - before.bytes) / Math.log2(before.lambda / last.lambda));
  const change = 2 ** ((last.bytes - goal) / slope);
  const lambda = last.lambda * Math.max(1 / LARGEST_CHANGE, Math.min(LARGEST_CHANGE, change));
  if (tooFine === undefined || coarse === undefined) return lambda;
  const [low, high] = [tooFine * SAME ** 0.5, coarse / SAME ** 0.5];
  // Lines alone may creep along where sizes jump: every third time the middle is taken.
  const isInside = lambda > low && lambda < high && sizes.length % 3 !== 0;
  return isInside ? lambda : Math.sqrt(tooFine * coarse);
}
