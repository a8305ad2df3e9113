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
  integers: Int32Array | Float32Array | Uint8Array,
  { extents, strides }: Rows,
  factors: Float64Array,
): Float32Array {
  const [, middle, inner] = extents;
  const starts = new Int32Array(factors.length)
    .map((_, row) => row * strides[0])
    .filter((_, row) => factors[row] !== 0);
  const scales = factors.filter((factor) => factor !== 0);
  if (middle === 1 && strides[2] === 1 && integers instanceof Int32Array)
    return scaledRows(values, integers, starts, scales, inner);
  const places = new Int32Array(middle * inner);
  for (let j = 0, k = 0; j < middle; j++) {
    for (let l = 0; l < inner; l++) places[k++] = j * strides[1] + l * strides[2];
  }
  for (let first = 0; first < starts.length; first += TILE) {
    const last = Math.min(first + TILE, starts.length);
    const done =
      integers instanceof Uint8Array
        ? scatterFours(values, integers, places, starts, scales, first, last)
        : 0;
    scatterOnes(values, integers, places, starts, scales, first, last, done);
  }
  return values;
}

/** Rows that are in order already. */
function scaledRows(
  values: Float32Array,
  integers: Int32Array,
  starts: Int32Array,
  factors: Float64Array,
  length: number,
): Float32Array {
  for (let row = 0, from = 0; row < starts.length; row++) {
    const factor = factors[row];
    const start = starts[row];
    for (let k = 0; k < length; k++) values[start + k] = integers[from++] * factor;
  }
  return values;
}

/** Four integers of each row by one load, of rows first .. last - 1. @returns how many of each row that were */
function scatterFours(
  values: Float32Array,
  integers: Uint8Array,
  places: Int32Array,
  starts: Int32Array,
  factors: Float64Array,
  first: number,
  last: number,
): number {
  const view = new DataView(integers.buffer, integers.byteOffset, integers.length);
  const { length } = places;
  let k = 0;
  for (; k + 4 <= length; k = (k + 4) | 0) {
    const a = places[k];
    const b = places[k + 1];
    const c = places[k + 2];
    const d = places[k + 3];
    for (let i = first, from = (first * length + k) | 0; i < last; i++, from = (from + length) | 0) {
      let four = view.getInt32(from, true);
      const factor = factors[i];
      const start = starts[i];
      values[(start + a) | 0] = (((four >>> 1) & 127) ^ -(four & 1)) * factor;
      four >>>= 8;
      values[(start + b) | 0] = (((four >>> 1) & 127) ^ -(four & 1)) * factor;
      four >>>= 8;
      values[(start + c) | 0] = (((four >>> 1) & 127) ^ -(four & 1)) * factor;
      four >>>= 8;
      values[(start + d) | 0] = (((four >>> 1) & 127) ^ -(four & 1)) * factor;
    }
  }
  return k;
}

/** The same one by one, from number k of each row on. */
function scatterOnes(
  values: Float32Array,
  integers: Int32Array | Float32Array | Uint8Array,
  places: Int32Array,
  starts: Int32Array,
  factors: Float64Array,
  first: number,
  last: number,
  k: number,
): void {
  const { length } = places;
  const isZigzag = integers instanceof Uint8Array;
  for (; k < length; k++) {
    const place = places[k];
    for (let i = first, from = first * length + k; i < last; i++, from += length) {
      const integer = integers[from];
      values[starts[i] + place] = (isZigzag ? (integer >>> 1) ^ -(integer & 1) : integer) * factors[i];
    }
  }
}
