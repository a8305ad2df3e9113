/**
 * The noun of this package: a quantizer is three functions, plus the two tensors that say what its integers mean.
 *
 *     value = levels[index] * scale
 *
 * `quantize` gives the index, an integer in 0 .. levels.length - 1, ready for an entropy coder. A decoder needs no
 * quantizer, only `levels` and `scale`. With levels [-1, 0, 1] and scale 0.5, index 2 means 0.5.
 */
import type { Tensor, Tensor1D } from "@tensorflow/tfjs-core";

export interface Quantizer {
  /** Ascending values of the indices in units of `scale`, float32, one an index. */
  levels: Tensor1D;
  /**
   * What a level is multiplied by; broadcasts against x. When the quantizer was built from a tensor this is that tensor
   * or was computed from it, so a loss of `x / scale` reaches it with its gradient.
   */
  scale: Tensor;
  /** Indices of the levels x falls on: int32, of x's shape. No gradient. */
  quantize(x: Tensor): Tensor;
  /** `levels[indices] * scale`: float32, of the indices' shape. Indices beyond the levels are the caller's mistake. */
  dequantize(indices: Tensor): Tensor;
  /** Exactly `dequantize(quantize(x))`, bit for bit, with a straight-through gradient to x (and to what is learned). */
  fakeQuantize<T extends Tensor>(x: T): T;
}
