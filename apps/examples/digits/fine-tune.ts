// The digits' fine-tuning run: what fine-tune.ts needs to know of this network, its data and its options.
import type { Digits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { fineTune } from "@bitdiet/zoo/training/fine-tune";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import { type BitWidths, calibrate, quantizersOf, type Ranges } from "@bitdiet/zoo/training/quantized";
import { BATCH, batches, imagesOf } from "./float.js";

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

/** Fine-tunes copies of `start`; the ranges are learned along, and frozen from here on. */
export async function fineTuneDigits(
  start: Parameters,
  training: Digits,
  task: string,
  { lambda, weightLambda, epochs, seed, bits, weightBits, rangeFactor }: FineTuning,
): Promise<QuantizedNetwork> {
  const widths = { bits, weightBits };
  const images = imagesOf(training, 0, CALIBRATION_IMAGES);
  const ranges = calibrate((hooks) => digitCnn(start, images, hooks), widths, rangeFactor);
  images.dispose();
  const batch = batches(training, seed + 1);
  const network = await fineTune({
    task,
    steps: epochs * Math.floor(training.count / BATCH),
    start,
    ranges,
    quantizersOf: (learned) => quantizersOf(learned, widths),
    loss: (parameters, hooks, step) => {
      const { x, labels } = batch(step);
      return crossEntropy(labels, digitCnn(parameters, x, hooks));
    },
    activationPressure: { lambda },
    weightPressure: { lambda: weightLambda },
  });
  return { ...network, ...widths };
}
