// Rate against accuracy. The honest baseline of an entropy term is not one point but the whole curve without it, over bit
// widths and ranges: a coarser step alone lowers the entropy, too. All points take equal steps from the same float start.

import type { RatePoint } from "@bitdiet/zoo/report/plots";
import type { PlainTensors } from "@bitdiet/zoo/runner/plain-tensors";
import type { Backend } from "@bitdiet/zoo/training/backend";
import type { FineTuning } from "./fine-tune.js";
import { runJobs } from "./jobs.js";

const LAMBDAS = [0.02, 0.05, 0.08, 0.15, 0.3];
const BASELINE_BITS = [2, 3, 4];
const BASELINE_RANGES = [1, 2, 4];

/** Trains, encodes and decodes every point. @param rangeFactor where the entropy-trained networks' ranges start */
export async function traceCurves(
  start: PlainTensors,
  backend: Backend,
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
  const results = await runJobs(
    runs.map(({ label, options }) => ({ task: `curve, ${label}`, backend, start, tuning: options })),
  );
  return runs.map(({ curve, label }, i) => {
    const { codedBitsPerValue, decodedAccuracy } = results[i].deployment;
    return { curve, label, bits: codedBitsPerValue, accuracy: decodedAccuracy };
  });
}
