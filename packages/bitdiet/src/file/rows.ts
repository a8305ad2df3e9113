/**
 * Tensors as rows, one a slice along the axis of the output channels, in the order in which the coders see them: an output
 * channel's kernels one after the other, each line by line, however the framework lays out its weights.
 *
 *     rowsOf([3, 3, 16, 32], 3)   // HWIO of TF.js: 32 rows of 16 kernels 3×3, weights 1, 32 and 512 apart
 *     rowsOf([32, 16, 3, 3], 0)   // OIHW of torch: the same rows, already in order
 */

import { elementsOf } from "./numbers.js";

/** Number k of row i, with k = j * extents[2] + l, lies at i * strides[0] + j * strides[1] + l * strides[2] in the tensor. */
export interface Rows {
  extents: [number, number, number];
  strides: [number, number, number];
  /** Height and width of the kernels in a row. */
  kernel: [number, number];
}

/**
 * If the axis is one of the last two of three or more, then the axes before these are the kernel's (HWIO), and a row runs
 * through the other one of the two first. Else a row runs through all other axes in their order (OIHW), and the last two
 * that are not the first two of the tensor are the kernel's.
 */
export function rowsOf(shape: readonly number[], axis: number): Rows {
  const rank = shape.length;
  const product = (from: number, to: number) => elementsOf(shape.slice(from, to));
  const kernelOf = (axes: readonly number[]): [number, number] => [axes.at(-2) ?? 1, axes.at(-1) ?? 1];
  if (rank >= 3 && axis >= rank - 2) {
    const kernels = product(0, rank - 2);
    const other = 2 * rank - 3 - axis;
    const strideOf = (a: number) => (a === rank - 1 ? 1 : shape[rank - 1]);
    return {
      extents: [shape[axis], shape[other], kernels],
      strides: [strideOf(axis), strideOf(other), shape[axis] * shape[other]],
      kernel: kernelOf(shape.slice(0, rank - 2)),
    };
  }
  const rows = shape[axis] ?? 1;
  const inner = product(axis + 1, rank);
  return {
    extents: [rows, product(0, axis), inner],
    strides: [inner, rows * inner, 1],
    kernel: kernelOf(shape.slice(2)),
  };
}

/** Rows that are gathered or scattered together, so that neighbours in memory are touched together. */
const TILE = 32;

/**
 * A tensor's values in rows, one after the other: the order of `QuantizedTensor.integers`. The values are copied.
 *
 *     toRows(Int32Array.of(1, 2, 3, 4, 5, 6), [3, 2], 1)   // [1, 3, 5, 2, 4, 6]
 *
 * @param values in the tensor's own order (row-major)
 * @param axis that of the output channels, 0 .. rank - 1
 */
export function toRows<Values extends Float32Array | Int32Array>(
  values: Values,
  shape: readonly number[],
  axis: number,
): Values {
  const { extents, strides } = rowsOf(shape, axis);
  const [rows, middle, inner] = extents;
  const length = middle * inner;
  const inRows = values.slice() as Values;
  for (let first = 0; first < rows; first += TILE) {
    const last = Math.min(first + TILE, rows);
    for (let j = 0, k = 0; j < middle; j++) {
      for (let l = 0; l < inner; l++, k++) {
        const at = j * strides[1] + l * strides[2];
        for (let i = first; i < last; i++) inRows[i * length + k] = values[at + i * strides[0]];
      }
    }
  }
  return inRows;
}

/**
 * The inverse of `toRows`, each integer times the factor of its row. Bytes are integers as zigzag.ts writes them.
 *
 * @param values where the tensor goes, zeros so far
 * @param factors one per row; integers are those of the rows with a factor other than 0
 */
export function scatterRows(
  values: Float32Array,
  integers: Numbers,
  rows: Rows,
  factors: Float64Array,
): Float32Array {
  rowScatterer(
    values,
    rows,
    factors,
  )({ row: 0, from: 0, columns: rows.extents[1] * rows.extents[2], integers });
  return values;
}

type Numbers = Int32Array | Float32Array | Uint8Array;

/** Some columns of some rows, row after row. */
export interface RowBlock {
  /** The first of the rows, of those that are kept, and of the columns. */
  row: number;
  from: number;
  columns: number;
  integers: Numbers;
}

/** `scatterRows` block by block: what it returns puts one where it belongs. */
export function rowScatterer(
  values: Float32Array,
  { extents, strides }: Rows,
  factors: Float64Array,
): (block: RowBlock) => void {
  const [, middle, inner] = extents;
  const starts = new Int32Array(factors.length);
  const scales = new Float64Array(factors.length);
  let kept = 0;
  for (let row = 0; row < factors.length; row++) {
    if (factors[row] === 0) continue;
    starts[kept] = row * strides[0];
    scales[kept++] = factors[row];
  }
  const places = new Int32Array(middle * inner);
  for (let j = 0, k = 0; j < middle; j++) {
    for (let l = 0; l < inner; l++) places[k++] = j * strides[1] + l * strides[2];
  }
  return (block) => {
    const rows = block.integers.length / block.columns;
    const { row: first, from, columns, integers } = block;
    // Spelled out: a spread takes longer than a small block.
    const all: Scattered = { row: first, from, columns, integers, values, starts, scales, places };
    let row = 0;
    for (; row + 4 <= rows; row += 4) {
      if (block.integers instanceof Uint8Array) scatterFourOfBytes(all, block.integers, row);
      else scatterFour(all, block.integers, row);
    }
    for (; row < rows; row++) scatterOne(all, row);
  };
}

interface Scattered extends RowBlock {
  values: Float32Array;
  /** Of the rows that are kept: the place of their first value, and their factors. */
  starts: Int32Array;
  scales: Float64Array;
  /** Of the values of a row, from its first on. */
  places: Int32Array;
}

/** Rows first .. first + 3 of the block: four at once keep a processor busy that waits for none of them. */
function scatterFour(
  { row, from, columns, values, starts, scales, places }: Scattered,
  integers: Int32Array | Float32Array,
  first: number,
): void {
  const at = row + first;
  const p = starts[at];
  const q = starts[at + 1];
  const r = starts[at + 2];
  const s = starts[at + 3];
  const f = scales[at];
  const g = scales[at + 1];
  const h = scales[at + 2];
  const i = scales[at + 3];
  let a = first * columns;
  let b = a + columns;
  let c = b + columns;
  let d = c + columns;
  const end = from + columns;
  for (let k = from; k < end; k = (k + 1) | 0) {
    const place = places[k];
    values[(p + place) | 0] = integers[a] * f;
    values[(q + place) | 0] = integers[b] * g;
    values[(r + place) | 0] = integers[c] * h;
    values[(s + place) | 0] = integers[d] * i;
    a = (a + 1) | 0;
    b = (b + 1) | 0;
    c = (c + 1) | 0;
    d = (d + 1) | 0;
  }
}

/** The same of integers as zigzag.ts writes them. */
function scatterFourOfBytes(
  { row, from, columns, values, starts, scales, places }: Scattered,
  integers: Uint8Array,
  first: number,
): void {
  const at = row + first;
  const p = starts[at];
  const q = starts[at + 1];
  const r = starts[at + 2];
  const s = starts[at + 3];
  const f = scales[at];
  const g = scales[at + 1];
  const h = scales[at + 2];
  const i = scales[at + 3];
  let a = first * columns;
  let b = a + columns;
  let c = b + columns;
  let d = c + columns;
  const end = from + columns;
  for (let k = from; k < end; k = (k + 1) | 0) {
    const place = places[k];
    values[(p + place) | 0] = ((integers[a] >>> 1) ^ -(integers[a] & 1)) * f;
    values[(q + place) | 0] = ((integers[b] >>> 1) ^ -(integers[b] & 1)) * g;
    values[(r + place) | 0] = ((integers[c] >>> 1) ^ -(integers[c] & 1)) * h;
    values[(s + place) | 0] = ((integers[d] >>> 1) ^ -(integers[d] & 1)) * i;
    a = (a + 1) | 0;
    b = (b + 1) | 0;
    c = (c + 1) | 0;
    d = (d + 1) | 0;
  }
}

function scatterOne(
  { row, from, columns, integers, values, starts, scales, places }: Scattered,
  number: number,
): void {
  const isZigzag = integers instanceof Uint8Array;
  const start = starts[row + number];
  const factor = scales[row + number];
  for (let k = from, at = number * columns; k < from + columns; k++, at++) {
    const integer = integers[at];
    values[start + places[k]] = (isZigzag ? (integer >>> 1) ^ -(integer & 1) : integer) * factor;
  }
}
