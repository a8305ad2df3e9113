/**
 * How far a model's answers to different inputs are apart: what their divergence would be, had each been the mean answer. Where no input
 * moves the outputs, a divergence from another model's tells nothing.
 *
 *     spread(outputs); // 1.7 nats of a classifier; 0.0004 of a detector of voices that has heard none
 */
import { distributionsOf, isFloatOutput, joined, logProbabilities, type Outputs } from "./distributions.js";
import { divergence } from "./divergence.js";

/** @returns nats, where outputs are distributions; else the mean of each output's variance over its mean square */
export function spread(outputs: readonly Outputs[]): number {
  const isRelative = divergence(outputs, outputs).kind === "relative";
  const names = [...outputs[0].keys()].filter((name) => isFloatOutput(outputs[0].get(name)!));
  const spreads = names.map((name) => {
    const all = joined(outputs, name);
    return isRelative ? relativeVariance(all.values) : spreadOfRows(all, /logit/i.test(name));
  });
  return spreads.reduce((sum, value) => sum + value, 0) / spreads.length;
}

/** The mean KL divergence of a row from the mean of all: mutual information of inputs and answers. */
function spreadOfRows(all: ReturnType<typeof joined>, areLogits: boolean): number {
  const { width, isLogits } = distributionsOf(all, areLogits)!;
  const count = all.values.length / width;
  const row = (i: number) => logProbabilities(all.values.subarray(i * width, (i + 1) * width), isLogits);
  let mean = new Float64Array(0);
  for (let i = 0; i < count; i++) {
    const logs = row(i);
    if (i === 0) mean = new Float64Array(logs.length);
    for (const [k, log] of logs.entries()) mean[k] += Math.exp(log) / count;
  }
  let sum = 0;
  for (let i = 0; i < count; i++)
    for (const [k, log] of row(i).entries()) sum += Math.exp(log) * (log - Math.log(mean[k]));
  return count === 0 ? 0 : sum / count;
}

function relativeVariance(values: Float32Array): number {
  let [count, sum, square] = [0, 0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
    square += value * value;
  }
  return square === 0 ? 0 : 1 - sum ** 2 / (count * square);
}
