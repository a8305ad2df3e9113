/**
 * The surroundings of every weight of a group of rows, for the encoder, and of one, for the plain decoder: assembly/ does the same
 * on four rows at once. Nothing here depends on how means are weighted, so that an encoder may try several ways.
 */
import { asNeighbour, columnRate, LANES, meanOfClass } from "./weights-contexts.js";

export interface Walk {
  readonly rowLength: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  group: number;
  /** What the rows of a group start from, and the mean of each column, in units of 1/1024. */
  rowStart: number;
  columnMeans: Int32Array;
  /** Local mean in units of 1/64, and expected value, of the group's weight k of column j, at j * rows + k. */
  local: Uint16Array;
  expected: Int16Array;
  /** Mean of each column before the group, in units of 1/64. */
  columns: Uint16Array;
}

export function startWalk(
  rowLength: number,
  [kernelHeight, kernelWidth]: readonly [number, number],
  meanClass: number,
): Walk {
  return {
    rowLength,
    kernelHeight,
    kernelWidth,
    group: 0,
    rowStart: meanOfClass(meanClass),
    columnMeans: new Int32Array(rowLength).fill(meanOfClass(meanClass)),
    local: new Uint16Array(LANES * rowLength),
    expected: new Int16Array(LANES * rowLength),
    columns: new Uint16Array(rowLength),
  };
}

/** Fills the surroundings of the next `rows` (1 .. 4) rows, which start at `start`, and moves the means on. */
export function walkGroup(walk: Walk, integers: Int32Array, start: number, rows: number): void {
  const { rowLength, columnMeans, columns } = walk;
  const isMatrix = walk.kernelHeight * walk.kernelWidth === 1;
  for (let j = 0; j < rowLength; j++) columns[j] = columnMeans[j] >> 4;
  let ends = 0;
  for (let k = 0; k < rows; k++) {
    const row = integers.subarray(start + k * rowLength, start + (k + 1) * rowLength);
    ends += isMatrix ? walkMatrixRow(walk, row, rows, k) : walkKernelRow(walk, row, rows, k);
  }
  if (rows === LANES) {
    const rate = columnRate(walk.group);
    for (let j = 0, at = start; j < rowLength; j++, at++) {
      let sum = 0;
      for (let k = 0; k < LANES; k++) sum += Math.abs(asNeighbour(integers[at + k * rowLength]));
      columnMeans[j] += (((sum << 8) - columnMeans[j]) * rate) >> 6;
    }
    walk.rowStart = (walk.rowStart + (ends >> 2)) >> 1;
  }
  walk.group++;
}

/** A row's mean after a weight of this size, 0 .. 63. */
export const movedMean = (mean: number, size: number): number => mean + (((size << 10) - mean) >> 4);

const sizeAt = (row: Int32Array, j: number): number => Math.abs(asNeighbour(row[j])) << 6;

/** Mean around weight j of a row without kernels. @param absent size of what is before the row */
export function matrixMean(row: Int32Array, j: number, mean: number, absent: number): number {
  const left = j > 0 ? sizeAt(row, j - 1) : absent;
  const second = j > 1 ? sizeAt(row, j - 2) : absent;
  return ((mean >> 2) + 2 * (left + second)) >> 3;
}

/** Mean around weight j of a row, number x of line y of a kernel. @param absent size of what is outside the kernel */
export function kernelMean(
  row: Int32Array,
  j: number,
  x: number,
  y: number,
  width: number,
  mean: number,
  absent: number,
): number {
  const above = j - width;
  const left = x > 0 ? sizeAt(row, j - 1) : absent;
  const up = y > 0 ? sizeAt(row, above) : absent;
  const corner = y > 0 && x > 0 ? sizeAt(row, above - 1) : absent;
  const right = y > 0 && x + 1 < width ? sizeAt(row, above + 1) : absent;
  return ((mean >> 3) + 2 * (left + up) + corner + right) >> 3;
}

/** What the neighbours in the kernel make likely: 2 left + 2 up - corner. */
export function expectedOf(row: Int32Array, j: number, x: number, y: number, width: number): number {
  const above = j - width;
  const left = x > 0 ? asNeighbour(row[j - 1]) : 0;
  const up = y > 0 ? asNeighbour(row[above]) : 0;
  const corner = y > 0 && x > 0 ? asNeighbour(row[above - 1]) : 0;
  return 2 * (left + up) - corner;
}

/** @returns the row's mean at its end */
function walkMatrixRow({ local, rowStart }: Walk, row: Int32Array, rows: number, k: number): number {
  let mean = rowStart;
  for (let j = 0; j < row.length; j++) {
    local[j * rows + k] = matrixMean(row, j, mean, rowStart >> 4);
    mean = movedMean(mean, Math.abs(asNeighbour(row[j])));
  }
  return mean;
}

/** @returns the row's mean at its end */
function walkKernelRow(walk: Walk, row: Int32Array, rows: number, k: number): number {
  const { local, expected, rowStart, kernelHeight, kernelWidth } = walk;
  let mean = rowStart;
  for (let j = 0, y = 0; j < row.length; y = y + 1 === kernelHeight ? 0 : y + 1) {
    const absent = mean >> 4;
    for (let x = 0; x < kernelWidth; x++, j++) {
      local[j * rows + k] = kernelMean(row, j, x, y, kernelWidth, mean, absent);
      expected[j * rows + k] = expectedOf(row, j, x, y, kernelWidth);
      mean = movedMean(mean, Math.abs(asNeighbour(row[j])));
    }
  }
  return mean;
}
