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
import {
  type BitWidths,
  type FrozenScale,
  type Hooks,
  type Quantizers,
  type Scales,
  scaleOf,
} from "@bitdiet/compression-aware";
import { affineQuantizer, type Grid, percentileRange } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";

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

/** The quantizers at these scales. @throws {RangeError} for a tensor without a scale: the model shows another one */
export function bertQuantizers(scales: Scales, { activationBits, weightBits }: BitWidths): Quantizers {
  return {
    weight: (name) => {
      const scale = tensorOf(scaleOf(scales, "weight", name));
      return affineQuantizer({
        bits: weightBits,
        signed: true,
        scale: scale.rank === 1 && isTable(name) ? tf.expandDims(scale, 1) : scale,
      });
    },
    activation: (name) => {
      const scale = tensorOf(scaleOf(scales, "activation", name));
      return affineQuantizer({
        ...activationGrid(name, activationBits),
        scale: scale.rank === 1 ? tf.reshape(scale, [-1, 1, 1]) : scale,
      });
    },
  };
}

const tensorOf = (scale: number | tf.Tensor): tf.Tensor =>
  typeof scale === "number" ? tf.scalar(scale) : scale;

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

/** Where the scales start. @param run the float model on calibration data, with these hooks */
export function initialBertScales(
  run: (hooks: Required<Hooks>) => unknown,
  { activationBits, weightBits }: BitWidths,
  { factor, weightFactor, stepPerSlice }: RangeStart,
): Scales<FrozenScale> {
  const scales: Scales<FrozenScale> = { weight: {}, activation: {} };
  const observe: Required<Hooks> = {
    weight: (w, name) => {
      const high = 2 ** (weightBits - 1) - 1;
      const largest = tf.max(tf.abs(w), stepPerSlice(name) ? (isTable(name) ? 1 : 0) : undefined);
      // A slice of zeros, as untrained tokens may have, gets some positive step.
      const steps = tf.add(tf.mul(largest, weightFactor / high), 1e-8);
      scales.weight[name] = steps.rank === 0 ? steps.dataSync()[0] : steps.dataSync<"float32">().slice();
      return w;
    },
    activation: (a, name) => {
      const { signed, zeroPoint = 0 } = activationGrid(name, activationBits);
      const high = signed ? 2 ** (activationBits - 1) - 1 : 2 ** activationBits - 1 - zeroPoint;
      const step = (x: tf.Tensor) => (magnitude(x) * factor) / high + 1e-8;
      scales.activation[name] = name.endsWith(".probabilities")
        ? Float32Array.from(tf.unstack(a, 1), step)
        : step(a);
      return a;
    },
  };
  tf.tidy(() => void run(observe));
  return scales;
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
const isTable = (name: string): boolean => name.includes("_embeddings.");
