/**
 * Linear transforms along rows: what a file holds of them, and coefficients back to values. FORMAT.md, "Transform".
 *
 *     synthesized(Float32Array.of(2, 1), { rows: 2, size: 2, floats: Float32Array.of(1, 1, 1, -1), offset: 0 })   // 3, 1
 */
import { must } from "./errors.js";
import { readLossless, writeLossless } from "./lossless.js";
import { elementsOf, join, type Reader } from "./numbers.js";
import type { QuantizedTensor } from "./quantized-tensor.js";

/**
 * A transform as dct-transform has it, and the shape of the values. The quantized tensor beside it then is the matrix of
 * coefficients: one row per slice of the values along `axis`, in which every `size` neighbours, in the order of FORMAT.md, became `rows`.
 */
export interface RowTransform {
  shape: readonly number[];
  axis: number;
  rows: number;
  size: number;
  /** rows × size; row k is what coefficient k adds to the values: `synthesis` of dct-transform, its `basis` where that is absent. */
  synthesis: Float32Array;
  /** `size` values; zeros if absent. */
  mean?: Float32Array;
}

/** What an entry says of a transform. */
export interface TransformEntry {
  rows: number;
  size: number;
  hasMean: boolean;
}

/** Coefficients to values: every `rows` of them to `size`. */
export interface Synthesis {
  rows: number;
  size: number;
  floats: Float32Array;
  /** Where the synthesis starts, after the mean if there is one. */
  offset: number;
}

/** Whether rows of so many values are whole samples of it. */
export const fitsRows = ({ rows, size }: { rows: number; size: number }, rowLength: number): boolean =>
  rows > 0 && rows <= size && rowLength % size === 0;

/** Bytes of a transform: no part of a tensor, but memory. */
export const transformBytes = (transform?: TransformEntry): number =>
  transform ? 4 * transform.size * (transform.rows + (transform.hasMean ? 1 : 0)) : 0;

export function readTransform(reader: Reader, transform: TransformEntry): Synthesis {
  const { rows, size, hasMean } = transform;
  const floats = new Float32Array(readLossless(reader, "float32", transformBytes(transform)).buffer);
  return { rows, size, floats, offset: hasMean ? size : 0 };
}

/** Mean and synthesis, bit by bit. */
export function writeTransform({ synthesis, mean = new Float32Array(0) }: RowTransform): Uint8Array {
  const bytes = [mean, synthesis].map((floats) => new Uint8Array(floats.slice().buffer));
  return writeLossless(join(bytes), "float32");
}

/** Each sample is the mean plus the sum of the coefficients' vectors, in float64. */
export function synthesized(
  coefficients: Float32Array,
  { rows, size, floats, offset }: Synthesis,
): Float32Array {
  must(coefficients.length % rows === 0);
  const values = new Float32Array((coefficients.length / rows) * size);
  for (let at = 0, from = 0; at < values.length; at += size, from += rows) {
    for (let i = 0; i < size; i++) {
      let sum = offset && floats[i];
      for (let k = 0; k < rows; k++) sum += coefficients[from + k] * floats[offset + k * size + i];
      values[at + i] = sum;
    }
  }
  return values;
}

/** @throws {RangeError} or {TypeError} unless the transform and the coefficients fit each other */
export function checkTransform(
  { shape, axis, rows, size, synthesis, mean }: RowTransform,
  quantized: QuantizedTensor,
): void {
  const slices = shape[axis] ?? 1;
  const length = elementsOf(shape) / slices;
  if (!(Number.isInteger(length / size) && fitsRows({ rows, size }, length)))
    throw new RangeError(`transform: expected samples of ${size} in slices of [${shape}] along axis ${axis}`);
  const expected = [slices, (length / size) * rows];
  if (quantized.axis !== 0 || `${quantized.shape}` !== `${expected}`)
    throw new RangeError(`quantized: expected coefficients [${expected}], got [${quantized.shape}]`);
  if (!(synthesis instanceof Float32Array && synthesis.length === rows * size))
    throw new TypeError(`transform.synthesis: expected a Float32Array of ${rows} × ${size}`);
  if (mean !== undefined && !(mean instanceof Float32Array && mean.length === size))
    throw new TypeError(`transform.mean: expected a Float32Array of ${size}`);
}
