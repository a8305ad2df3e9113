// Three ways to spend one budget of bits on the channels of a network, 0 bits being a pruned channel: a search by two
// controllers, as AJPQ's abstract has it (Tang, Wei, Li, arXiv 2011.06231; the rest is ours, see bit-search in
// @bitdiet/fake-quant); equal slopes of measured curves, with as many evaluations; and equal slopes to second order, with
// none. Example: at half of 8 bits a layer that the outputs hardly mind has 2 and lost a few channels, the first has 6.
import { allocateFromCurves, searchBits } from "@bitdiet/fake-quant";
import { MAX_BITS } from "../transform-quantization/blocks.js";
import { type ChannelLayer, packedBits, type Widths } from "./channel-network.js";

/** Widths within a budget of packed bits. */
export type Allocation = (
  layers: ChannelLayer[],
  budget: number,
  evaluate: Evaluate,
  seed: number,
) => Widths | Promise<Widths>;
/** Minus the squared error of an image's logits. */
export type Evaluate = (widths: Widths) => number;

/** Channels of a layer, by importance, are measured in so many groups, at these widths: as many evaluations as the search has. */
const GROUPS = 4;
const MEASURED_WIDTHS = [0, 2, 4];

/** L1 norm of a channel: the importance that all controllers share. */
const importance = ({ channels }: ChannelLayer): number[] =>
  channels.map(({ values }) => values.reduce((sum, value) => sum + Math.abs(value), 0));

/** The last layer has the classes as channels: none may go. It keeps 8 bits, and is no part of the search. */
const withLast = (layers: readonly ChannelLayer[], widths: Widths): Widths => [
  ...widths,
  new Uint8Array(layers[layers.length - 1].channels.length).fill(MAX_BITS),
];

export const bySearch: Allocation = async (layers, budget, evaluate, seed) => {
  const searched = layers.slice(0, -1);
  const trials = evaluations(layers);
  const found = await searchBits(
    searched.map(({ channels }) => channels.length),
    (bits) => evaluate(withLast(layers, bits)),
    {
      trials,
      seed,
      importance: searched.map(importance),
      maxBits: MAX_BITS,
      cost: (bits) => packedBits(layers, withLast(layers, bits)),
      budget,
    },
  );
  return withLast(layers, found);
};

/** Channels of a layer in groups of like importance. */
function groupsOf(layer: ChannelLayer): number[][] {
  const weights = importance(layer);
  const order = weights.map((_, c) => c).sort((a, b) => weights[b] - weights[a]);
  const size = Math.ceil(order.length / GROUPS);
  return Array.from({ length: GROUPS }, (_, g) => order.slice(g * size, (g + 1) * size));
}

export const evaluations = (layers: readonly ChannelLayer[]): number =>
  (layers.length - 1) * GROUPS * MEASURED_WIDTHS.length;

export const byMeasuredCurves: Allocation = (layers, budget, evaluate) => {
  const searched = layers.slice(0, -1);
  const groups = searched.flatMap((layer, l) => groupsOf(layer).map((channels) => ({ l, channels })));
  const full = layers.map(({ channels }) => new Uint8Array(channels.length).fill(MAX_BITS));
  const curves = groups.map(({ l, channels }) => {
    const points = MEASURED_WIDTHS.map((bits) => {
      const widths = full.map((layer) => layer.slice());
      for (const c of channels) widths[l][c] = bits;
      return -evaluate(widths);
    });
    return interpolated(points);
  });
  const sizes = groups.map(({ l, channels }) => channels.length * layers[l].channels[0].values.length);
  return withinBudget(layers, budget, (meanBits) => {
    const bits = allocateFromCurves(curves, { meanBits, weights: sizes });
    const widths = searched.map(({ channels }) => new Uint8Array(channels.length));
    for (const [g, { l, channels }] of groups.entries()) for (const c of channels) widths[l][c] = bits[g];
    return withLast(layers, widths);
  });
};

/** Errors at all widths: geometrically between the measured ones, and a quarter a bit beyond the last. */
function interpolated(points: readonly number[]): number[] {
  return Array.from({ length: MAX_BITS + 1 }, (_, bits) => {
    const right = MEASURED_WIDTHS.findIndex((width) => width >= bits);
    const last = points.length - 1;
    if (right < 0) return points[last] * 4 ** (MEASURED_WIDTHS[last] - bits);
    if (MEASURED_WIDTHS[right] === bits) return points[right];
    const [from, to] = [MEASURED_WIDTHS[right - 1], MEASURED_WIDTHS[right]];
    return points[right - 1] * (points[right] / points[right - 1]) ** ((bits - from) / (to - from));
  });
}

export const bySecondOrder: Allocation = (layers, budget) => {
  const searched = layers.slice(0, -1);
  const curves = searched.flatMap(({ grids }) =>
    grids.map((points) => points.map(({ distortion }) => distortion)),
  );
  const sizes = searched.flatMap(({ channels }) => channels.map(({ values }) => values.length));
  return withinBudget(layers, budget, (meanBits) => {
    const bits = allocateFromCurves(curves, { meanBits, weights: sizes });
    let next = 0;
    return withLast(
      layers,
      searched.map(({ channels }) => bits.slice(next, (next += channels.length))),
    );
  });
};

/** The most bits a weight whose allocation keeps the budget: pruning frees what other layers no longer read. */
function withinBudget(
  layers: ChannelLayer[],
  budget: number,
  widthsAt: (meanBits: number) => Widths,
): Widths {
  let [low, high] = [0, MAX_BITS];
  for (let step = 0; step < 16; step++) {
    const middle = (low + high) / 2;
    if (packedBits(layers, widthsAt(middle)) <= budget) low = middle;
    else high = middle;
  }
  return widthsAt(low);
}
