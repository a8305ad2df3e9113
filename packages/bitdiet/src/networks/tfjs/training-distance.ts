/**
 * How far what a network sees is from what it was trained on, by the batch norm behind its first layer; and the range of pixels that comes
 * nearest to it.
 *
 *     trainingDistance(program, feeds); // { layer: "conv1", ratio: 1.1, shift: 0.2 }
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Feeds, madeUpInputs } from "../inputs/made-up.js";
import type { InputHints } from "../inputs/shapes.js";
import type { InputStatistics } from "../network.js";
import { uniform } from "../random.js";
import { batchesOf } from "./batches.js";
import { momentsOf } from "./moments.js";
import type { Program, ProgramLayer } from "./program.js";
import { tensorsOf } from "./walk.js";

export interface TrainingDistance {
  /** Name of the layer that was looked at. */
  layer: string;
  /** Of the outputs' deviation to that in training, and of their mean in deviations; medians over the layer's rows. */
  ratio: number;
  shift: number;
}

/** Inputs that are enough for two moments, and pixels' ranges that models expect. */
const INPUTS = 16;
const RANGES: NonNullable<InputHints["range"]>[] = [
  { mean: [0.5], deviation: [0.5] },
  { mean: [0], deviation: [1] },
  { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
  { mean: [0], deviation: [1 / 255] },
  { mean: [0.485, 0.456, 0.406], deviation: [1 / 255, 1 / 255, 1 / 255] },
];
const SEED = 22;

/** Undefined where the first layer has no batch norm. */
export function trainingDistance(program: Program, feeds: readonly Feeds[]): TrainingDistance | undefined {
  const index = program.operations.findIndex(({ layer }) => layer !== undefined);
  const first = program.operations[index];
  const layer = program.layers[first.layer!];
  if (!layer.trained) return undefined;
  const batches = batchesOf(program.inputs, feeds.slice(0, INPUTS));
  const count = Math.min(INPUTS, batches.count);
  const moments = momentsOf(layer, count, uniform(SEED));
  for (let from = 0; from < count; from += batches.size) {
    tf.tidy(() => {
      const values = batches.slice(from, Math.min(count, from + batches.size));
      for (const { inputs, run, finish } of program.operations.slice(0, index)) {
        const output = run(inputs.map((value) => values[value]));
        values.push(finish ? finish(output) : output);
      }
      const input = values[first.inputs[0]];
      moments.add(input, first.run([input], tensorsOf(layer, layer)));
    });
  }
  return { layer: layer.name, ...distanceOf(layer, moments.means()) };
}

/** The range of pixels whose made-up pictures come nearest to training; undefined where nothing tells. */
export function fittingRange(program: Program, seed: number): InputHints["range"] {
  let best: { range: InputHints["range"]; distance: number } | undefined;
  for (const range of RANGES) {
    const found = trainingDistance(
      program,
      madeUpInputs(program.inputs, { count: INPUTS, seed, hints: { range } }),
    );
    if (!found) return undefined;
    const distance = Math.abs(Math.log(Math.max(found.ratio, 1e-6))) + found.shift;
    if (!best || distance < best.distance) best = { range, distance };
  }
  return best?.range;
}

function distanceOf(
  { rows, columns, groups = 1, weights, biases, trained }: ProgramLayer,
  { gram }: InputStatistics,
): { ratio: number; shift: number } {
  const { means, deviations } = trained!;
  const n = columns + 1;
  const ratios: number[] = [];
  const shifts: number[] = [];
  for (let r = 0; r < rows; r++) {
    // A channel that never varied says nothing.
    if (!(deviations[r] > 1e-3)) continue;
    const at = Math.floor((r * groups) / rows) * n * n;
    const row = [...weights.subarray(r * columns, (r + 1) * columns), biases[r]];
    let [mean, square] = [0, 0];
    for (let a = 0; a < n; a++) {
      mean += row[a] * gram[at + a * n + columns];
      for (let b = 0; b < n; b++) square += row[a] * gram[at + a * n + b] * row[b];
    }
    ratios.push(Math.sqrt(Math.max(0, square - mean ** 2)) / deviations[r]);
    shifts.push(Math.abs(mean - means[r]) / deviations[r]);
  }
  return { ratio: median(ratios), shift: median(shifts) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
