/**
 * Soft entropy (CAT, JMLR 22, 2021): the Shannon entropy of the soft histogram, H = -sum_j p_j log2 p_j. It is what an
 * ideal order-0 code would spend on the rounded values, made differentiable: dH/dx pulls values near a decision
 * boundary towards the more probable side.
 *
 * x = [0, 0.3, 0.6, 1.35, 2.7, 3], levels 0..3: H = 1.6525 bits at T = 10, log2 3 = 1.5850 (counting) at T = 100
 */
import {
  customGrad,
  log,
  maximum,
  mul,
  type Scalar,
  sum,
  type Tensor,
  type Tensor1D,
  tidy,
} from "@tensorflow/tfjs-core";
import { type SoftHistogramOptions, softHistogram } from "./soft-histogram.js";

/** Smallest normal float32: stands for the probability of a level that nothing reaches, whose p log p is 0. */
const TINY = 2 ** -126;

/**
 * Entropy of x softly quantized to the levels, in bits per element: between 0 and log2 of the number of levels.
 * Differentiable in x (first order). Degenerate input and errors are those of `softHistogram`; NaN in x gives NaN.
 *
 * @param x float32 tensor of any shape, not empty
 * @param levels strictly ascending, finite, in units of x; constants
 */
export function softEntropy(x: Tensor, levels: Tensor1D, options?: SoftHistogramOptions): Scalar {
  return tidy(() => shannonBits(softHistogram(x, levels, options)));
}

/**
 * -sum p log2 p. Its derivative is -log2 p less a constant, which is left out: probabilities always sum to 1, so a
 * gradient that is the same for all of them moves nothing. The clamp keeps it finite where p = 0.
 */
function shannonBits(probabilities: Tensor1D): Scalar {
  return customGrad<Scalar>((input, save) => {
    const p = input as Tensor1D;
    const bits = mul(log(maximum(p, TINY)), -Math.LOG2E);
    (save as (tensors: Tensor[]) => void)([bits]);
    return { value: sum(mul(p, bits)), gradFunc: (dy: Scalar, [saved]: Tensor[]) => mul(saved, dy) };
  })(probabilities);
}
