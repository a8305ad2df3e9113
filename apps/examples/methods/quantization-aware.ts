// Fine-tuning on the common testbed with uniform quantizers, whose ranges are learned: plain, or with a price on bits.
import { affineQuantizer } from "@bitdiet/fake-quant";
import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { type FineTuning, fineTune } from "@bitdiet/zoo/training/fine-tune";
import { cosineDecay } from "@bitdiet/zoo/training/loop";
import { calibrate, type FrozenRange, type Quantizers, type Ranges } from "@bitdiet/zoo/training/quantized";
import * as tf from "@tensorflow/tfjs-core";
import { deploy, type Measured } from "./deploy.js";
import { equalSlopeRanges, mapSensitivity } from "./map-sensitivity.js";
import { calibrationImages, type Testbed, taskLoss } from "./testbed.js";

type Passed = "activationPressure" | "weightPressure" | "warmUp" | "sharpness" | "learningRates";

export interface QuantizationAware extends Pick<FineTuning<FrozenRange>, Passed> {
  /** Of activations; "float" leaves them alone. 4 unless given. */
  bits?: number | "float";
  /** Of each weight; 8 unless given. */
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
/** Of Adam: it moves all weights by as much at first, and a folded network bears little. */
export const LEARNING_RATES = { parameters: 5e-4, ranges: 1.5e-2 };

/** Rises over the first tenth of the run, and falls along half a cosine. */
export const warmCosine = (progress: number): number =>
  Math.min(1, 0.05 + 10 * progress) * cosineDecay(progress);

/** Fine-tunes, codes, decodes, measures. */
export async function quantizationAware(
  testbed: Testbed,
  {
    bits = 4,
    weightBits = 8,
    rangeFactor = 1,
    channelRanges = false,
    weightStep = () => undefined,
    start = testbed.start,
    learningRates = LEARNING_RATES,
    ...passed
  }: QuantizationAware,
): Promise<Measured> {
  const bitsOf = typeof weightBits === "number" ? () => weightBits : weightBits;
  const images = calibrationImages(testbed, CALIBRATION_IMAGES);
  const widths = { bits: bits === "float" ? 8 : bits, weightBits: 8 };
  const { weight: weightRanges, activation } = calibrate(
    (hooks) => cifarResnet(start, images, hooks),
    // Steps are those of 4 bits, whatever number of levels a wider quantizer has beyond.
    channelRanges ? { bits: 4, weightBits: 8 } : widths,
    rangeFactor,
  );
  images.dispose();
  const ranges: Ranges<FrozenRange> = {
    weight: weightRanges,
    activation: channelRanges ? equalSlopeRanges(mapSensitivity(testbed), activation) : activation,
  };
  for (const [name, lnStep] of Object.entries(weightRanges)) {
    const first = weightStep(name, start[name]);
    weightRanges[name] =
      first === undefined ? lnStep + Math.log(127 / (2 ** (bitsOf(name) - 1) - 1)) : Math.log(first);
  }
  const quantizersOf = ({ weight, activation }: Ranges): Quantizers => ({
    weight: (name) => affineQuantizer({ bits: bitsOf(name), signed: true, scale: tf.exp(weight[name]) }),
    activation: (name) => affineQuantizer({ bits: widths.bits, scale: tf.exp(activation[name]) }),
  });
  const loss = taskLoss(testbed);
  const tuned = await fineTune({
    task: "fine-tuning",
    steps: testbed.steps,
    start,
    ranges: bits === "float" ? { ...ranges, activation: {} } : ranges,
    quantizersOf,
    learningRates,
    schedule: warmCosine,
    train: testbed.trainOn,
    loss: (parameters, { weight, activation }, step) =>
      loss(parameters, bits === "float" ? { weight } : { weight, activation }, step),
    ...passed,
  });
  const trained = quantizersOf(tuned.ranges);
  const quantizers = bits === "float" ? { weight: trained.weight } : trained;
  const measured = deploy(testbed, { ...tuned, quantizers });
  tf.dispose(tuned.parameters);
  return measured;
}
