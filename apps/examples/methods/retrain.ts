// Training on through a quantizer that stays as it is: widths, steps and what is pruned are fixed, values move, gradients go
// straight through the rounding. What the variables mean is the caller's: filters, or factors of filters.
import type * as tf from "@tensorflow/tfjs-core";
import type { Parameters } from "../models/hooks.js";
import { variables } from "../models/parameters.js";
import { type Ground, taskLoss } from "./ground.js";
import { LEARNING_RATES, warmCosine } from "./quantization-aware.js";

/**
 * @param start values to start from; copies are trained
 * @param networkOf the network's parameters from the variables, with straight-through gradients
 * @returns the trained variables; the caller disposes of them
 */
export async function retrain(
  ground: Ground,
  start: Parameters,
  networkOf: (trained: Parameters) => Parameters,
): Promise<Record<string, tf.Variable>> {
  const trained = variables(start);
  const loss = taskLoss(ground);
  await ground.trainOn({
    task: "retraining",
    steps: ground.steps,
    schedule: warmCosine,
    groups: [{ variables: Object.values(trained), learningRate: LEARNING_RATES.parameters }],
    loss: (step) => loss(networkOf(trained), {}, step),
  });
  return trained;
}

/** The biases: what is not a filter or a matrix. */
export const biasesOf = (parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => !name.endsWith(".weight")));
