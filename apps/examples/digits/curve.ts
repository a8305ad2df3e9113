// Rate against accuracy. The honest baseline of an entropy term is not one point but the whole curve without it, over bit
// widths and ranges: a coarser step alone lowers the entropy, too. All points take equal steps from the same float start.
import type { Parameters } from "@bitdiet/compression-aware";
import type { RatePoint } from "@bitdiet/zoo/report/plots";
import { fineTuneAll } from "@bitdiet/zoo/runner/job";
import { mapBits } from "@bitdiet/zoo/shipping/measured";
import type { Backend } from "@bitdiet/zoo/training/backend";
import type { Deployment, Tuning } from "./task.js";

const LAMBDAS = [0.02, 0.05, 0.08, 0.15, 0.3];
const BASELINE_BITS = [2, 3, 4];
const BASELINE_RANGES = [1, 2, 4];

export interface CurveOptions {
  module: URL;
  backend: Backend;
  tuning: Omit<Tuning, "lambda" | "weightLambda" | "rangeFactor">;
  /** Where the entropy-trained networks' ranges start. */
  rangeFactor: number;
}

/** Trains, encodes and decodes every point. */
export async function traceCurves(
  float: Parameters,
  { module, backend, tuning, rangeFactor }: CurveOptions,
): Promise<RatePoint[]> {
  const runs = [
    ...BASELINE_BITS.flatMap((activationBits) =>
      BASELINE_RANGES.map((factor) => ({
        curve: "λ = 0, over bit widths and ranges",
        label: `${activationBits} bit, range ×${factor}`,
        tuning: { ...tuning, activationBits, rangeFactor: factor, lambda: 0, weightLambda: 0 },
      })),
    ),
    ...LAMBDAS.map((lambda) => ({
      curve: `with the entropy term, ${tuning.activationBits} bit, range ×${rangeFactor}`,
      label: `λ ${lambda}`,
      tuning: { ...tuning, rangeFactor, lambda, weightLambda: 0 },
    })),
  ];
  const networks = runs.map(({ label, tuning }) => ({ title: `curve, ${label}`, tuning }));
  const results = await fineTuneAll<null, Tuning, Deployment>(float, {
    module,
    data: null,
    backend,
    networks,
  });
  return runs.map(({ curve, label }, i) => {
    const { maps, decodedAccuracy } = results[i];
    return { curve, label, bits: mapBits(maps).coded, accuracy: decodedAccuracy };
  });
}
