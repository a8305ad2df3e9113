// AJPQ, joint pruning and quantization, a reconstruction from the abstract (Tang, Wei, Li, arXiv 2011.06231): a width a
// channel, 0 being a pruned one, searched for by a layer controller for sparsity and a channel controller for widths; and
// what should beat a search, widths of equal slopes, from measured curves with as many evaluations, or to second order with
// none. One budget for all. Example: at 4 bits a weight the file is 8 times smaller than float32.

import type { Recipe, Run } from "../recipe.js";
import { byMeasuredCurves, bySearch, bySecondOrder } from "./channel-allocation.js";
import { channelCodedWeights } from "./channel-coded-weights.js";

const ALLOCATIONS = {
  search: ["controllers' search", bySearch],
  measured: ["equal slopes, measured", byMeasuredCurves],
  "second-order": ["equal slopes, second order", bySecondOrder],
} as const;

const runs = (budgets: number[], retrains: boolean): Run[] =>
  Object.entries(ALLOCATIONS).flatMap(([id, [title, allocation]]) =>
    budgets.map((bits) => ({
      id: `${id}-${bits}${retrains ? "-retrained" : ""}`,
      title: `${title}, ${bits} bits${retrains ? ", retrained" : ""}`,
      curve: `${title}${retrains ? ", retrained" : ""}`,
      of: "weights",
      trains: retrains,
      measure: (testbed) => channelCodedWeights(testbed, { bits, allocation, retrains }),
    })),
  );

export const jointPruning: Recipe = {
  name: "ajpq",
  paper: "AJPQ: our reconstruction from the abstract of Tang, Wei, Li, arXiv 2011.06231",
  published: "MobileNet, ImageNet: 5 times smaller, top-5 1.06 points lower",
  runs: [...runs([6.4, 4, 3.5], false), ...runs([2.5], true)],
};
