/**
 * The affine (uniform) quantizer: index = clamp(round(x / scale) + zeroPoint), value = (index - zeroPoint) * scale.
 *
 * A scale that is a tensor is learned, with the gradient of learned step size quantization (LSQ; Esser et al. 2020,
 * arXiv 1902.08153, eq. 3): per element, with v = x / scale,
 *
 *     d value / d scale = low if v < low;  high if v > high;  round(v) - v otherwise
 *     d value / d x     = 1 if low <= v <= high;  0 otherwise
 *
 * Four bits, scale 0.1: x = 0.26 has v = 2.6, index 3, value 0.3 and d value / d scale = 0.4.
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { type Bounds, sliceBounds, wholeBounds } from "./bounds.js";
import type { Quantizer } from "./quantizer.js";
import { levelRange, uniformQuantizer } from "./uniform.js";

export interface AffineOptions {
  /**
   * Bit width of an index, 1 .. 16 (2 .. 16 if signed), or 0: pruned, the value 0 for every x. A list has one width for
   * each slice of x along `axis`.
   */
  bits: number | ArrayLike<number>;
  /** Axis along which a list of `bits` lies, negative from the last; -1 by default, the output channels of a kernel. */
  axis?: number;
  /**
   * false (the default): 2^bits levels from 0 up. true: 2^bits - 1 levels, symmetric about 0. The level that two's
   * complement has beyond -high is left out, so a zero-centred weight has a zero-centred code.
   */
  signed?: boolean;
  /**
   * Distance between levels, positive. A number is a constant. A tensor gets the gradient above, and its shape says
   * what it belongs to, as it broadcasts against x: [] the whole tensor, [C] the last axis, [C, 1, 1, 1] the first
   * of four. Not checked: reading a tensor's values would stall a GPU.
   */
  scale: number | Tensor;
  /**
   * Index whose value is 0, an integer in 0 .. 2^bits - 1; 0 by default. Not for signed grids. A list has one for each
   * width of a list of `bits`: 2^(bits - 1) for each gives the levels of two's complement.
   */
  zeroPoint?: number | ArrayLike<number>;
}

/**
 * Uniform quantizer of 2^bits levels (2^bits - 1 if signed). Building one costs next to nothing, so a training step
 * rebuilds it: `affineQuantizer({ bits: 4, scale: tf.div(tf.abs(clip), 15) })`.
 *
 * With a list of widths, `levels` are those of the widest slice, and the same index means the same value (by its scale)
 * in every slice: `affineQuantizer({ bits: [4, 0, 2], signed: true, scale })` prunes the second of three channels.
 *
 * NaN has no level: it takes the lowest of its slice. Its gradient is NaN.
 *
 * The quantizer owns `levels`, and `scale` if that was given as a number: use it within `tf.tidy`, or dispose them.
 *
 * @throws {RangeError} if bits, axis, zeroPoint or a number given as scale is out of range; on use, if x has not as many
 *   slices as bits has widths
 * @throws {TypeError} if scale is neither number nor tensor
 */
export function affineQuantizer(options: AffineOptions): Quantizer {
  return uniformQuantizer(boundsOf(options), options.scale, true);
}

function boundsOf({ bits, axis, signed, zeroPoint }: AffineOptions): Bounds {
  if (typeof bits !== "object" || bits === null) {
    if (axis !== undefined) throw new RangeError(`axis: expected none beside one bit width, got ${axis}`);
    if (typeof zeroPoint === "object")
      throw new RangeError("zeroPoint: expected a number beside one bit width");
    const { low, high } = rangeOf(bits, signed, zeroPoint);
    return wholeBounds(low, high);
  }
  if (bits.length === 0)
    throw new RangeError("bits: expected a width or a list of widths, got an empty list");
  if (axis !== undefined && !Number.isInteger(axis)) {
    throw new RangeError(`axis: expected an integer, got ${axis}`);
  }
  if (typeof zeroPoint === "object" && zeroPoint.length !== bits.length) {
    throw new RangeError(
      `zeroPoint: expected ${bits.length} numbers, one per width, got ${zeroPoint.length}`,
    );
  }
  const slices = Array.from(bits, (width, i) =>
    rangeOf(width, signed, typeof zeroPoint === "object" ? zeroPoint[i] : zeroPoint, `[${i}]`),
  );
  return sliceBounds(slices, axis ?? -1);
}

/** Levels of one width, 0 included; `at` is where it stands in a list, for messages. */
function rangeOf(bits: number, signed?: boolean, zeroPoint?: number, at = ""): { low: number; high: number } {
  if (bits === 0) return { low: 0, high: 0 };
  return levelRange({ bits, signed, zeroPoint }, at);
}
