/**
 * What is coded: integers in rows, and rows of kernels. Checks of the arguments, with their defaults.
 *
 *     checkedOptions(720, { rowLength: 72, kernel: [3, 3] })   // 10 output channels of 8 kernels each
 */
import type { WeightContexts } from "./contexts.js";
import { areContexts, weightContexts } from "./contexts.js";

export type Levels = Int8Array | Int16Array | Int32Array;

export interface WeightShape {
  /** Weights in one row (one output channel); all rows are equally long. Default: one row. */
  rowLength?: number;
  /** Height and width of the kernels that rows consist of, e.g. [3, 3] for OIHW convolutions. Default: [1, 1]. */
  kernel?: readonly [number, number];
}

export interface WeightOptions extends WeightShape {
  /** Adaptive probabilities to start from and to leave the learned ones in. Default: fresh ones, `weightContexts()`. */
  contexts?: WeightContexts;
}

/** The levels as 32-bit integers. */
export function checkedLevels(levels: Levels): Int32Array {
  if (levels instanceof Int8Array || levels instanceof Int16Array) return new Int32Array(levels);
  if (!(levels instanceof Int32Array)) {
    throw new TypeError(`levels: expected an Int8Array, Int16Array or Int32Array, got ${typeof levels}`);
  }
  const least = levels.indexOf(-(2 ** 31));
  if (least >= 0)
    throw new RangeError(`levels: expected -(2^31 - 1) to 2^31 - 1, got -2^31 at index ${least}`);
  return levels;
}

/** The options with their defaults. @throws RangeError if the shape is none of `count` weights */
export function checkedOptions(
  count: number,
  options: WeightOptions,
): { contexts: WeightContexts; rowLength: number; height: number; width: number } {
  const { kernel = [1, 1], contexts = weightContexts() } = options;
  const [height, width] = kernel;
  const rowLength = options.rowLength ?? (count || height * width);
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`count: expected a whole number, got ${count}`);
  }
  if (options.contexts !== undefined && !areContexts(contexts))
    throw new TypeError("contexts: expected those of weightContexts()");
  if (!(Number.isInteger(rowLength) && rowLength > 0 && count % rowLength === 0)) {
    throw new RangeError(`rowLength: expected a divisor of ${count} weights, got ${rowLength}`);
  }
  const isKernel = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  if (!isKernel || rowLength % (height * width) !== 0) {
    throw new RangeError(`kernel: expected whole kernels in ${rowLength} weights a row, got [${kernel}]`);
  }
  return { contexts, rowLength, height, width };
}
