/**
 * Rates: what a quantized tensor would cost in bits, as a term of a loss. A rate looks at a tensor and its quantizer and
 * estimates bits per element, differentiably; a meter averages over all tensors weighted by their size:
 * sum n_l H_l / sum n_l, the term of CAT (Baskin et al., JMLR 22, 2021).
 *
 *     // 100 values of 2 bits and 300 of 1 bit are 1.25 bits per value
 */
import { sampleElements, softEntropy, withSample } from "@bitdiet/entropy-loss";
import type { Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";

/** What a rate may depend on besides the tensor. */
export interface RateContext {
  /** Name of the tensor, as the network's hooks know it. */
  name: string;
  /** Inverse temperature of soft histograms. */
  sharpness: number;
  /** Seed of the elements looked at: another one at every step and for every tensor. */
  seed: number;
}

/**
 * Bits per element of `x`, quantized by `quantizer`, whose scale it shares; and x itself: go on with the one returned,
 * and both gradients flow back as one tensor.
 */
export type Rate = <T extends tf.Tensor>(
  x: T,
  quantizer: Quantizer,
  context: RateContext,
) => { x: T; bits: tf.Scalar };

/** The published rate: soft entropy of the levels, of `sampleSize` elements drawn from the whole batch or weight. */
export function orderZeroRate(sampleSize = 1024): Rate {
  return (x, { scale, levels }, { sharpness, seed }) => {
    if (scale.rank > 0) {
      const sample = sampleElements(tf.div(x, scale), sampleSize, seed);
      return { x, bits: softEntropy(sample, levels, { sharpness }) };
    }
    const [same, sample] = withSample(x, sampleSize, seed);
    return { x: same, bits: softEntropy(sample, levels, { scale, sharpness }) };
  };
}

/** How much a rate weighs in a loss. */
export interface RateWeight {
  /** Nats that a bit per element is worth, 0 or more: the mean rate times this is added to the task's loss. */
  lambda: number;
  /** Factor of lambda for one tensor; 1 by default. */
  layer?: (name: string) => number;
  /** `orderZeroRate()` by default. */
  rate?: Rate;
}

/** Collects what tensors cost. Use it within `tf.tidy`. */
export function rateMeter({ layer = () => 1, rate = orderZeroRate() }: Omit<RateWeight, "lambda"> = {}) {
  let bits: tf.Scalar = tf.scalar(0);
  let elements = 0;
  return {
    /** Adds the cost of `x`, and returns what to go on with. The tensors added draw from `seed` in turn. */
    add<T extends tf.Tensor>(x: T, quantizer: Quantizer, { name, sharpness, seed }: RateContext): T {
      const one = rate(x, quantizer, { name, sharpness, seed: seed + elements });
      bits = tf.add(bits, tf.mul(one.bits, x.size * layer(name)));
      elements += x.size;
      return one.x;
    },
    /** Bits per element over all that was added, each tensor's by its layer factor. */
    mean: (): tf.Scalar => tf.div(bits, Math.max(elements, 1)),
  };
}
