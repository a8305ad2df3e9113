/**
 * A walk through a graph, cut into pieces where layers begin: each piece runs once for the float network and once for the one whose
 * layers have been replaced so far, and of its values those are kept that a later piece needs.
 */
import type { Dtype } from "../../model.js";
import type { CalibrationNetwork, InputStatistics, LayerParameters } from "../network.js";
import { uniform } from "../random.js";
import type { RunTensor } from "../runner.js";
import { floatsLike } from "./float16.js";
import { type CalibrationGraph, type Constant, type OnnxNode, readBy } from "./graph.js";
import { type OnnxLayer, valuesInRows } from "./layers.js";
import { type Moments, momentsOf, momentsPiece } from "./moments.js";
import { loadPiece, type Piece, type Runtime } from "./piece.js";

export type Feed = ReadonlyMap<string, RunTensor>;

export interface Walkable {
  runtime: Runtime;
  graph: CalibrationGraph;
  layers: readonly OnnxLayer[];
  feeds: readonly Feed[];
}

/** Nodes that run together: a layer's and those up to the next layer. */
export interface Cut {
  nodes: readonly OnnxNode[];
  layer?: OnnxLayer;
  /** Values that it takes from earlier pieces, and those that later ones take from it. */
  takes: readonly string[];
  gives: readonly string[];
  /** Values that nothing needs any more. */
  drops: readonly string[];
}

/** Samples of positions that a layer's moments are taken from: so many, and so many for each of its columns. */
const MIN_SAMPLES = 8192;
const SAMPLES_PER_COLUMN = 12;

export function walkOf(
  { runtime, graph, layers, feeds }: Walkable,
  onLayer: (layer: number) => void = () => {},
): CalibrationNetwork["walk"] {
  const cuts = cutsOf(graph, layers);
  return async (replace) => {
    const products = await momentsPiece(runtime, graph);
    // Of each feed: values of the float network, and of the one that changes.
    const values = feeds.map((feed) => [new Map(feed), new Map(feed)] as const);
    let index = 0;
    // A later piece may have a layer's weights, too.
    let { constants } = graph;
    for (const cut of cuts) {
      if (cut.layer) {
        onLayer(index);
        const { isTable } = cut.layer;
        const statistics = isTable
          ? sharesOf(cut.layer, values)
          : await measured(cut.layer, products, values);
        constants = withParameters(constants, cut.layer, replace(index++, statistics));
      }
      await runCut(runtime, graph, cut, constants, values);
    }
    await products.release();
    return outputsOf(graph, values);
  };
}

type Values = readonly (readonly [Map<string, RunTensor>, Map<string, RunTensor>])[];

async function measured(layer: OnnxLayer, products: Piece, values: Values): Promise<InputStatistics> {
  const moments: Moments = momentsOf(products, layer);
  const wanted = Math.max(MIN_SAMPLES, SAMPLES_PER_COLUMN * layer.columns);
  const next = uniform(layer.at);
  for (const [exact, changed] of values) {
    const x = [changed.get(layer.input)!, exact.get(layer.input)!] as const;
    const { count } = layer.window(x[0].shape);
    const kept = Math.min(count, Math.ceil(wanted / values.length));
    // One of each stretch of positions.
    const positions = Int32Array.from({ length: kept }, (_, i) => Math.floor(((i + next()) * count) / kept));
    const { addedTo = "" } = layer;
    const s = [changed.get(addedTo), exact.get(addedTo)];
    const isSum = s[0] && s[1] && sizeOf(s[0]) === count * layer.rows;
    await moments.add(x, isSum ? (s as [RunTensor, RunTensor]) : undefined, positions);
  }
  return moments.means();
}

/** How often each row of a table is looked up, as a share of all inputs. */
function sharesOf({ rows, input }: OnnxLayer, values: Values): InputStatistics {
  const gram = new Float64Array(rows);
  let count = 0;
  for (const [, changed] of values) {
    for (const number of changed.get(input)!.data as Int32Array | BigInt64Array) {
      gram[(Number(number) + rows) % rows]++;
      count++;
    }
  }
  return { gram: gram.map((sum) => sum / count), residual: new Float64Array() };
}

function sizeOf({ shape }: RunTensor): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Runs a piece for all feeds; afterwards what it gives is there, and what nothing needs is not. */
async function runCut(
  runtime: Runtime,
  graph: CalibrationGraph,
  { nodes, layer, takes, gives, drops }: Cut,
  constants: ReadonlyMap<string, Constant>,
  values: Values,
): Promise<void> {
  const inputs = new Map(takes.map((name) => [name, values[0][0].get(name)!.dtype]));
  const load = (own: ReadonlyMap<string, Constant>) =>
    gives.length === 0 ? undefined : loadPiece(runtime, graph, nodes, own, inputs, gives);
  const float = await load(graph.constants);
  const changed = layer ? await load(constants) : float;
  for (const both of values) {
    // What no layer has changed yet is run and kept once.
    const isSame = changed === float && takes.every((name) => both[0].get(name) === both[1].get(name));
    const runs = (isSame ? [float] : [float, changed]).map(
      (piece, i) => () => piece?.run(takes.map((name) => both[i].get(name)!)),
    );
    for (const [i, run] of runs.entries()) {
      const found = await run();
      for (const values of isSame ? both : [both[i]])
        for (const [k, name] of gives.entries()) values.set(name, found![k]);
    }
    for (const values of both) for (const name of drops) values.delete(name);
  }
  await float?.release();
  if (changed !== float) await changed?.release();
}

/** The constants with a layer's in place of its own. */
export function withParameters(
  constants: ReadonlyMap<string, Constant>,
  layer: OnnxLayer,
  { weights, biases }: LayerParameters,
): Map<string, Constant> {
  const changed = new Map(constants);
  const own = constants.get(layer.weight)!;
  changed.set(layer.weight, floatsLike(own, valuesInRows(weights, own.shape, layer.axis), own.shape));
  const bias = constants.get(layer.bias ?? "");
  if (bias) changed.set(layer.bias!, floatsLike(bias, biases, bias.shape));
  return changed;
}

/** Float outputs of the changed network, feed after feed. */
function outputsOf(graph: CalibrationGraph, values: Values): Float32Array {
  const parts = values.flatMap(([, changed]) =>
    graph.outputs.flatMap(({ name }) => {
      const data = changed.get(name)?.data;
      return data instanceof Float32Array ? [data] : [];
    }),
  );
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function cutsOf(graph: CalibrationGraph, layers: readonly OnnxLayer[]): Cut[] {
  const starts = [0, ...layers.map(({ at }) => at)];
  const parts = starts.map((start, i) => ({
    nodes: graph.nodes.slice(start, starts[i + 1] ?? graph.nodes.length),
    layer: i === 0 ? undefined : layers[i - 1],
  }));
  const all = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  all.delete("");
  const needs = parts.map(({ nodes }) => {
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    const used = new Set(nodes.flatMap(readBy));
    return [...used].filter((name) => all.has(name) && !made.has(name));
  });
  const last = new Map<string, number>();
  for (const [i, { layer }] of parts.entries())
    for (const name of [...needs[i], layer?.input, layer?.addedTo]) if (name !== undefined) last.set(name, i);
  for (const { name } of graph.outputs) last.set(name, Infinity);
  return parts.map(({ nodes, layer }, i) => ({
    nodes,
    layer,
    takes: needs[i],
    gives: nodes.flatMap(({ outputs }) => outputs.filter((name) => (last.get(name) ?? -1) > i)),
    drops: [...last].filter(([, use]) => use === i).map(([name]) => name),
  }));
}

/** Types of a feed's tensors, by name. */
export function inputTypes(feed: Feed): Map<string, Dtype> {
  return new Map([...feed].map(([name, { dtype }]) => [name, dtype]));
}
