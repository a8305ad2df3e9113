/**
 * Quantizers of a network: one for each weight and activation that its hooks see, with a scale that is learned along with
 * the network. What is trained is the scale's logarithm, so that a learning rate means the same for a large scale and a
 * small one.
 *
 *     initialScales(run, { activationBits: 4, weightBits: 4 })   // largest activation 3, largest weight 1.4:
 *     // { weight: { "dense.weight": 0.2 }, activation: { dense: 0.2 } }
 */
import { affineFromRange, affineQuantizer, minMaxRange, type Quantizer } from "@bitdiet/fake-quant";
import type { Tensor } from "@tensorflow/tfjs-core";
import { tensor, tidy } from "@tensorflow/tfjs-core";
import type { Hooks } from "./hooks.js";

/** Bit widths of a network whose activations follow a ReLU. */
export interface BitWidths {
  /** Width of activations, 1 .. 16: unsigned levels 0 .. 2^bits - 1. */
  activationBits: number;
  /** Width of weights, 2 .. 16: signed levels, symmetric about 0. */
  weightBits: number;
}

/** A frozen scale: one per tensor, or one per slice in a form that broadcasts against it. */
export type FrozenScale = number | Float32Array;

/** Scale of every quantized weight and activation, by the name that the network's hooks use. */
export interface Scales<S extends Tensor | FrozenScale = Tensor | FrozenScale> {
  weight: Record<string, S>;
  activation: Record<string, S>;
}

/** How each tensor of a network is quantized, by the name that the network's hooks use. */
export interface Quantizers {
  weight: (name: string) => Quantizer;
  activation: (name: string) => Quantizer;
}

/**
 * Uniform quantizers at these scales, for networks of convolutions, matrices and ReLUs. A loss reaches a scale that is a
 * tensor with its gradient. Use them within `tf.tidy`.
 *
 * @throws {RangeError} where the network shows a tensor that has no scale
 */
export function uniformQuantizers(scales: Scales, { activationBits, weightBits }: BitWidths): Quantizers {
  return {
    weight: (name) =>
      affineQuantizer({ bits: weightBits, signed: true, scale: scaleOf(scales, "weight", name) }),
    activation: (name) =>
      affineQuantizer({ bits: activationBits, scale: scaleOf(scales, "activation", name) }),
  };
}

/** Hooks that quantize on the way, with straight-through gradients. */
export function quantizingHooks(quantizers: Quantizers): Required<Hooks> {
  return {
    weight: (w, name) => quantizers.weight(name).fakeQuantize(w),
    activation: (a, name) => quantizers.activation(name).fakeQuantize(a),
  };
}

/**
 * Scales that just hold the largest weight, and the largest activation of a run over some data times a factor.
 *
 * @param run the float network on that data, with these hooks
 * @param factor of the activations' scales: at 3, a 4-bit quantizer's step is a fifth of the largest value. Coarse steps
 *   are the first lever of the rate
 * @throws {RangeError} if a tensor holds NaN, infinities or nothing
 */
export function initialScales(
  run: (hooks: Required<Hooks>) => unknown,
  { activationBits, weightBits }: BitWidths,
  factor = 1,
): Scales<number> {
  const scales: Scales<number> = { weight: {}, activation: {} };
  tidy(
    () =>
      void run({
        weight: (w, name) => {
          scales.weight[name] = affineFromRange(minMaxRange(w), { bits: weightBits, signed: true }).scale;
          return w;
        },
        activation: (a, name) => {
          const range = { min: 0, max: minMaxRange(a).max };
          scales.activation[name] = affineFromRange(range, { bits: activationBits }).scale * factor;
          return a;
        },
      }),
  );
  return scales;
}

/** The scale of a tensor, as quantizers take it. @throws {RangeError} naming the tensor if there is none */
export function scaleOf(scales: Scales, kind: keyof Scales, name: string): number | Tensor {
  const scale = scales[kind][name];
  if (scale === undefined) {
    const others = Object.keys(scales[kind]).length;
    throw new RangeError(`scales.${kind}: expected one for "${name}", got ${others} others`);
  }
  return scale instanceof Float32Array ? tensor(scale) : scale;
}
