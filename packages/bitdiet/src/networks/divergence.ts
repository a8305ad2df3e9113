/**
 * How far a model's outputs are from those of the model that it was made of: one number that a search can hold on to.
 *
 *     divergence(outputs, reference); // { kind: "kl", value: 0.012, agreement: 0.99 }
 *
 * Outputs that are distributions are judged by KL divergence: rows (along the last axis) that sum to one, single probabilities, and
 * logits, which only their name or the caller can tell from other numbers. If every output is one, the value is the mean KL(reference
 * || output) of a row in nats. Otherwise it is the relative squared error: the squared error of each output over the variance of its
 * reference, mean over the outputs, distributions among them. So a model with boxes and classes is judged by both.
 */
import {
  distributionsOf,
  isFloatOutput,
  joined,
  logProbabilities,
  type Outputs,
  type Rows,
} from "./distributions.js";

export interface Divergence {
  kind: "kl" | "relative";
  /** 0 if nothing changed; Infinity if numbers came out that are none. */
  value: number;
  /** Share of the rows whose largest entry is where the reference's is; only for distributions. */
  agreement?: number;
  /** Rows that make one answer, whose divergences add up: the steps of a text that is read. Elsewhere 1. */
  steps: number;
}

/** Longer sequences of distributions are places of a picture, not of a text. */
const MAX_STEPS = 512;

/**
 * @param outputs batch by batch
 * @param reference the same of the model that is compared with
 * @param logits whether the outputs are logits; by default those are whose name says so
 * @throws {RangeError} if the two do not have the same outputs of the same shapes
 */
export function divergence(
  outputs: readonly Outputs[],
  reference: readonly Outputs[],
  { logits = false }: { logits?: boolean } = {},
): Divergence {
  if (outputs.length !== reference.length || reference.length === 0)
    throw new RangeError(`outputs: expected ${reference.length} batches, at least 1, got ${outputs.length}`);
  const names = [...reference[0].keys()].filter((name) => isFloatOutput(reference[0].get(name)!));
  if (names.length === 0)
    throw new RangeError(`reference: expected an output of floats, got ${[...reference[0].keys()]}`);
  const pairs = names.map((name) => {
    const [exact, found] = [joined(reference, name), joined(outputs, name)];
    if (exact.values.length !== found.values.length)
      throw new RangeError(
        `outputs: ${name}: expected ${exact.values.length} numbers, got ${found.values.length}`,
      );
    const rows = distributionsOf(exact, logits || /logit/i.test(name));
    return { exact: exact.values, found: found.values, rows };
  });
  const distributions = pairs.filter(({ rows }) => rows !== undefined);
  if (distributions.length < pairs.length)
    return {
      kind: "relative",
      value: mean(pairs.map(({ exact, found }) => relativeError(found, exact))),
      steps: 1,
    };
  const steps = Math.max(...names.map((name) => stepsOf(reference[0].get(name)!.shape)));
  const judged = distributions.map(({ exact, found, rows }) => compareRows(found, exact, rows!));
  const count = judged.reduce((sum, { rows }) => sum + rows, 0);
  if (count === 0) return { kind: "kl", value: 0, agreement: 1, steps }; // outputs without any number
  return {
    kind: "kl",
    value: judged.reduce((sum, { kl }) => sum + kl, 0) / count,
    agreement: judged.reduce((sum, { same }) => sum + same, 0) / count,
    steps,
  };
}

/** Of distributions in [inputs, steps, classes], or with one input in [steps, 1, classes]. */
function stepsOf(shape: readonly number[]): number {
  if (shape.length !== 3 || shape[2] === 1) return 1;
  const steps = shape[1] === 1 ? shape[0] : shape[1];
  return steps > 0 && steps <= MAX_STEPS ? steps : 1;
}

/**
 * Squared error over the variance of the reference: 0 if equal, 1 if the mean would have done as well. What is no number in the
 * reference does not count.
 */
export function relativeError(values: Float32Array, reference: Float32Array): number {
  let [count, sum] = [0, 0];
  for (const value of reference) {
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
  }
  const center = sum / Math.max(1, count);
  let [error, variance] = [0, 0];
  for (let i = 0; i < reference.length; i++) {
    if (!Number.isFinite(reference[i])) continue;
    error += (values[i] - reference[i]) ** 2;
    variance += (reference[i] - center) ** 2;
  }
  if (error === 0) return 0;
  const relative = error / variance;
  return Number.isNaN(relative) ? Infinity : relative;
}

function compareRows(found: Float32Array, exact: Float32Array, { width, isLogits }: NonNullable<Rows>) {
  let [rows, kl, same] = [0, 0, 0];
  for (let from = 0; from < exact.length; from += width, rows++) {
    const p = logProbabilities(exact.subarray(from, from + width), isLogits);
    const q = logProbabilities(found.subarray(from, from + width), isLogits);
    // Not below 0, where rounding would take it when nothing changed.
    kl += Math.max(
      0,
      p.reduce((sum, log, i) => sum + Math.exp(log) * (log - q[i]), 0),
    );
    if (indexOfLargest(p) === indexOfLargest(q)) same++;
  }
  return { rows, kl: Number.isNaN(kl) ? Infinity : kl, same };
}

function indexOfLargest(values: Float64Array): number {
  let index = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[index]) index = i;
  return index;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
