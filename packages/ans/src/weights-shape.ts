/**
 * What is coded: integers in rows, and rows of kernels. Checks of the arguments, with their defaults.
 *
 *     checkedShape(720, { rowLength: 72, kernel: [3, 3] })   // 10 output channels of 8 kernels each
 */
export interface WeightShape {
  /** Weights in one row (one output channel); all rows are equally long. Default: one row. */
  rowLength?: number;
  /** Height and width of the kernels that rows consist of, e.g. [3, 3] for OIHW convolutions. Default: [1, 1]. */
  kernel?: readonly [number, number];
}

/** A shape without defaults. */
export interface Rows {
  rowLength: number;
  /** Height and width of the kernels. */
  height: number;
  width: number;
}

/** The shape with its defaults. @throws {RangeError} if it is none of `count` weights */
export function checkedShape(
  count: number,
  { rowLength, kernel: [height, width] = [1, 1] }: WeightShape,
): Rows {
  const length = rowLength ?? (count || height * width);
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`count: expected a whole number, got ${count}`);
  }
  if (!(Number.isInteger(length) && length > 0 && count % length === 0)) {
    throw new RangeError(`rowLength: expected a divisor of ${count} weights, got ${length}`);
  }
  const isKernel = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  if (!isKernel || length % (height * width) !== 0) {
    throw new RangeError(
      `kernel: expected whole kernels in ${length} weights a row, got [${height},${width}]`,
    );
  }
  return { rowLength: length, height, width };
}
