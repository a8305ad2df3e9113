// Quantization-aware fine-tuning from the float start, with or without the entropy terms of compression-aware training
// (CAT; Baskin et al., JMLR 22, 2021): loss = cross entropy + lambda * activation bits + weightLambda * weight bits.
import * as tf from "@tensorflow/tfjs-core";
import type { Digits } from "../data/mnist.js";
import { digitCnn } from "../models/digit-cnn.js";
import type { Hooks, Parameters } from "../models/hooks.js";
import { gradientsOf, train } from "../train.js";
import { BATCH, batches, crossEntropy, imagesOf } from "./float.js";
import { type BitWidths, quantize, quantizersOf, type Ranges, rateMeter } from "./quantized.js";

export interface FineTuning extends BitWidths {
  /** Weight of the activations' mean entropy (bits per value) in the loss (nats). */
  lambda: number;
  /** Weight of the weights' mean entropy in the loss. */
  weightLambda: number;
  epochs: number;
  seed: number;
  /** Activation ranges start at this multiple of the largest calibration value. */
  rangeFactor: number;
}

/** A quantized network: what is needed to run it and to encode it. Integers follow from parameters and ranges. */
export interface QuantizedNetwork extends BitWidths {
  parameters: Parameters;
  ranges: Ranges<number>;
}

const CALIBRATION_IMAGES = 512;
const SAMPLE = 1024;
/** The paper's sharpness is 10; starting soft lets every value feel the pull before the assignment hardens. */
const FIRST_SHARPNESS = 1;
const LAST_SHARPNESS = 10;

/** Ranges that just hold the largest weight, and the largest activation over calibration images, times a factor. */
export function calibrate(
  parameters: Parameters,
  images: tf.Tensor4D,
  { bits, weightBits }: BitWidths,
  factor: number,
): Ranges<number> {
  const ranges: Ranges<number> = { weight: {}, activation: {} };
  const lnStep = (x: tf.Tensor, levels: number) => Math.log(tf.max(tf.abs(x)).dataSync()[0] / levels);
  const observe: Hooks = {
    weight: (w, name) => {
      ranges.weight[name] = lnStep(w, 2 ** (weightBits - 1) - 1);
      return w;
    },
    activation: (a, name) => {
      ranges.activation[name] = lnStep(a, 2 ** bits - 1) + Math.log(factor);
      return a;
    },
  };
  tf.tidy(() => void digitCnn(parameters, images, observe));
  return ranges;
}

/** Fine-tunes copies of `start`; the ranges are learned along, and frozen from here on. */
export async function fineTune(
  start: Parameters,
  training: Digits,
  task: string,
  options: FineTuning,
): Promise<QuantizedNetwork> {
  const { lambda, weightLambda, epochs, seed, bits, weightBits, rangeFactor } = options;
  const images = imagesOf(training, 0, CALIBRATION_IMAGES);
  const calibrated = calibrate(start, images, { bits, weightBits }, rangeFactor);
  const parameters = variables(start);
  const ranges = {
    weight: variables(calibrated.weight),
    activation: variables(calibrated.activation),
  } as Ranges<tf.Variable<tf.Rank.R0>>;
  images.dispose();

  const batch = batches(training, seed + 1);
  const steps = epochs * Math.floor(training.count / BATCH);
  await train({
    task,
    steps,
    groups: [
      { variables: Object.values(parameters), learningRate: 1e-3 },
      {
        variables: [...Object.values(ranges.weight), ...Object.values(ranges.activation)],
        learningRate: 1e-2,
      },
    ],
    gradients: gradientsOf((step, progress) => {
      const { x, labels } = batch(step);
      const quantizers = quantizersOf(ranges, { bits, weightBits });
      const { weight, activation } = quantize(quantizers);
      const sharpness = FIRST_SHARPNESS * (LAST_SHARPNESS / FIRST_SHARPNESS) ** progress;
      const weightRate = rateMeter({ sharpness, sampleSize: SAMPLE, seed: step });
      const activationRate = rateMeter({ sharpness, sampleSize: SAMPLE, seed: step });
      const logits = digitCnn(parameters, x, {
        weight: (w, name) => weight(weightLambda > 0 ? weightRate.add(w, quantizers.weight(name)) : w, name),
        activation: (a, name) =>
          activation(lambda > 0 ? activationRate.add(a, quantizers.activation(name)) : a, name),
      });
      return tf.addN([
        crossEntropy(labels, logits),
        tf.mul(activationRate.mean(), lambda),
        tf.mul(weightRate.mean(), weightLambda),
      ]);
    }),
  });
  const frozen = { weight: numbers(ranges.weight), activation: numbers(ranges.activation) };
  tf.dispose([ranges.weight, ranges.activation]);
  return { parameters, ranges: frozen, bits, weightBits };
}

function variables(values: Record<string, tf.Tensor | number>): Record<string, tf.Variable> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      tf.tidy(() => tf.variable(typeof value === "number" ? tf.scalar(value) : value)),
    ]),
  );
}

function numbers(scalars: Record<string, tf.Tensor>): Record<string, number> {
  return Object.fromEntries(Object.entries(scalars).map(([name, scalar]) => [name, scalar.dataSync()[0]]));
}
