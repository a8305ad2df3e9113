/**
 * Integers as they lie in a tensor that has some.
 *
 *     integerLayout("uint8", [16, 8], { axis: 0, width: 4 });   // 256 integers of 4 bits, in 16 rows
 */
import { type Dtype, dtypeBits, elementCount, type IntegerRows } from "../model.js";
import { type Rows, rowsOf } from "./rows.js";

interface Layout {
  /** Integers in the tensor. */
  count: number;
  bits: number;
  isSigned: boolean;
  rows: Rows;
}

/** @returns undefined where a tensor cannot be integers that lie so */
export function integerLayout(
  dtype: Dtype,
  shape: readonly number[],
  { axis, width }: IntegerRows,
): Layout | undefined {
  const element = dtypeBits[dtype];
  const bits = width === 0 ? element : width;
  const perElement = element / bits;
  const elements = elementCount(shape);
  const count = elements * perElement;
  const isPossible =
    /^u?int/.test(dtype) &&
    [2, 4, 8].includes(bits) &&
    (width === 0 || (element % 8 === 0 && axis === 0 && shape.length > 0)) &&
    axis < Math.max(1, shape.length) &&
    elements > 0 &&
    count < 2 ** 31;
  if (!isPossible) return undefined;
  const isSigned = width === 0 && dtype.startsWith("int");
  const rows = width === 0 ? rowsOf(shape, axis) : rowsOf([shape[0], count / shape[0]], 0);
  return { count, bits, isSigned, rows };
}
