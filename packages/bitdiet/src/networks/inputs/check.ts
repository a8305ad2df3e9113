/**
 * Whether calibration inputs can be what a model was made for: numbers, more than one, of the range that its normalisation expects.
 *
 *     checkInputs(feeds); // ["inputs: 12 of 200 are equal to the first"]
 */

import type { RunData } from "../runner.js";
import type { TrainingDistance } from "../tfjs/training-distance.js";
import type { Feeds } from "./made-up.js";
import { isState } from "./states.js";

/** Squares of larger inputs are no float32 any more. */
const MAX_INPUT = 1e15;
/** Fewer inputs give second moments of little meaning. */
const FEW = 16;
/** Outputs this many times larger or smaller than in training, or this many deviations away, are a word worth. */
const MAX_RATIO = 3;
const MAX_SHIFT = 2;

/**
 * @param feeds any number of inputs in each, along the first axis
 * @returns what is strange about them, in words with numbers
 * @throws {RangeError} if a number is none or too large, or all are the same
 */
export function checkInputs(feeds: readonly Feeds[]): string[] {
  const warnings: string[] = [];
  if (feeds.length === 0) throw new RangeError("inputs: expected some, got none");
  const count = feeds.reduce((sum, feed) => sum + ([...feed.values()][0]?.shape[0] ?? 1), 0);
  if (count < FEW) warnings.push(`inputs: ${count} are few; a hundred or more tell what a model sees`);
  let isConstant = true;
  for (const [name, { dtype }] of feeds[0]) {
    const rows = rowsOf(feeds, name);
    const [first] = rows[0] ?? [];
    if (rows.some((row) => row.some((value) => value !== first))) isConstant = false;
    // Masks, types and states that are all alike are nothing strange.
    if (dtype === "float32" && !isState(name)) warnings.push(...checkFloats(name, rows as Float32Array[]));
  }
  if (isConstant) {
    const [name] = feeds[0].keys();
    throw new RangeError(
      `inputs: expected numbers that differ, got ${rowsOf(feeds, name)[0]?.[0]} everywhere`,
    );
  }
  return warnings;
}

function checkFloats(name: string, rows: readonly Float32Array[]): string[] {
  const warnings: string[] = [];
  for (const [index, row] of rows.entries()) {
    const bad = row.findIndex((value) => !(Math.abs(value) <= MAX_INPUT));
    if (bad >= 0)
      throw new RangeError(
        `inputs: ${name}: expected numbers up to ${MAX_INPUT}, got ${row[bad]} at ${bad} of number ${index}`,
      );
  }
  const constant = rows.filter((row) => row.every((value) => value === row[0])).length;
  if (constant > 0 && constant < rows.length && rows[0].length > 1)
    warnings.push(`inputs: ${name}: ${constant} of ${rows.length} hold one number only`);
  const equal = rows.slice(1).filter((row) => row.every((value, i) => value === rows[0][i])).length;
  if (equal > 0 && rows[0].length > 1)
    warnings.push(`inputs: ${name}: ${equal} of ${rows.length} are equal to the first`);
  return warnings;
}

/** An input of numbers, one by one. */
function rowsOf(feeds: readonly Feeds[], name: string): Exclude<RunData, string[]>[] {
  return feeds.flatMap((feed) => {
    const { shape, data } = feed.get(name)!;
    if (Array.isArray(data)) return [];
    const [count = 1] = shape;
    const size = data.length / count;
    return Array.from({ length: count }, (_, i) => data.subarray(i * size, (i + 1) * size));
  });
}

/**
 * A word about inputs in a range that the model was not trained for; undefined if all is well, or nothing is known.
 *
 * @param distance of the first layer's outputs from what they were in training
 */
export function rangeWarning(distance: TrainingDistance | undefined): string | undefined {
  if (!distance) return undefined;
  const { layer, ratio, shift } = distance;
  if (ratio < MAX_RATIO && ratio > 1 / MAX_RATIO && shift < MAX_SHIFT) return undefined;
  return (
    `inputs: ${layer} varies ${ratio.toPrecision(2)} times as much as in training and is off by ` +
    `${shift.toPrecision(2)} deviations: are they normalised as the model expects?`
  );
}
