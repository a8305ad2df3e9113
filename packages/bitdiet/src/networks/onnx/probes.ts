/**
 * How much a network's outputs depend on a layer, found by running it with noise on the layer's weights: for layers that gradients do not
 * reach. All of these weights are inputs of one session.
 */

import { uniform } from "../random.js";
import type { RunTensor } from "../runner.js";
import type { OnnxLayer } from "./layers.js";
import { valuesInRows } from "./layers.js";
import { loadPiece } from "./piece.js";
import { relativeError, type ScaledTarget } from "./targets.js";
import { type Feed, inputTypes, type Walkable } from "./walk.js";

/** Inputs that each layer is probed with, and noise relative to the weights. */
const MAX_FEEDS = 8;
const NOISE = 0.05;
const SEED = 22;

/** @returns for each layer the relative squared error of the targets for an error of 1 in the square of its outputs' change */
export async function probedErrors(
  { runtime, graph }: Walkable,
  layers: readonly OnnxLayer[],
  targets: readonly ScaledTarget[],
  feeds: readonly Feed[],
): Promise<number[]> {
  const chosen = feeds.slice(0, MAX_FEEDS);
  const types = inputTypes(feeds[0]);
  const weights = layers.map((layer): RunTensor => {
    const { shape } = graph.constants.get(layer.weight)!;
    return { dtype: "float32", shape, data: valuesInRows(layer.weights, shape, layer.axis) };
  });
  const constants = new Map(graph.constants);
  const inputs = new Map(types);
  for (const { weight } of layers) {
    constants.delete(weight);
    inputs.set(weight, "float32");
  }
  const known = new Set([...inputs.keys(), ...constants.keys()]);
  const layerInputs = [...new Set(layers.map(({ input }) => input))].filter((name) => !known.has(name));
  const values = targets.map(({ value }) => value);
  const piece = await loadPiece(runtime, graph, graph.nodes, constants, inputs, [...values, ...layerInputs]);
  const [errors, changes] = [layers.map(() => 0), layers.map(() => 0)];
  const next = uniform(SEED);
  for (const feed of chosen) {
    const given = [...types.keys()].map((name) => feed.get(name)!);
    const exact = await piece.run([...given, ...weights]);
    const inputOf = (name: string) => feed.get(name) ?? exact[values.length + layerInputs.indexOf(name)];
    for (const [l, layer] of layers.entries()) {
      const { noise, noisy } = withNoise(layer, weights[l], next);
      changes[l] += meanChange(layer, noise, inputOf(layer.input), next);
      const found = await piece.run([...given, ...weights.map((weight, k) => (k === l ? noisy : weight))]);
      for (const [t, target] of targets.entries()) errors[l] += relativeError(target, found[t], exact[t]);
    }
  }
  await piece.release();
  return errors.map((error, l) => error / Math.max(changes[l], 1e-30));
}

function withNoise({ rows, columns, weights, axis }: OnnxLayer, { shape }: RunTensor, next: () => number) {
  let square = 0;
  for (const w of weights) square += w * w;
  const scale = NOISE * Math.sqrt((3 * square) / (rows * columns));
  const noise = weights.map(() => scale * (2 * next() - 1));
  const sum = weights.map((w, i) => w + noise[i]);
  const noisy: RunTensor = { dtype: "float32", shape, data: valuesInRows(sum, shape, axis) };
  return { noise, noisy };
}

/** Mean over positions of the squared change of all of a layer's outputs. */
function meanChange(
  { rows, columns, groups = 1, window, isTable }: OnnxLayer,
  noise: Float32Array,
  { shape, data }: RunTensor,
  next: () => number,
): number {
  if (isTable) return (noise.reduce((sum, value) => sum + value ** 2, 0) * columns) / noise.length;
  const { count, read } = window(shape);
  const samples = Math.min(count, 16);
  const patch = new Float32Array(columns);
  let sum = 0;
  for (let s = 0; s < samples; s++) {
    const position = Math.floor(((s + next()) * count) / samples);
    for (let g = 0; g < groups; g++) {
      read(position, g, data as Float32Array, patch, 0);
      for (let r = (g * rows) / groups; r < ((g + 1) * rows) / groups; r++) {
        let change = 0;
        for (let c = 0; c < columns; c++) change += noise[r * columns + c] * patch[c];
        sum += (change * change) / samples;
      }
    }
  }
  return sum;
}
