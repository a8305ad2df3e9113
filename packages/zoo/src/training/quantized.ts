// Quantization as hooks of a model: fake quantization *is* the hook. A network's ranges are trained along with it, one a
// tensor or one a channel: ln of the quantizer's step, so that a learning rate means the same for a large range and a
// small one. Example: 4 bits from 0 to 3 have a step of 3 / 15, so ln(step) = -1.609.
import { affineQuantizer, type Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import type { Hooks } from "../nets/hooks.js";

export interface BitWidths {
  /** Of activations: post-ReLU, so unsigned levels 0 .. 2^bits - 1. */
  bits: number;
  /** Of weights: signed levels, symmetric about 0. */
  weightBits: number;
}

/** A frozen range: one a tensor, or as many as its last axis is long. */
export type FrozenRange = number | Float32Array;

/** ln(step) of every quantized weight and activation, by the name the model's hooks use: variables, or frozen. */
export interface Ranges<T extends tf.Tensor | FrozenRange = tf.Tensor | FrozenRange> {
  weight: Record<string, T>;
  activation: Record<string, T>;
}

/** How each tensor of a model is quantized, by the name the model's hooks use. */
export interface Quantizers {
  weight: (name: string) => Quantizer;
  activation: (name: string) => Quantizer;
}

/**
 * The quantizers of a network of convolutions and ReLUs at these ranges. Gradients of a loss reach the ranges through
 * the quantizers' scale.
 */
export function quantizersOf(ranges: Ranges, { bits, weightBits }: BitWidths): Quantizers {
  return {
    weight: (name) => affineQuantizer({ bits: weightBits, signed: true, scale: tf.exp(ranges.weight[name]) }),
    activation: (name) => affineQuantizer({ bits, scale: tf.exp(ranges.activation[name]) }),
  };
}

/** Hooks that quantize on the way, with straight-through gradients. */
export function quantize(quantizers: Quantizers): Required<Hooks> {
  return {
    weight: (w, name) => quantizers.weight(name).fakeQuantize(w),
    activation: (a, name) => quantizers.activation(name).fakeQuantize(a),
  };
}

/**
 * Ranges that just hold the largest weight, and the largest activation of a run over calibration data, times a factor.
 *
 * @param run the float model on calibration data, with these hooks
 * @param factor of the activations' ranges: at 3, a 4-bit quantizer's step is a fifth of the largest value
 */
export function calibrate(
  run: (hooks: Required<Hooks>) => unknown,
  { bits, weightBits }: BitWidths,
  factor = 1,
): Ranges<number> {
  const ranges: Ranges<number> = { weight: {}, activation: {} };
  const lnStep = (x: tf.Tensor, levels: number) => Math.log(tf.max(tf.abs(x)).dataSync()[0] / levels);
  tf.tidy(
    () =>
      void run({
        weight: (w, name) => {
          ranges.weight[name] = lnStep(w, 2 ** (weightBits - 1) - 1);
          return w;
        },
        activation: (a, name) => {
          ranges.activation[name] = lnStep(a, 2 ** bits - 1) + Math.log(factor);
          return a;
        },
      }),
  );
  return ranges;
}
