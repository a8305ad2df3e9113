/**
 * What a network's outputs are judged by: its last values that are not just moved about or squashed to probabilities, each in units of its
 * own variance. Of a classifier these are the logits. (The divergence of confident probabilities saturates, and a few that flip rule it.)
 */

import type { RunTensor } from "../runner.js";
import { type CalibrationGraph, intOf, type OnnxNode } from "./graph.js";

export interface Target {
  value: string;
  /** Whether what follows takes no notice of a number added to all along the last axis. */
  isCentred: boolean;
}

const MOVES = new Set([
  "Identity",
  "Cast",
  "Reshape",
  "Transpose",
  "Squeeze",
  "Unsqueeze",
  "Flatten",
  "Concat",
  "Dropout",
]);
const CHOICES = new Set([
  "ArgMax",
  "ArgMin",
  "TopK",
  "NonMaxSuppression",
  "Greater",
  "Less",
  "GreaterOrEqual",
  "LessOrEqual",
]);

export function targetsOf({ nodes, outputs, constants }: CalibrationGraph): Target[] {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const targets = new Map<string, Target>();
  const visit = (value: string, isCentred: boolean): void => {
    const node = makers.get(value);
    const isOurs = node?.domain === "";
    if (isOurs && (MOVES.has(node.opType) || CHOICES.has(node.opType))) {
      const inputs = node.opType === "Concat" ? node.inputs : node.inputs.slice(0, 1);
      for (const input of inputs)
        if (!constants.has(input)) visit(input, isCentred && node.opType === "Identity");
    } else if (isOurs && (node.opType === "Softmax" || node.opType === "LogSoftmax")) {
      targets.set(node.inputs[0], { value: node.inputs[0], isCentred: isOverLast(node) });
    } else targets.set(value, { value, isCentred });
  };
  for (const { name } of outputs) visit(name, false);
  return [...targets.values()].filter(({ value }) => makers.has(value));
}

function isOverLast(node: OnnxNode): boolean {
  // Of logits in two axes the default of old versions is the last one, too.
  return !node.attributes.has("axis") || [-1, 2].includes(intOf(node, "axis", -1));
}

/** Takes the mean along the last axis away, in place. */
export function centre(values: Float32Array, extent: number): Float32Array {
  for (let from = 0; from < values.length; from += extent) {
    let sum = 0;
    for (let i = from; i < from + extent; i++) sum += values[i];
    for (let i = from; i < from + extent; i++) values[i] -= sum / extent;
  }
  return values;
}

export interface ScaledTarget extends Target {
  /** Variance of the values over all inputs. */
  variance: number;
  /** How many targets there are: they count alike. */
  count: number;
}

/** Squared error over variance, as a share of all targets. */
export function relativeError(
  { isCentred, variance, count }: ScaledTarget,
  found: RunTensor,
  exact: RunTensor,
): number {
  const change = (found.data as Float32Array).map((v, i) => v - (exact.data as Float32Array)[i]);
  const values = isCentred ? centre(change, found.shape.at(-1)!) : change;
  let sum = 0;
  for (const v of values) sum += v * v;
  return sum / (variance * values.length * count);
}
