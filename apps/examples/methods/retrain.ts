// Training on through a quantizer that stays as it is: widths, steps and what is pruned are fixed, values move, gradients go
// straight through the rounding. What the variables mean is the caller's: filters, or factors of filters.

import type { Parameters } from "@bitdiet/compression-aware";
import { variables } from "@bitdiet/zoo/nets/parameters";
import type * as tf from "@tensorflow/tfjs-core";
import { LEARNING_RATES, warmCosine } from "./quantization-aware.js";
import { type Testbed, taskLoss } from "./testbed.js";

/**
 * @param start values to start from; copies are trained
 * @param networkOf the network's parameters from the variables, with straight-through gradients
 * @returns the trained variables; the caller disposes of them
 */
export async function retrain(
  testbed: Testbed,
  start: Parameters,
  networkOf: (trained: Parameters) => Parameters,
): Promise<Record<string, tf.Variable>> {
  const trained = variables(start);
  const loss = taskLoss(testbed);
  await testbed.trainOn({
    task: "retraining",
    steps: testbed.steps,
    schedule: warmCosine,
    groups: [{ variables: Object.values(trained), learningRate: LEARNING_RATES.parameters }],
    loss: (step) => loss(networkOf(trained), {}, step),
  });
  return trained;
}

/** The biases: what is not a filter or a matrix. */
export const biasesOf = (parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => !name.endsWith(".weight")));
