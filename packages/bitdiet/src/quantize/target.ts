/**
 * What a file shall come to, as a limit on something that lambda moves.
 *
 *     goalOf({ maxBytes: 50_000 }, { weights: 270_000 })   // bytes at most 50,000, and at least 49,500
 */
import type { Goal } from "./search.js";

/**
 * How small: bytes of the whole file; mean coded bits a weight; 0 (coarse) to 100 (fine); or the smallest file that a judge says
 * diverges at most so far.
 */
export type CompressTarget =
  | { maxBytes: number }
  | { bits: number }
  | { quality: number }
  | { divergence: number };

/** What a search looks at. */
export interface Sized {
  bytes: number;
  /** Mean coded bits of the numbers that were quantized; NaN where none were. */
  bits: number;
  /** How far off it is, where somebody has looked. */
  judgement?: { value: number };
}

/** Shares of the limit that may stay unused: of bytes, of bits, of a divergence (which costs about a fifth of that in bytes). */
const BYTES_SLACK = 0.01;
const BITS_SLACK = 0.002;
const DIVERGENCE_SLACK = 0.15;
/** What stands in for a divergence of nothing. */
const MIN_DIVERGENCE = 1e-12;

/** @throws {RangeError} naming what is not in its range */
export function checkTarget(target: CompressTarget): void {
  const [name, value, least, most] =
    "bits" in target
      ? (["bits", target.bits, 0, 32] as const)
      : "quality" in target
        ? (["quality", target.quality, 0, 100] as const)
        : "divergence" in target
          ? (["divergence", target.divergence, 0, Number.MAX_VALUE] as const)
          : (["maxBytes", target.maxBytes, 1, Infinity] as const);
  if (!(value >= least && value <= most))
    throw new RangeError(`${name}: expected a number from ${least} to ${most}, got ${value}`);
}

/** How far outputs may diverge. */
export function divergenceGoal(limit: number): Goal<Pick<Sized, "judgement">> {
  const log = (value: number) => Math.log2(Math.max(value, MIN_DIVERGENCE));
  return {
    limit: log(limit),
    slack: Math.log2(1 / (1 - DIVERGENCE_SLACK)),
    measure: ({ judgement }) =>
      judgement && !Number.isNaN(judgement.value) ? log(judgement.value) : Infinity,
    slope: 1,
    precision: 0.1,
  };
}

/** @param weights numbers in tensors that may be quantized */
export function goalOf(target: Exclude<CompressTarget, { quality: number }>, weights: number): Goal<Sized> {
  if ("divergence" in target) return divergenceGoal(target.divergence);
  // Half a bit for an octave of lambda.
  const [slope, precision] = [-0.5, 0.002];
  if ("bits" in target) {
    const { bits: limit } = target;
    return { limit, slack: BITS_SLACK * limit, measure: ({ bits }) => bits, slope, precision };
  }
  const { maxBytes: limit } = target;
  const bytesSlope = (slope * Math.max(8, weights)) / 8;
  return { limit, slack: BYTES_SLACK * limit, measure: ({ bytes }) => bytes, slope: bytesSlope, precision };
}
