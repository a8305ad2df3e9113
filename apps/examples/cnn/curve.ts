// Rate against accuracy. The honest baseline of an entropy term is not one point but the whole curve without it, over bit
// widths and ranges: a coarser step alone lowers the entropy, too. All points take equal steps from the same float start.
import * as tf from "@tensorflow/tfjs-core";
import type { Digits } from "../data/mnist.js";
import type { Parameters } from "../models/hooks.js";
import type { RatePoint } from "../report/plots.js";
import { deploy } from "./deploy.js";
import { type FineTuning, fineTune } from "./fine-tune.js";

const LAMBDAS = [0.05, 0.1, 0.2, 0.4, 0.8];
const BASELINE_BITS = [2, 3, 4];
const BASELINE_RANGES = [1, 2, 4];

export async function traceCurves(
  float: Parameters,
  training: Digits,
  test: Digits,
  tuning: Omit<FineTuning, "lambda" | "weightLambda" | "rangeFactor">,
  rangeFactor: number,
): Promise<RatePoint[]> {
  const runs = [
    ...BASELINE_BITS.flatMap((bits) =>
      BASELINE_RANGES.map((factor) => ({
        curve: "λ = 0, over bit widths and ranges",
        label: `${bits} bit, range ×${factor}`,
        options: { ...tuning, bits, rangeFactor: factor, lambda: 0, weightLambda: 0 },
      })),
    ),
    ...LAMBDAS.map((lambda) => ({
      curve: `with the entropy term, ${tuning.bits} bit, range ×${rangeFactor}`,
      label: `λ ${lambda}`,
      options: { ...tuning, rangeFactor, lambda, weightLambda: 0 },
    })),
  ];
  const points: RatePoint[] = [];
  for (const [index, { curve, label, options }] of runs.entries()) {
    const network = await fineTune(float, training, `curve ${index + 1}/${runs.length}, ${label}`, options);
    const { decodedAccuracy, codedBitsPerValue } = deploy(network, training, test);
    points.push({ curve, label, bits: codedBitsPerValue, accuracy: decodedAccuracy });
    tf.dispose(network.parameters);
  }
  return points;
}
