/**
 * The surroundings of every weight of a group of rows, for the encoder: plain loops that the decoders unroll. Nothing here depends on
 * how means are weighted, so that an encoder may try several ways.
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

/** @returns the row's mean at its end */
function walkMatrixRow({ local, rowStart }: Walk, row: Int32Array, rows: number, k: number): number {
  let mean = rowStart;
  let left = mean >> 4;
  let second = left;
  for (let j = 0; j < row.length; j++) {
    local[j * rows + k] = ((mean >> 2) + 2 * (left + second)) >> 3;
    const size = Math.abs(asNeighbour(row[j]));
    second = left;
    left = size << 6;
    mean += ((size << 10) - mean) >> 4;
  }
  return mean;
}

/** @returns the row's mean at its end */
function walkKernelRow(walk: Walk, row: Int32Array, rows: number, k: number): number {
  const { local, expected, rowStart, kernelHeight, kernelWidth } = walk;
  let mean = rowStart;
  let absent = 0;
  const valueAt = (j: number, exists: boolean) => (exists ? asNeighbour(row[j]) : 0);
  const sizeAt = (j: number, exists: boolean) => (exists ? Math.abs(asNeighbour(row[j])) << 6 : absent);
  for (let j = 0, y = 0; j < row.length; y = y + 1 === kernelHeight ? 0 : y + 1) {
    absent = mean >> 4;
    for (let x = 0; x < kernelWidth; x++, j++) {
      const above = j - kernelWidth;
      const hasUp = y > 0;
      const hasLeft = x > 0;
      const hasCorner = hasUp && hasLeft;
      const around =
        2 * (sizeAt(j - 1, hasLeft) + sizeAt(above, hasUp)) +
        sizeAt(above - 1, hasCorner) +
        sizeAt(above + 1, hasUp && x + 1 < kernelWidth);
      local[j * rows + k] = (around + (mean >> 3)) >> 3;
      expected[j * rows + k] =
        2 * (valueAt(j - 1, hasLeft) + valueAt(above, hasUp)) - valueAt(above - 1, hasCorner);
      mean += ((Math.abs(asNeighbour(row[j])) << 10) - mean) >> 4;
    }
  }
  return mean;
}
