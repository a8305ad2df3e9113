/**
 * A tensor as integers with steps: what a quantizer hands to the file, and what the file gives back.
 *
 *     dequantize({ shape: [2, 3], integers: Int32Array.of(1, 0, -2, 4, 4, 0), axis: 0, steps: Float32Array.of(0.5, 0.25) })
 *     // Float32Array [0.5, 0, -1, 1, 1, 0]
 */
import { elementsOf } from "./numbers.js";
import { rowsOf, scatterRows } from "./rows.js";

/** Integers in rows, with one step for all or one for each row: value = integer * step, rounded once to float32. */
export interface QuantizedTensor {
  shape: readonly number[];
  /** -(2^31 - 1) .. 2^31 - 1, row after row, all of them: the order of `toRows(values, shape, axis)`. */
  integers: Int32Array;
  /**
   * The axis along which steps differ, 0 .. rank - 1: that of the output channels, which is 0 of OIHW and of torch's Linear,
   * the last of HWIO and of TF.js. The slices along it are the rows. 0 for a scalar.
   */
  axis: number;
  /**
   * One step for the whole tensor (length 1), or one per row: exactly the float32 numbers that a decoder gets. 0 prunes:
   * integers of such a row count for nothing and take no bits.
   */
  steps: Float32Array;
}

/**
 * The values in the order of the tensor (row-major), each the product rounded to float32.
 *
 * @throws {RangeError} unless there are as many integers as the shape says, and 1 step or one per row
 */
export function dequantize(tensor: QuantizedTensor): Float32Array {
  const { shape, integers, axis, steps } = checkedQuantized(tensor);
  const layout = rowsOf(shape, axis);
  const [rows] = layout.extents;
  const factors = new Float64Array(rows).map((_, row) => steps[row] ?? steps[0]);
  return scatterRows(new Float32Array(integers.length), keptRows(tensor), layout, factors);
}

/** Integers of the rows whose step is not 0, row after row. */
export function keptRows({ shape, integers, axis, steps }: QuantizedTensor): Int32Array {
  if (steps.every((step) => step !== 0)) return integers;
  if (steps.length === 1) return new Int32Array(0);
  const length = integers.length / (shape[axis] ?? 1);
  const kept = integers.slice();
  let at = 0;
  for (let row = 0; row < steps.length; row++) {
    if (steps[row] === 0) continue;
    kept.copyWithin(at, row * length, (row + 1) * length);
    at += length;
  }
  return kept.subarray(0, at);
}

/** The inverse of `keptRows`: zeros in the rows of step 0. @param kept integers of the other rows */
export function allRows(kept: Int32Array, size: number, rows: number, steps: Float32Array): Int32Array {
  if (kept.length === size) return kept;
  const integers = new Int32Array(size);
  const length = size / rows;
  for (let row = 0, at = 0; row < steps.length && steps.length > 1; row++) {
    if (steps[row] === 0) continue;
    integers.set(kept.subarray(at, at + length), row * length);
    at += length;
  }
  return integers;
}

/** @throws {RangeError} unless all extents are numbers that a file can hold */
export function checkShape(shape: readonly number[]): void {
  // Also holes, which `every` leaves out.
  const isFine = Array.isArray(shape) && Array.from(shape).every(isExtent);
  if (!isFine) throw new RangeError(`shape: expected whole numbers below 2^49, got [${shape}]`);
}

const isExtent = (extent: unknown): boolean =>
  Number.isInteger(extent) && (extent as number) >= 0 && (extent as number) < 2 ** 49;

/** The tensor itself, if its parts fit each other. */
export function checkedQuantized(tensor: QuantizedTensor): QuantizedTensor {
  const { shape, integers, axis, steps } = tensor;
  if (!(integers instanceof Int32Array))
    throw new TypeError(`integers: expected an Int32Array, got ${typeof integers}`);
  if (!(steps instanceof Float32Array))
    throw new TypeError(`steps: expected a Float32Array, got ${typeof steps}`);
  checkShape(shape);
  const size = elementsOf(shape);
  if (integers.length !== size)
    throw new RangeError(`integers: expected ${size} for the shape [${shape}], got ${integers.length}`);
  if (!(Number.isInteger(axis) && axis >= 0 && axis < Math.max(1, shape.length)))
    throw new RangeError(`axis: expected one of the ${shape.length} axes of [${shape}], got ${axis}`);
  const rows = shape[axis] ?? 1;
  if (steps.length !== 1 && steps.length !== rows)
    throw new RangeError(`steps: expected 1, or ${rows} along axis ${axis}, got ${steps.length}`);
  const beyond = integers.indexOf(-(2 ** 31));
  if (beyond >= 0)
    throw new RangeError(`integers: expected -(2^31 - 1) to 2^31 - 1, got -2^31 at index ${beyond}`);
  const bad = steps.findIndex((step) => !(step >= 0 && step < Infinity));
  if (bad >= 0)
    throw new RangeError(`steps[${bad}]: expected a finite number of at least 0, got ${steps[bad]}`);
  return tensor;
}
