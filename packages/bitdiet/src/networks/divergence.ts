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
import { floatValues } from "../formats/floats.js";
import type { RunTensor } from "./runner.js";

export interface Divergence {
  kind: "kl" | "relative";
  /** 0 if nothing changed; Infinity if numbers came out that are none. */
  value: number;
  /** Share of the rows whose largest entry is where the reference's is; only for distributions. */
  agreement?: number;
}

/** Outputs of one batch, by name, as a runner gives them. */
type Outputs = ReadonlyMap<string, RunTensor>;

/** How far rows of probabilities may be from a sum of one: what half floats leave of it. */
const SUM_TOLERANCE = 4e-3;
/** No probability counts as less: KL divergence of float32 softmaxes would else be infinite where they end in 0. */
const MIN_PROBABILITY = 1e-12;

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
  const names = [...reference[0].keys()].filter((name) => isFloat(reference[0].get(name)!));
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
    return { kind: "relative", value: mean(pairs.map(({ exact, found }) => relativeError(found, exact))) };
  const judged = distributions.map(({ exact, found, rows }) => compareRows(found, exact, rows!));
  const count = judged.reduce((sum, { rows }) => sum + rows, 0);
  if (count === 0) return { kind: "kl", value: 0, agreement: 1 }; // outputs without any number
  return {
    kind: "kl",
    value: judged.reduce((sum, { kl }) => sum + kl, 0) / count,
    agreement: judged.reduce((sum, { same }) => sum + same, 0) / count,
  };
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

function isFloat({ dtype }: RunTensor): boolean {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64";
}

/** An output of all batches, one after another, as rows along the last axis. */
function joined(batches: readonly Outputs[], name: string): { values: Float32Array; width: number } {
  const parts = batches.map((batch) => {
    const tensor = batch.get(name);
    if (!tensor) throw new RangeError(`outputs: expected ${name}, got ${[...batch.keys()]}`);
    return numbersOf(tensor);
  });
  const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { values, width: batches[0].get(name)!.shape.at(-1) ?? 1 };
}

function numbersOf({ dtype, data }: RunTensor): Float32Array {
  if (dtype === "float32") return data as Float32Array;
  if (dtype === "float64") return Float32Array.from(data as Float64Array);
  const bits = data as Uint16Array;
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  return floatValues(dtype as "float16" | "bfloat16", bytes);
}

/** How to read an output as distributions; undefined if it holds none. */
type Rows = { width: number; isLogits: boolean } | undefined;

function distributionsOf(
  { values, width }: { values: Float32Array; width: number },
  isLogits: boolean,
): Rows {
  if (isLogits) return width > 1 ? { width, isLogits } : undefined;
  if (!values.every((value) => value >= 0 && value <= 1 + SUM_TOLERANCE)) return undefined;
  // A probability alone, of yes against no. All 0 or all 1 may be anything.
  if (width === 1) return values.some((value) => value > 0 && value < 1) ? { width, isLogits } : undefined;
  for (let from = 0; from < values.length; from += width) {
    let sum = 0;
    for (let i = from; i < from + width; i++) sum += values[i];
    if (Math.abs(sum - 1) > SUM_TOLERANCE) return undefined;
  }
  return { width, isLogits };
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

function logProbabilities(row: Float32Array, isLogits: boolean): Float64Array {
  const log = (p: number) => Math.log(Math.max(p, MIN_PROBABILITY));
  if (!isLogits) return Float64Array.from(row.length === 1 ? [row[0], 1 - row[0]] : row, log);
  let largest = -Infinity;
  for (const value of row) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  return Float64Array.from(row, (value) => value - largest - Math.log(sum));
}

function indexOfLargest(values: Float64Array): number {
  let index = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[index]) index = i;
  return index;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
