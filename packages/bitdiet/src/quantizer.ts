/**
 * Quantizers of training to tensors of a file: `bitdiet/training`. It knows no tensor library, only what its tensors and
 * quantizers look like, those of TensorFlow.js and @bitdiet/fake-quant for instance.
 *
 *     const quantizer = affineQuantizer({ bits: 4, signed: true, scale: 0.5 });
 *     quantizedTensor(quantizer, tf.tensor2d([[0.4, -1.1]]), 1)
 *     // { shape: [1, 2], integers: [1, -2], axis: 1, steps: [0.5] }, which is what fakeQuantize gives: 0.5, -1
 */
import type { QuantizedTensor } from "./file/quantized-tensor.js";
import { toRows } from "./file/rows.js";

export { dequantize, type QuantizedTensor } from "./file/quantized-tensor.js";

/** What is read of a tensor. */
export interface ReadableTensor {
  shape: readonly number[];
  dataSync(): ArrayLike<number>;
}

/** What is needed of a quantizer whose values are `levels[index] * scale`. */
export interface QuantizerOf<T> {
  /** Values of the indices in units of `scale`: whole numbers. */
  levels: ReadableTensor;
  /** One for all, or one for each slice along an axis. */
  scale: ReadableTensor;
  /** Indices of the levels that x falls on. */
  quantize(x: T): ReadableTensor & { dispose(): void };
}

/**
 * The integers and steps whose products are what the quantizer's `fakeQuantize` gives, bit for bit. Where slices have steps
 * of their own, one that is zero everywhere gets the step 0: it is pruned, and takes no bits in a file.
 *
 * @param w values to be quantized
 * @param axis axis of the output channels, along which scales may differ: the last of a tfjs kernel
 * @throws {RangeError} if levels are no whole numbers (a codebook's, which a file of integers and steps cannot hold), if
 *   w holds a value that is no finite number, if the scale is not positive and one for all or for each slice along `axis`, or if
 *   there is no such axis
 */
export function quantizedTensor<T extends ReadableTensor>(
  quantizer: QuantizerOf<T>,
  w: T,
  axis: number,
): QuantizedTensor {
  const { shape } = w;
  if (!(Number.isInteger(axis) && axis >= 0 && axis < Math.max(1, shape.length)))
    throw new RangeError(`axis: expected one of the ${shape.length} axes of [${shape}], got ${axis}`);
  const levels = quantizer.levels.dataSync();
  for (let i = 0; i < levels.length; i++) {
    if (!Number.isInteger(levels[i]))
      throw new RangeError(`levels: expected whole numbers, which a file keeps, got ${levels[i]}`);
  }
  const bad = Array.prototype.find.call(w.dataSync(), (value: number) => !Number.isFinite(value));
  if (bad !== undefined) throw new RangeError(`w: expected finite numbers, got ${bad}`);
  const steps = stepsAlong(quantizer.scale, shape, axis);
  const indices = quantizer.quantize(w);
  const integers = Int32Array.from(indices.dataSync(), (index) => levels[index]);
  indices.dispose();
  const inRows = toRows(integers, shape, axis);
  return {
    shape: [...shape],
    integers: inRows,
    axis,
    steps: steps.length > 1 ? pruned(inRows, steps) : steps,
  };
}

/** @throws {RangeError} unless scales are positive, one for all or one for each slice along the axis */
function stepsAlong(scale: ReadableTensor, shape: readonly number[], axis: number): Float32Array {
  const steps = Float32Array.from(scale.dataSync());
  const padded = [...Array(Math.max(0, shape.length - scale.shape.length)).fill(1), ...scale.shape];
  const fits = padded.every((extent, a) => extent === 1 || (a === axis && extent === shape[axis]));
  if (!(steps.length === 1 || (fits && padded.length === shape.length)))
    throw new RangeError(
      `scale: expected one, or one for each of ${shape[axis]} slices along axis ${axis}, got shape [${scale.shape}]`,
    );
  const bad = steps.find((step) => !(step > 0 && step < Infinity));
  if (bad !== undefined) throw new RangeError(`scale: expected numbers above 0, got ${bad}`);
  return steps;
}

/** The steps, 0 for rows of zeros. */
function pruned(integers: Int32Array, steps: Float32Array): Float32Array {
  const length = integers.length / steps.length;
  return steps.map((step, row) =>
    integers.subarray(row * length, (row + 1) * length).some((integer) => integer !== 0) ? step : 0,
  );
}
