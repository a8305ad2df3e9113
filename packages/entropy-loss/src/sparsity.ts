/**
 * The ratio of the L1 to the L2 norm as a cheap stand-in for entropy (CAT's "compression" baseline): small where few
 * elements carry the tensor. It knows neither levels nor bits, and is invariant to the tensor's scale.
 *
 * l1OverL2([3, 0, 4, 0]) = 7 / 5 = 1.4; sparsityProxy = 1.4 / sqrt(4) = 0.7
 */
import {
  abs,
  customGrad,
  div,
  maximum,
  mul,
  type Scalar,
  sign,
  sqrt,
  square,
  sub,
  sum,
  Tensor,
  tidy,
} from "@tensorflow/tfjs-core";
import { describe } from "./levels.js";

/**
 * ||x||1 / ||x||2 as published: from 1 (one element not zero) to sqrt(N) (all of one magnitude), so a weight for it
 * doesn't carry over between layers. Differentiable, with gradient 0 at elements that are 0. An all-zero tensor
 * gives 0 and no gradient; NaN and infinities give NaN.
 *
 * @param x float32 tensor of any shape, not empty
 * @throws {TypeError} if x is no float32 tensor, RangeError if it is empty
 */
export function l1OverL2(x: Tensor): Scalar {
  return normRatio(x, 1);
}

/** ||x||1 / (sqrt(N) ||x||2), in (0, 1]: comparable between layers of any size. Otherwise as `l1OverL2`. */
export function sparsityProxy(x: Tensor): Scalar {
  return normRatio(x, Math.sqrt(x.size));
}

/** Smallest normal float32, in place of an L2 norm of 0. */
const TINY = 2 ** -126;

function normRatio(x: Tensor, divisor: number): Scalar {
  if (!(x instanceof Tensor) || x.dtype !== "float32") {
    throw new TypeError(`x: expected a float32 tensor, got ${describe(x)}`);
  }
  if (x.size === 0) throw new RangeError(`x: expected at least one element, got shape [${x.shape}]`);
  return tidy(() =>
    customGrad<Scalar>((input, save) => {
      const l2: Scalar = maximum(sqrt(sum(square(input as Tensor))), TINY);
      const ratio: Scalar = div(sum(abs(input as Tensor)), l2);
      (save as (tensors: Tensor[]) => void)([input as Tensor, l2, ratio]);
      return {
        value: div(ratio, divisor),
        // d(L1 / L2) / dx = (sign x - (L1 / L2) x / L2) / L2
        gradFunc: (dy: Scalar, [saved, norm, l1OverNorm]: Tensor[]) =>
          mul(sub(sign(saved), mul(div(saved, norm), l1OverNorm)), div(dy, mul(norm, divisor))),
      };
    })(x),
  );
}
