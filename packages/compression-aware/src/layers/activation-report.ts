/** What quantized activations weigh on given inputs: the entropy of the values that each of a model's quantizers gives. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { ActivationQuantizer } from "./activation-quantizer.js";
import { checkSteps } from "./file.js";

/** A quantized activation on the inputs of a report. */
export interface ActivationBits {
  /** Of the quantizer's layer. */
  name: string;
  /** Values on all inputs together. */
  size: number;
  /** Bits of a value before entropy coding: its quantizer's width. */
  before: number;
  /** Entropy of single values, in bits: what a coder without contexts takes at least. */
  after: number;
}

/** Inputs that run at once. */
const BATCH = 64;

/**
 * @param inputs one for each input of the model, all of as many examples; none: nothing is looked at
 * @throws {RangeError} if there are no examples, or a quantizer has no step yet
 */
export async function activationBits(
  model: LayersModel,
  quantizers: readonly ActivationQuantizer[],
  inputs: readonly tf.Tensor[],
): Promise<ActivationBits[]> {
  if (inputs.length === 0) return [];
  checkSteps(quantizers);
  const [count = 0] = inputs[0].shape;
  if (count === 0) throw new RangeError("inputs: expected examples, got none");
  const counts = new Map(quantizers.map((layer) => [layer, new Map<number, number>()]));
  for (let start = 0; start < count; start += BATCH) {
    const size = Math.min(BATCH, count - start);
    const given = await outputsOf(model, quantizers, () =>
      inputs.map((input) => tf.slice(input, start, size)),
    );
    for (const [layer, values] of given) {
      const own = counts.get(layer)!;
      for (const value of values) own.set(value, (own.get(value) ?? 0) + 1);
    }
  }
  return [...counts].map(([{ name, bits }, own]) => {
    const frequencies = [...own.values()];
    const size = frequencies.reduce((sum, frequency) => sum + frequency, 0);
    return { name, size, before: bits, after: entropyOf(frequencies, size) };
  });
}

/** Bits a value. */
const entropyOf = (frequencies: readonly number[], size: number): number =>
  frequencies.reduce((bits, frequency) => bits - (frequency / size) * Math.log2(frequency / size), 0);

/** What quantizers give in one run of the model. A layer that is used twice gives two. */
async function outputsOf(
  model: LayersModel,
  quantizers: readonly ActivationQuantizer[],
  batch: () => tf.Tensor[],
): Promise<[ActivationQuantizer, Float32Array][]> {
  const kept: [ActivationQuantizer, tf.Tensor][] = [];
  for (const layer of quantizers) layer.watch = (values) => kept.push([layer, tf.keep(tf.clone(values))]);
  try {
    tf.tidy(() => void model.predictOnBatch(batch()));
  } finally {
    for (const layer of quantizers) layer.watch = undefined;
  }
  return Promise.all(
    kept.map(async ([layer, tensor]): Promise<[ActivationQuantizer, Float32Array]> => {
      const values = (await tensor.data()) as Float32Array;
      tensor.dispose();
      return [layer, values];
    }),
  );
}
