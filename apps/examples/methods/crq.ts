// CRQ: ternary weights. A cluster term pulls every full-precision weight towards the nearest of -alpha, 0, alpha, weakly at
// first, so that rounding changes little at the end; then the rest of the steps train through the rounding. A
// reconstruction: the paper's abstract names the idea, and neither formula nor schedule is public. The first convolution
// and the classifier keep 8 bits, as is usual.
import { clusterLoss, type Quantizer, softClusterLoss, ternaryQuantizer, twnRule } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import type { Parameters } from "../models/hooks.js";
import { variables } from "../models/parameters.js";
import type { Measured } from "./deploy.js";
import { type Ground, taskLoss } from "./ground.js";
import { LEARNING_RATES, quantizationAware, warmCosine } from "./quantization-aware.js";
import type { Recipe } from "./recipe.js";

const isTernary = (name: string): boolean => name.endsWith(".weight") && !/^(conv1|linear)\./.test(name);
const ternaryWidth = (name: string): number => (isTernary(name) ? 2 : 8);

/** Steps between two estimates of a layer's centers. */
const ESTIMATE_EVERY = 20;
/** Trains through the rounding, to nearest: a quantizer of two bits has the levels -1, 0, 1, and its step is alpha. */
const ternaryTraining = (ground: Ground, start?: Parameters): Promise<Measured> =>
  quantizationAware(ground, {
    start,
    bits: "float",
    weightBits: ternaryWidth,
    weightStep: (name, w) => (isTernary(name) ? twnRule(w).scale : undefined),
  });

/** A layer's mean squared distance from its centers. */
type Distance = (w: tf.Tensor, centers: Quantizer) => tf.Scalar;
const soft: Distance = (w, centers) => softClusterLoss(w, centers, { sharpness: 10 });

/** Half of the steps for either part. @param lambda weight of the mean distance, in units of alpha^2 */
async function clustered(ground: Ground, distanceOf: Distance, lambda = 1): Promise<Measured> {
  const half = { ...ground, steps: Math.round(ground.steps / 2) };
  const parameters = variables(ground.start);
  const names = Object.keys(parameters).filter(isTernary);
  const loss = taskLoss(half);
  let rules: Record<string, ReturnType<typeof twnRule>> = {};
  await ground.trainOn({
    task: "clustering",
    steps: half.steps,
    schedule: warmCosine,
    groups: [{ variables: Object.values(parameters), learningRate: LEARNING_RATES.parameters }],
    loss: (step, progress, show) => {
      if (step % ESTIMATE_EVERY === 0) {
        rules = Object.fromEntries(names.map((name) => [name, twnRule(parameters[name])]));
      }
      const distances = names.map((name) => {
        const { scale } = rules[name];
        return tf.div(distanceOf(parameters[name], ternaryQuantizer(rules[name])), scale ** 2);
      });
      const distance: tf.Scalar = tf.div(tf.addN(distances), names.length);
      show("distance", distance);
      return tf.add(loss(parameters, {}, step), tf.mul(distance, lambda * progress));
    },
  });
  const measured = await ternaryTraining(half, parameters);
  tf.dispose(parameters);
  return measured;
}

const run = (id: string, title: string, measure: (ground: Ground) => Promise<Measured>) => ({
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
    run("clustered", "ternary, clustered first", (ground) => clustered(ground, clusterLoss)),
    run("soft", "ternary, softly clustered first", (ground) => clustered(ground, soft)),
    run("rounded", "ternary, trained through rounding alone", (ground) => ternaryTraining(ground)),
  ],
};
