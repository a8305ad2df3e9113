// Fine-tuning on the common testbed with uniform quantizers, whose ranges are learned: plain, or with a price on bits.

import {
  type FrozenScale,
  initialScales,
  type Parameters,
  type Quantizers,
  type Scales,
  scaleOf,
} from "@bitdiet/compression-aware";
import { affineQuantizer } from "@bitdiet/fake-quant";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { type FineTuning, fineTune } from "@bitdiet/zoo/training/fine-tune";
import { cosineDecay } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import { judge } from "./judge.js";
import { equalSlopeScales, mapSensitivity } from "./map-sensitivity.js";
import type { Measured } from "./recipe.js";
import { calibrationImages, type Testbed, taskLoss } from "./testbed.js";

type Passed = "activationRate" | "weightRate" | "warmUp" | "sharpness" | "learningRates";

export interface QuantizationAware extends Pick<FineTuning<FrozenScale>, Passed> {
  /** Bit width of activations; they stay float unless given. */
  bits?: number;
  /** Bit width of each weight; 8 unless given. */
  weightBits?: number | ((name: string) => number);
  /** Activation ranges start at this multiple of the largest value over calibration images; 1 unless given. */
  rangeFactor?: number;
  /** Every channel has a range of its own, which starts where all channels' slopes are equal (see map-sensitivity.ts). */
  channelRanges?: boolean;
  /** Where a weight's step starts; where the quantizer just holds the largest one, unless it gives a number. */
  weightStep?: (name: string, w: tf.Tensor) => number | undefined;
  /** Instead of the float network's. */
  start?: Parameters;
}

const CALIBRATION_IMAGES = 200;
/** Learning rates of Adam: it moves all weights by as much at first, and a folded network bears little. */
export const LEARNING_RATES = { parameters: 5e-4, scales: 1.5e-2 };

/** Rises over the first tenth of the run, and falls along half a cosine. */
export const warmCosine = (progress: number): number =>
  Math.min(1, 0.05 + 10 * progress) * cosineDecay(progress);

/** Fine-tunes, ships, and judges what arrives. */
export async function quantizationAware(
  testbed: Testbed,
  {
    bits,
    weightBits = 8,
    start = testbed.start,
    learningRates = LEARNING_RATES,
    ...options
  }: QuantizationAware,
): Promise<Measured> {
  const { rangeFactor: _, channelRanges: __, weightStep: ___, ...passed } = options;
  const widthOf = typeof weightBits === "number" ? () => weightBits : weightBits;
  const quantizersOf = (scales: Scales): Quantizers => ({
    weight: (name) =>
      affineQuantizer({ bits: widthOf(name), signed: true, scale: scaleOf(scales, "weight", name) }),
    activation: (name) => affineQuantizer({ bits: bits ?? 1, scale: scaleOf(scales, "activation", name) }),
  });
  const loss = taskLoss(testbed);
  const tuned = await fineTune<FrozenScale>({
    task: "fine-tuning",
    steps: testbed.steps,
    parameters: start,
    scales: firstScales(testbed, start, { bits, ...options }, widthOf),
    quantizersOf,
    learningRates,
    schedule: warmCosine,
    train: testbed.trainOn,
    loss: (parameters, { weight, activation }, step) =>
      loss(parameters, bits === undefined ? { weight } : { weight, activation }, step),
    ...passed,
  });
  const measured = await judge(testbed, { ...tuned, quantizersOf });
  tf.dispose(tuned.parameters);
  return measured;
}

/** Where the scales start. @param widthOf bit width of each weight */
function firstScales(
  testbed: Testbed,
  start: Parameters,
  { bits, rangeFactor = 1, channelRanges, weightStep = () => undefined }: QuantizationAware,
  widthOf: (name: string) => number,
): Scales<FrozenScale> {
  const images = calibrationImages(testbed, CALIBRATION_IMAGES);
  // With a range a channel, steps are those of 4 bits, whatever number of levels a wider quantizer has beyond.
  const widths = { activationBits: channelRanges ? 4 : (bits ?? 1), weightBits: 8 };
  const { weight, activation } = initialScales(
    (hooks) => cifarResnet(start, images, hooks),
    widths,
    rangeFactor,
  );
  images.dispose();
  for (const [name, scale] of Object.entries(weight)) {
    weight[name] = weightStep(name, start[name]) ?? scale * (127 / (2 ** (widthOf(name) - 1) - 1));
  }
  if (bits === undefined) return { weight, activation: {} };
  return {
    weight,
    activation: channelRanges ? equalSlopeScales(mapSensitivity(testbed), activation) : activation,
  };
}
