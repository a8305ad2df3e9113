/**
 * A tensor as integers with steps: what a quantizer hands to the file, and what the file gives back.
 *
 *     dequantize({ shape: [2, 3], levels: Int32Array.of(1, 0, -2, 4, 4, 0), axis: 0, steps: Float32Array.of(0.5, 0.25) })
 *     // Float32Array [0.5, 0, -1, 1, 1, 0]
 */

/** Integers with one step for all, or one for each slice along an axis: value = level * step. */
export interface QuantizedTensor {
  shape: readonly number[];
  /** In the order of the tensor itself (row-major). -(2^31 - 1) .. 2^31 - 1 */
  levels: Int32Array;
  /**
   * The axis along which steps differ, 0 .. rank - 1: that of the output channels, which is 0 of OIHW and of torch's Linear,
   * the last of HWIO and of TF.js. The slices along it are the rows that are coded. 0 for a scalar.
   */
  axis: number;
  /**
   * One step for the whole tensor (length 1), or one for each slice along the axis: exactly the float32 numbers that a decoder
   * gets. 0 prunes: levels of such a slice count for nothing and take no bits.
   */
  steps: Float32Array;
}

/**
 * The values, in the order of the levels, each the product rounded to float32.
 *
 * @throws {RangeError} unless there are as many levels as the shape says, and 1 step or one for each slice
 */
export function dequantize(tensor: QuantizedTensor): Float32Array {
  const { levels, steps } = checkedQuantized(tensor);
  const values = new Float32Array(levels.length);
  const rows = tensor.shape[tensor.axis] ?? 1;
  const inner = tensor.shape.slice(tensor.axis + 1).reduce((a, b) => a * b, 1);
  for (let i = 0, row = 0; i < levels.length; row = row + 1 === rows ? 0 : row + 1) {
    const step = steps.length === 1 ? steps[0] : steps[row];
    for (const end = i + inner; i < end; i++) values[i] = levels[i] * step;
  }
  return values;
}

/** The tensor itself, if its parts fit each other. */
export function checkedQuantized(tensor: QuantizedTensor): QuantizedTensor {
  const { shape, levels, axis, steps } = tensor;
  if (!(levels instanceof Int32Array))
    throw new TypeError(`levels: expected an Int32Array, got ${typeof levels}`);
  if (!(steps instanceof Float32Array))
    throw new TypeError(`steps: expected a Float32Array, got ${typeof steps}`);
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
    throw new RangeError(`shape: expected whole numbers, got [${shape}]`);
  const size = shape.reduce((a, b) => a * b, 1);
  if (levels.length !== size)
    throw new RangeError(`levels: expected ${size} for the shape [${shape}], got ${levels.length}`);
  if (!(Number.isInteger(axis) && axis >= 0 && axis < Math.max(1, shape.length)))
    throw new RangeError(`axis: expected one of the ${shape.length} axes of [${shape}], got ${axis}`);
  const rows = shape[axis] ?? 1;
  if (steps.length !== 1 && steps.length !== rows)
    throw new RangeError(`steps: expected 1, or ${rows} along axis ${axis}, got ${steps.length}`);
  const bad = steps.findIndex((step) => !(step >= 0 && step < Infinity));
  if (bad >= 0)
    throw new RangeError(`steps[${bad}]: expected a finite number of at least 0, got ${steps[bad]}`);
  return tensor;
}
