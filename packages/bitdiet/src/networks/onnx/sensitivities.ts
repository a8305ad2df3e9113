/**
 * How much a network's outputs depend on each row of each layer, or of a table on each column: mean squares of the gradients of random projections of the outputs (whose
 * expectation is the relative squared error of the outputs for a small error of the row), times the energy of the layer's inputs.
 */

import { normal, uniform } from "../random.js";
import type { RunTensor } from "../runner.js";
import { BACKWARD_MODEL, backwardOf } from "./backward.js";
import type { OnnxLayer } from "./layers.js";
import { loadPiece, type Piece } from "./piece.js";
import { probedErrors } from "./probes.js";
import { centre, type ScaledTarget, targetsOf } from "./targets.js";
import { type Feed, inputTypes, type Walkable } from "./walk.js";

/** Inputs that gradients are taken of, and projections of the outputs for each. */
const MAX_FEEDS = 24;
const PROJECTIONS = 2;
/** Positions of each input that a layer's energy is the mean of. */
const ENERGY_SAMPLES = 64;
const SEED = 21;

export async function sensitivitiesOf(
  walkable: Walkable,
  onFeed: (done: number, total: number) => void = () => {},
): Promise<Float64Array[]> {
  const { layers, feeds } = walkable;
  const step = Math.max(1, feeds.length / MAX_FEEDS);
  const chosen = Array.from(
    { length: Math.min(feeds.length, MAX_FEEDS) },
    (_, i) => feeds[Math.floor(i * step)],
  );
  const targets = await scaledTargets(walkable, chosen);
  const sums = layers.map(({ rows, columns, isTable }) => new Float64Array(isTable ? columns : rows));
  const energies = layers.map(({ groups = 1 }) => new Float64Array(groups));
  const isCovered = layers.map(() => true);
  const next = uniform(SEED);
  let passes: Passes | undefined;
  for (const [i, feed] of chosen.entries()) {
    onFeed(i, chosen.length);
    const shapes = shapesOf(feed);
    if (passes?.shapes !== shapes) {
      await passes?.release();
      passes = await passesFor(walkable, targets, feed, shapes);
    }
    const values = await passes.forward(feed);
    addEnergies(energies, layers, values, next);
    for (let p = 0; p < PROJECTIONS; p++) {
      const squares = await passes.backward(values, (target) =>
        seedOf(target, values.get(target.value)!, next),
      );
      for (const [l, square] of squares.entries()) {
        if (square)
          for (let r = 0; r < square.length; r++) sums[l][r] += square[r] / (chosen.length * PROJECTIONS);
        else isCovered[l] = false;
      }
    }
  }
  await passes?.release();
  for (const all of energies) for (let g = 0; g < all.length; g++) all[g] /= chosen.length;
  const uncovered = layers.filter((_, l) => !isCovered[l]);
  const probed = uncovered.length > 0 ? await probedErrors(walkable, uncovered, targets, chosen) : [];
  for (const [k, layer] of uncovered.entries()) sums[layers.indexOf(layer)].fill(probed[k]);
  return layers.map(({ rows, groups = 1, isTable }, l) =>
    sums[l].map((square, r) => square * (isTable ? 1 : energies[l][Math.floor((r * groups) / rows)])),
  );
}

function shapesOf(feed: Feed): string {
  return [...feed].map(([name, { shape }]) => `${name} ${shape}`).join();
}

/** The targets with their variances. */
async function scaledTargets({ runtime, graph }: Walkable, feeds: readonly Feed[]): Promise<ScaledTarget[]> {
  const found = targetsOf(graph);
  const types = inputTypes(feeds[0]);
  const piece = await loadPiece(
    runtime,
    graph,
    graph.nodes,
    graph.constants,
    types,
    found.map(({ value }) => value),
  );
  const moments = found.map(() => [0, 0, 0]);
  const isFloat = found.map(() => true);
  for (const feed of feeds) {
    const tensors = await piece.run([...types.keys()].map((name) => feed.get(name)!));
    for (const [t, { data, shape }] of tensors.entries()) {
      if (!(data instanceof Float32Array)) {
        isFloat[t] = false;
        continue;
      }
      const values = found[t].isCentred ? centre(data.slice(), shape.at(-1)!) : data;
      for (const v of values) {
        moments[t][0]++;
        moments[t][1] += v;
        moments[t][2] += v * v;
      }
    }
  }
  await piece.release();
  const varied = found.flatMap((target, t) => {
    const [count, sum, square] = moments[t];
    const variance = square / count - (sum / count) ** 2;
    return isFloat[t] && variance > 0 ? [{ ...target, variance }] : [];
  });
  return varied.map((target) => ({ ...target, count: varied.length }));
}

interface Passes {
  shapes: string;
  forward(feed: Feed): Promise<Map<string, RunTensor>>;
  backward(
    values: ReadonlyMap<string, RunTensor>,
    seed: (target: ScaledTarget) => Float32Array,
  ): Promise<(Float32Array | undefined)[]>;
  release(): Promise<void>;
}

/** The forward pass, with all values that the backward one wants, and the backward pass for inputs of these shapes. */
async function passesFor(
  { runtime, graph, layers }: Walkable,
  targets: readonly ScaledTarget[],
  feed: Feed,
  shapes: string,
): Promise<Passes> {
  const types = inputTypes(feed);
  const names = [...types.keys()];
  const runForward = async (piece: Piece, inputs: Feed) => {
    const found = await piece.run(names.map((name) => inputs.get(name)!));
    return new Map([...inputs, ...piece.outputs.map((name, i) => [name, found[i]] as const)]);
  };
  const load = (outputs: readonly string[]) =>
    loadPiece(runtime, graph, graph.nodes, graph.constants, types, outputs);
  const all = await load(graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== ""));
  const everything = await runForward(all, feed);
  await all.release();
  const shapeOf = new Map([...everything].map(([name, { shape }]) => [name, shape]));
  const seeds = new Map(targets.map(({ value }, t) => [value, `seed ${t}`]));
  const { nodes, constants, takes, squares } = backwardOf(graph, layers, shapeOf, seeds);
  const wanted = new Set([
    ...takes,
    ...layers.map(({ input }) => input),
    ...targets.map(({ value }) => value),
  ]);
  for (const name of names) wanted.delete(name);
  const forward = await load([...wanted]);
  const used = new Map(takes.map((name) => [name, everything.get(name)!.dtype]));
  for (const seed of seeds.values()) used.set(seed, "float32");
  const results = squares.filter((name) => name !== undefined);
  // Where gradients reach no layer there is nothing to run.
  const backward =
    results.length > 0
      ? await loadPiece(runtime, BACKWARD_MODEL, nodes, constants, used, results)
      : undefined;
  return {
    shapes,
    forward: (inputs) => runForward(forward, inputs),
    async backward(values, seed) {
      const given = takes.map((name) => values.get(name)!);
      const seeded = targets.map((target) => {
        const { shape } = values.get(target.value)!;
        return { dtype: "float32" as const, shape, data: seed(target) };
      });
      const found = await backward?.run([...given, ...seeded]);
      const data = new Map(results.map((name, i) => [name, found![i].data as Float32Array]));
      return squares.map((name) => (name === undefined ? undefined : data.get(name)));
    },
    async release() {
      await Promise.all([forward.release(), backward?.release()]);
    },
  };
}

/** A random direction whose projection has the relative squared error as its mean square. */
function seedOf(
  { isCentred, variance, count }: ScaledTarget,
  { shape }: RunTensor,
  next: () => number,
): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  const scale = 1 / Math.sqrt(variance * size * count);
  const seed = Float32Array.from({ length: size }, () => scale * normal(next));
  return isCentred ? centre(seed, shape.at(-1)!) : seed;
}

function addEnergies(
  energies: readonly Float64Array[],
  layers: readonly OnnxLayer[],
  values: ReadonlyMap<string, RunTensor>,
  next: () => number,
): void {
  for (const [l, { input, columns, groups = 1, window, isTable }] of layers.entries()) {
    if (isTable) continue;
    const { shape, data } = values.get(input)!;
    const { count, read } = window(shape);
    const samples = Math.min(count, ENERGY_SAMPLES);
    const patch = new Float32Array(columns);
    for (let s = 0; s < samples; s++) {
      const position = Math.floor(((s + next()) * count) / samples);
      for (let g = 0; g < groups; g++) {
        read(position, g, data as Float32Array, patch, 0);
        let sum = 0;
        for (const x of patch) sum += x * x;
        energies[l][g] += sum / samples;
      }
    }
  }
}
