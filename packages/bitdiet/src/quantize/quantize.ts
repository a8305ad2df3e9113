/**
 * The one door through which integers enter a file, whoever chooses them, and the one knob: lambda.
 *
 *     const quantize = fromWeights(model);      // or allocated(…), or await calibrated(…): all are a Quantize
 *     const { tensors } = await quantize(4 ** -4);   // about 4 bits a weight
 */
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import type { Model } from "../model.js";

/**
 * A way to choose integers: a point of its curve of rate and distortion.
 *
 * @param lambda what a bit for every weight is worth, in the way's own measure of loss: 4 ** -n is about n bits a weight, and a fourth
 *   of it one bit more. Above 0
 */
export type Quantize = (lambda: number) => Promise<QuantizedModel>;

export interface QuantizedModel {
  /** Quantized tensors by name, or what makes them when they are asked for; undefined if there is nothing to quantize. */
  tensors: ReadonlyMap<string, QuantizedTensor | (() => Promise<QuantizedTensor | undefined>)>;
  /** What was decided for a tensor, in a few words, by its name. */
  notes?: ReadonlyMap<string, string>;
  /** The model with biases and norms as quantization changed them. Absent: unchanged. */
  model?: Model;
}

/** Between these lie all lambdas that make a difference: nothing is left, and every bit of a float32. */
export const MAX_LAMBDA = 4 ** 2;
export const MIN_LAMBDA = 4 ** -26;

/** Fineness of quality 100: about 8 bits a weight. */
const FINENESS_OF_BEST = 7;

/** Where nobody can say how far outputs move: it keeps those of nearly any model. */
export const BLIND_QUALITY = 85;

/** How fine a lambda is, in bits: 4 ** -3 gives 3. */
export function finenessOf(lambda: number): number {
  return -Math.log2(lambda) / 2;
}

/** Quality, 0 (coarse) to 100 (fine), is lambda on a scale for people. */
export function lambdaOfQuality(quality: number): number {
  return 4 ** ((-FINENESS_OF_BEST * quality) / 100);
}

export function qualityOfLambda(lambda: number): number {
  return (100 * finenessOf(lambda)) / FINENESS_OF_BEST;
}
