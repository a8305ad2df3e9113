// Fine-tuning on the common ground with uniform quantizers, whose ranges are learned: plain, or with a price on bits.
import * as tf from "@tensorflow/tfjs-core";
import { fineTune } from "../fine-tune.js";
import { cifarResnet } from "../models/resnet.js";
import { type BitWidths, calibrate, quantizersOf } from "../quantized.js";
import type { Pressure } from "../rates.js";
import { deploy, type Measured } from "./deploy.js";
import { calibrationImages, type Ground, taskLoss } from "./ground.js";

export interface QuantizationAware extends Partial<BitWidths> {
  /** Activation ranges start at this multiple of the largest value over calibration images; 1 unless given. */
  rangeFactor?: number;
  /** Prices on the bits of activations and weights. */
  activationPressure?: Pressure;
  weightPressure?: Pressure;
  /** Sharpness of soft histograms at the start and at the end. */
  sharpness?: { first: number; last: number };
  /** Activations stay float. */
  weightsOnly?: boolean;
}

const CALIBRATION_IMAGES = 200;

/** Fine-tunes, codes, decodes, measures; 4-bit activations and 8-bit weights unless given. */
export async function quantizationAware(
  ground: Ground,
  { bits = 4, weightBits = 8, rangeFactor = 1, weightsOnly = false, ...options }: QuantizationAware,
): Promise<Measured> {
  const widths = { bits, weightBits };
  const images = calibrationImages(ground, CALIBRATION_IMAGES);
  const ranges = calibrate((hooks) => cifarResnet(ground.start, images, hooks), widths, rangeFactor);
  images.dispose();
  const loss = taskLoss(ground);
  const tuned = await fineTune({
    task: "fine-tuning",
    steps: ground.steps,
    start: ground.start,
    ranges: weightsOnly ? { ...ranges, activation: {} } : ranges,
    quantizersOf: (learned) => quantizersOf(learned, widths),
    loss: (parameters, hooks, step) => loss(parameters, weightsOnly ? { weight: hooks.weight } : hooks, step),
    ...options,
  });
  const { weight, activation } = quantizersOf(tuned.ranges, widths);
  const quantizers = weightsOnly ? { weight } : { weight, activation };
  const measured = tf.tidy(() => ({ only: deploy(ground, { ...tuned, quantizers }) })) as { only: Measured };
  tf.dispose(tuned.parameters);
  return measured.only;
}
