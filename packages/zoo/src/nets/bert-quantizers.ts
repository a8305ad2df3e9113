// How a BERT is quantized: which tensor on which grid, and where the ranges start.
//
// Quantized: every matrix and all three embedding tables; every activation that is written to memory (see bert.ts).
// Not quantized: biases and LayerNorm's two vectors (bfloat16, counted with the weights), the attention scores
// before softmax and the sums before LayerNorm (they never leave the layer), and the logits.
//
// Grids: weights and most activations are signed and symmetric about 0. Attention probabilities are unsigned, with one step
// a head, because heads differ most in how sharply they look. GELU's output is never below -0.17: a sixteenth of its
// levels is for negative numbers. LayerNorm's outputs have outliers in a few channels: ranges start at a high percentile
// rather than at the maximum, and are learned from there.
// Example: 4 bits: queries have levels -7 .. 7, probabilities 0 .. 15, GELU's output -1 .. 14.
import { affineQuantizer, type Grid, percentileRange } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { lnStepAt, stepNumber } from "../shipping/weights.js";
import type { BitWidths, FrozenRange, Quantizers, Ranges } from "../training/quantized.js";
import type { Hooks } from "./hooks.js";

/** Which weights have a step for each slice: a matrix for each column (output), a table for each row (token). */
export type StepPerSlice = (name: string) => boolean;

/** Matrices gain from it at few bits; a table's rows are short, and their steps would weigh more than they save. */
export const matricesOnly: StepPerSlice = (name) => !isTable(name);

/** The integers of an activation at this bit width. */
export function activationGrid(name: string, bits: number): Grid & { zeroPoint?: number } {
  if (name.endsWith(".probabilities")) return { bits };
  if (name.endsWith(".intermediate")) return { bits, zeroPoint: Math.max(1, 2 ** (bits - 4)) };
  return { bits, signed: true };
}

/** The quantizers at these ranges. @throws {RangeError} for a tensor without a range: the model shows another one */
export function bertQuantizers(ranges: Ranges, { bits, weightBits }: BitWidths): Quantizers {
  return {
    weight: (name) => {
      const scale = tf.exp(rangeOf(ranges.weight, name));
      return affineQuantizer({
        bits: weightBits,
        signed: true,
        scale: scale.rank === 1 && isTable(name) ? tf.expandDims(scale, 1) : scale,
      });
    },
    activation: (name) => {
      const scale = tf.exp(rangeOf(ranges.activation, name));
      return affineQuantizer({
        ...activationGrid(name, bits),
        scale: scale.rank === 1 ? tf.reshape(scale, [-1, 1, 1]) : scale,
      });
    },
  };
}

export interface RangeStart {
  /** Weights' ranges start at this multiple of their largest magnitude, slice by slice where there is a step for each. */
  weightFactor: number;
  /** Activations' ranges start at this multiple of the percentile. */
  factor: number;
  stepPerSlice: StepPerSlice;
}

/** Percentile of the magnitudes that an activation's range starts from. */
const PERCENTILE = 99.9;
/** Elements of an activation that are looked at. */
const SAMPLE = 100_000;

/** Where the ranges start. @param run the float model on calibration data, with these hooks */
export function calibrateBert(
  run: (hooks: Required<Hooks>) => unknown,
  { bits, weightBits }: BitWidths,
  { factor, weightFactor, stepPerSlice }: RangeStart,
): Ranges<FrozenRange> {
  const ranges: Ranges<FrozenRange> = { weight: {}, activation: {} };
  const observe: Required<Hooks> = {
    weight: (w, name) => {
      const high = 2 ** (weightBits - 1) - 1;
      const largest = tf.max(tf.abs(w), stepPerSlice(name) ? (isTable(name) ? 1 : 0) : undefined);
      // A slice of zeros, as untrained tokens may have, gets some positive step.
      const lnSteps = tf.log(tf.add(tf.mul(largest, weightFactor / high), 1e-8));
      ranges.weight[name] =
        lnSteps.rank === 0 ? lnSteps.dataSync()[0] : lnSteps.dataSync<"float32">().slice();
      return w;
    },
    activation: (a, name) => {
      const { signed, zeroPoint = 0 } = activationGrid(name, bits);
      const high = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1 - zeroPoint;
      const lnStep = (x: tf.Tensor) => Math.log((magnitude(x) * factor) / high + 1e-8);
      ranges.activation[name] = name.endsWith(".probabilities")
        ? Float32Array.from(tf.unstack(a, 1), lnStep)
        : lnStep(a);
      return a;
    },
  };
  tf.tidy(() => void run(observe));
  return ranges;
}

/** The ranges on the grid that a file can hold them on. Training's last act: nothing else moves them afterwards. */
export function rangesOnGrid(ranges: Ranges<FrozenRange>): Ranges<FrozenRange> {
  const onGrid = (range: FrozenRange): FrozenRange =>
    typeof range === "number"
      ? lnStepAt(stepNumber(range))
      : range.map((lnStep) => lnStepAt(stepNumber(lnStep)));
  const all = (some: Record<string, FrozenRange>) =>
    Object.fromEntries(Object.entries(some).map(([name, range]) => [name, onGrid(range)]));
  return { weight: all(ranges.weight), activation: all(ranges.activation) };
}

function magnitude(x: tf.Tensor): number {
  const values = tf.abs(x).dataSync();
  const stride = Math.max(1, Math.floor(values.length / SAMPLE));
  const sample = Float32Array.from(
    { length: Math.floor(values.length / stride) },
    (_, i) => values[i * stride],
  );
  return percentileRange(sample, PERCENTILE).max;
}

/** Embedding tables are looked up by row. */
export const isTable = (name: string): boolean => name.includes("_embeddings.");

function rangeOf(ranges: Record<string, tf.Tensor | FrozenRange>, name: string): tf.Tensor {
  const range = ranges[name];
  if (range === undefined) throw new RangeError(`There is no range for "${name}".`);
  return range instanceof tf.Tensor ? range : tf.tensor(range);
}
