/**
 * Outputs as rows of numbers, and what of them are distributions: rows (along the last axis) that sum to one, single probabilities, and
 * logits, which only their name or the caller can tell from other numbers.
 *
 *     const { values, width } = joined(batches, "scores");
 *     distributionsOf({ values, width }, false); // { width: 1000, isLogits: false }
 */
import { floatValues } from "../formats/floats.js";
import type { RunTensor } from "./runner.js";

/** Outputs of one batch, by name, as a runner gives them. */
export type Outputs = ReadonlyMap<string, RunTensor>;

/** How far rows of probabilities may be from a sum of one: what half floats leave of it. */
const SUM_TOLERANCE = 4e-3;
/** No probability counts as less: KL divergence of float32 softmaxes would else be infinite where they end in 0. */
const MIN_PROBABILITY = 1e-12;

export function isFloatOutput({ dtype }: RunTensor): boolean {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64";
}

/** An output of all batches, one after another, as rows along the last axis. */
export function joined(batches: readonly Outputs[], name: string): { values: Float32Array; width: number } {
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
export type Rows = { width: number; isLogits: boolean } | undefined;

export function distributionsOf(
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

/** Natural logarithms of a row's probabilities; of a single one also that of its opposite. */
export function logProbabilities(row: Float32Array, isLogits: boolean): Float64Array {
  const log = (p: number) => Math.log(Math.max(p, MIN_PROBABILITY));
  if (!isLogits) return Float64Array.from(row.length === 1 ? [row[0], 1 - row[0]] : row, log);
  let largest = -Infinity;
  for (const value of row) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  return Float64Array.from(row, (value) => value - largest - Math.log(sum));
}
