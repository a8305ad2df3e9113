/**
 * What is coded: integers in rows, and rows of kernels. Checks of the arguments, with their defaults.
 *
 *     checkedShape(720, { rowLength: 72, kernel: [3, 3] })   // 10 output channels of 8 kernels each
 */
import { describe } from "@bitdiet/stream";
import type { WeightContexts } from "./contexts.js";
import { areContexts, weightContexts } from "./contexts.js";

/** Signed integers of quantized weights: -(2^31 - 1) .. 2^31 - 1, small ones being cheap. */
export type Integers = Int8Array | Int16Array | Int32Array;

export interface WeightShape {
  /** Weights in one row (one output channel); all rows are equally long. Default: one row. */
  rowLength?: number;
  /** Height and width of the kernels that rows consist of, e.g. [3, 3] for OIHW convolutions. Default: [1, 1]. */
  kernel?: readonly [number, number];
}

/** Any integers as 32-bit ones. */
export function checkedIntegers(integers: Integers): Int32Array {
  if (integers instanceof Int8Array || integers instanceof Int16Array) return new Int32Array(integers);
  if (!(integers instanceof Int32Array)) {
    throw new TypeError(
      `integers: expected an Int8Array, Int16Array or Int32Array, got ${describe(integers)}`,
    );
  }
  const least = integers.indexOf(-(2 ** 31));
  if (least >= 0)
    throw new RangeError(`integers: expected -(2^31 - 1) to 2^31 - 1, got -2^31 at index ${least}`);
  return integers;
}

/** A shape without defaults. */
export interface Rows {
  rowLength: number;
  /** Height and width of the kernels. */
  height: number;
  width: number;
}

/** A shape with its defaults. @throws {RangeError} if it is none of `count` weights */
export function checkedShape(count: number, shape: WeightShape): Rows {
  const { kernel = [1, 1] } = shape;
  const [height, width] = kernel;
  const rowLength = shape.rowLength ?? (count || height * width);
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`count: expected a whole number, got ${count}`);
  }
  if (!(Number.isInteger(rowLength) && rowLength > 0 && count % rowLength === 0)) {
    throw new RangeError(`rowLength: expected a divisor of ${count} weights, got ${rowLength}`);
  }
  const isKernel = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  if (!isKernel || rowLength % (height * width) !== 0) {
    throw new RangeError(`kernel: expected whole kernels in ${rowLength} weights a row, got [${kernel}]`);
  }
  return { rowLength, height, width };
}

/** Contexts of the caller's, or fresh ones. @throws {TypeError} if they are none of `weightContexts()` */
export function checkedContexts(contexts?: WeightContexts): WeightContexts {
  if (contexts === undefined) return weightContexts();
  if (!areContexts(contexts)) throw new TypeError("contexts: expected those of weightContexts()");
  return contexts;
}
