// Quantization and the rate terms, as hooks of a model: fake quantization *is* the hook, and a closure collects what
// each tensor would cost. One trainable range a tensor: ln of the quantizer's step, so that a learning rate means the
// same for a large range and a small one.
import { softEntropy, withSample } from "@bitdiet/entropy-loss";
import { affineQuantizer, type Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import type { Hooks } from "../models/hooks.js";

export interface BitWidths {
  /** Of activations: post-ReLU, so unsigned levels 0 .. 2^bits - 1. */
  bits: number;
  /** Of weights: signed levels, symmetric about 0. */
  weightBits: number;
}

/** ln(step) of every quantized weight and activation, by the name the model's hooks use: variables, or frozen numbers. */
export interface Ranges<T extends tf.Scalar | number = tf.Scalar | number> {
  weight: Record<string, T>;
  activation: Record<string, T>;
}

/** The quantizers a network has at these ranges. Gradients of a loss reach the ranges through the quantizers' scale. */
export function quantizersOf(ranges: Ranges, { bits, weightBits }: BitWidths) {
  return {
    weight: (name: string) =>
      affineQuantizer({ bits: weightBits, signed: true, scale: tf.exp(ranges.weight[name]) }),
    activation: (name: string) => affineQuantizer({ bits, scale: tf.exp(ranges.activation[name]) }),
  };
}
export type Quantizers = ReturnType<typeof quantizersOf>;

/** Hooks that quantize on the way, with straight-through gradients. */
export function quantize(quantizers: Quantizers): Required<Hooks> {
  return {
    weight: (w, name) => quantizers.weight(name).fakeQuantize(w),
    activation: (a, name) => quantizers.activation(name).fakeQuantize(a),
  };
}

/** How an entropy term looks at a tensor. */
export interface RateOptions {
  /** Inverse temperature of the soft histogram. */
  sharpness: number;
  /** Elements looked at, drawn anew from the whole batch or weight at every step. */
  sampleSize: number;
  seed: number;
}

/** Collects soft entropies of tensors, and averages them weighted by size: methods.md 1b's loss, sum n_l H_l / sum n_l. */
export function rateMeter({ sharpness, sampleSize, seed }: RateOptions) {
  let bits: tf.Scalar = tf.scalar(0);
  let elements = 0;
  return {
    /**
     * Adds the cost of `x`, quantized by `quantizer`, whose scale it shares.
     *
     * @returns x itself; use this one from here on, and both gradients flow back as one tensor
     */
    add<T extends tf.Tensor>(x: T, { scale, levels }: Quantizer): T {
      const [same, sample] = withSample(x, sampleSize, seed + elements);
      bits = tf.add(bits, tf.mul(softEntropy(sample, levels, { scale, sharpness }), x.size));
      elements += x.size;
      return same;
    },
    /** Bits per element over all that was added. */
    mean: (): tf.Scalar => tf.div(bits, Math.max(elements, 1)),
  };
}
