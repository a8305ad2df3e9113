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
  scalar,
  sum,
  type Tensor,
  type Tensor1D,
  tensor,
  tidy,
} from "@tensorflow/tfjs-core";
import {
  dataAtHand,
  histogramOf,
  type SoftAssignment,
  type SoftHistogramOptions,
  softAssignment,
} from "./soft-histogram.js";
import { windowGradient, windowHistogram } from "./window.js";

/** Smallest normal float32: stands for the probability of a level that nothing reaches, whose p log p is 0. */
const TINY = 2 ** -126;

/**
 * Entropy of x softly quantized to the levels, in bits per element: between 0 and log2 of the number of levels.
 * Differentiable in x and in `scale` (first order). Degenerate input and errors are those of `softHistogram`; NaN in x gives NaN.
 *
 * @param x float32 tensor of any shape, not empty
 * @param levels strictly ascending, finite, in units of x, or of `scale`; constants
 */
export function softEntropy(x: Tensor, levels: Tensor1D, options?: SoftHistogramOptions): Scalar {
  return tidy(() => {
    const assignment = softAssignment(x, levels, options);
    const direct = dataAtHand() && assignment.grid.values.length > 1;
    return direct ? entropyByWindow(assignment) : shannonBits(histogramOf(assignment));
  });
}

/**
 * Division, histogram and entropy in one operation: what tfjs spends on an operation, whatever its size, is most of
 * what a small sample costs.
 */
function entropyByWindow({ x, scale, grid, sharpness }: SoftAssignment): Scalar {
  return customGrad<Scalar>(() => {
    const unit = scale ? scale.dataSync()[0] : 1;
    const values = scale ? quotients(x.dataSync<"float32">(), unit) : x.dataSync<"float32">();
    const probabilities = windowHistogram(values, grid, sharpness);
    const bits = new Float64Array(probabilities.length);
    let entropy = 0;
    for (let k = 0; k < bits.length; k++) {
      bits[k] = -Math.log2(Math.max(probabilities[k], TINY));
      entropy += probabilities[k] * bits[k];
    }
    const gradFunc = (dy: Scalar) => {
      const [factor] = dy.dataSync();
      const byValue = windowGradient(values, grid, sharpness, bits);
      let byScale = 0;
      for (let i = 0; i < byValue.length; i++) {
        byValue[i] *= factor / unit;
        // An infinite value has no gradient, and leaves none to the scale.
        if (byValue[i] !== 0) byScale -= byValue[i] * values[i];
      }
      const byX = tensor(byValue, x.shape);
      return scale ? [byX, scalar(byScale)] : byX;
    };
    return { value: scalar(entropy), gradFunc };
  })(...(scale ? [x, scale] : [x]));
}

function quotients(values: Float32Array, divisor: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < result.length; i++) result[i] = values[i] / divisor;
  return result;
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
