// CRQ: ternary weights. A cluster term pulls every full-precision weight towards the nearest of -alpha, 0, alpha, weakly at
// first, so that rounding changes little at the end; then the rest of the steps train through the rounding. A
// reconstruction: the paper's abstract names the idea, and neither formula nor schedule is public. The first convolution
// and the classifier keep 8 bits, as is usual.

import type { Parameters } from "@bitdiet/compression-aware";
import { clusterLoss, type Quantizer, softClusterLoss, ternaryQuantizer, twnRule } from "@bitdiet/fake-quant";
import { variables } from "@bitdiet/zoo/nets/parameters";
import * as tf from "@tensorflow/tfjs-core";
import { LEARNING_RATES, quantizationAware, warmCosine } from "./quantization-aware.js";
import type { Measured, Recipe } from "./recipe.js";
import { type Testbed, taskLoss } from "./testbed.js";

const isTernary = (name: string): boolean => name.endsWith(".weight") && !/^(conv1|linear)\./.test(name);
const ternaryWidth = (name: string): number => (isTernary(name) ? 2 : 8);

/** Steps between two estimates of a layer's centers. */
const ESTIMATE_EVERY = 20;
/** Trains through the rounding, to nearest: a quantizer of two bits has the levels -1, 0, 1, and its step is alpha. */
const ternaryTraining = (testbed: Testbed, start?: Parameters): Promise<Measured> =>
  quantizationAware(testbed, {
    start,
    weightBits: ternaryWidth,
    weightStep: (name, w) => (isTernary(name) ? twnRule(w).scale : undefined),
  });

/** A layer's mean squared distance from its centers. */
type Distance = (w: tf.Tensor, centers: Quantizer) => tf.Scalar;
const soft: Distance = (w, centers) => softClusterLoss(w, centers, { sharpness: 10 });

/** Half of the steps for either part. @param lambda weight of the mean distance, in units of alpha^2 */
async function clustered(testbed: Testbed, distanceOf: Distance, lambda = 1): Promise<Measured> {
  const half = { ...testbed, steps: Math.round(testbed.steps / 2) };
  const parameters = variables(testbed.start);
  const names = Object.keys(parameters).filter(isTernary);
  const loss = taskLoss(half);
  let rules: Record<string, ReturnType<typeof twnRule>> = {};
  await testbed.trainOn({
    task: "clustering",
    steps: half.steps,
    schedule: warmCosine,
    cycle: ESTIMATE_EVERY,
    groups: [{ variables: Object.values(parameters), learningRate: LEARNING_RATES.parameters }],
    loss: (step, progress, log) => {
      if (step % ESTIMATE_EVERY === 0) {
        rules = Object.fromEntries(names.map((name) => [name, twnRule(parameters[name])]));
      }
      const distances = names.map((name) => {
        const { scale } = rules[name];
        return tf.div(distanceOf(parameters[name], ternaryQuantizer(rules[name])), scale ** 2);
      });
      const distance: tf.Scalar = tf.div(tf.addN(distances), names.length);
      log("distance", distance);
      return tf.add(loss(parameters, {}, step), tf.mul(distance, lambda * progress));
    },
  });
  const measured = await ternaryTraining(half, parameters);
  tf.dispose(parameters);
  return measured;
}

const run = (id: string, title: string, measure: (testbed: Testbed) => Promise<Measured>) => ({
  id,
  title,
  of: "weights" as const,
  trains: true,
  measure,
});

export const crq: Recipe = {
  name: "crq",
  paper: "CRQ (Hu et al., arXiv 1902.10370, 2019), a reconstruction of its abstract",
  published: "none in the abstract",
  runs: [
    run("clustered", "ternary, clustered first", (testbed) => clustered(testbed, clusterLoss)),
    run("soft", "ternary, softly clustered first", (testbed) => clustered(testbed, soft)),
    run("rounded", "ternary, trained through rounding alone", (testbed) => ternaryTraining(testbed)),
  ],
};
