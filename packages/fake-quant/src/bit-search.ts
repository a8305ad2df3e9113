/**
 * Search for bit widths per channel, 0 bits being a pruned channel, so that pruning and mixed precision are one search
 * with one score. After AJPQ (Tang, Wei, Li 2020, arXiv 2011.06231), of which this is a reconstruction: the abstract
 * has a layer controller for sparsity and a channel controller for widths, sharing one measure of importance; states,
 * rewards and learning rule are ours. Actions become widths as in HAQ (Wang et al. 2019, arXiv 1811.08886).
 *
 * Each layer has three actions in 0 .. 1: the share of its channels to prune (layer controller), the width of its most
 * important channel, and the part of it that is lost towards the least important one kept (channel controller). The
 * policy is a Gauss distribution over all actions. It follows the natural gradient of the expected rank of the score
 * (SNES; Schaul, Glasmachers, Schmidhuber 2011), a policy gradient that needs neither critic nor learning rates.
 *
 * 5 channels by falling importance, actions [0.5, 0.5, 0.5], up to 8 bits: widths 4 3 2 0 0.
 */
import { checkSeed, normalSource } from "./random.js";

export interface BitSearchOptions {
  /** Evaluations to spend, a positive integer. */
  trials: number;
  /** Integer; the same seed and scores give the same result. */
  seed: number;
  /**
   * Importance of each channel, a list a layer; only its order within the layer counts, equals by index. By default a
   * layer's first channel is its most important. The L1 norm of a filter is the usual choice:
   * `tf.sum(tf.abs(w), [0, 1, 2]).dataSync()`.
   */
  importance?: ArrayLike<number>[];
  /** Largest width, 1 .. 16; 8 by default. */
  maxBits?: number;
  /**
   * What must stay within `budget`: `(bits) => sizeBits(bits, weightsPerChannel)`, or operations, or energy. It must
   * not rise when a width falls. Without one, let the score pay for the size.
   */
  cost?: (bits: Uint8Array[]) => number;
  /** Each candidate is lowered until it costs at most this, from the last layer backwards, and evaluated then. */
  budget?: number;
}

/**
 * The best of `trials` allocations, one array of widths a layer. The first is the policy's start, half of maxBits
 * everywhere, the next are drawn. Each layer keeps its most important channel. Of equal scores the earliest counts.
 *
 * Where distortions of groups add up and can be measured, `allocateFromCurves` needs no search. This is for scores that
 * only the whole network has, such as accuracy.
 *
 * @param channelsPerLayer channels of each layer, at least one
 * @param evaluate score of an allocation, higher is better; called `trials` times, one at a time. It may keep the arrays
 * @throws {RangeError} if channelsPerLayer, trials, seed, maxBits or importance is out of range, a score is not finite,
 *   or the budget is too small for one channel of 1 bit in each layer
 * @throws {TypeError} if only one of cost and budget is given
 */
export async function searchBits(
  channelsPerLayer: ArrayLike<number>,
  evaluate: (bits: Uint8Array[]) => number | Promise<number>,
  { trials, seed, importance, maxBits = 8, cost, budget }: BitSearchOptions,
): Promise<Uint8Array[]> {
  if (!Number.isInteger(trials) || trials < 1) {
    throw new RangeError(`trials: expected a positive integer, got ${trials}`);
  }
  checkSeed(seed);
  checkMaxBits(maxBits);
  if ((cost === undefined) !== (budget === undefined)) {
    throw new TypeError(`cost, budget: expected both or neither, got only ${cost ? "cost" : "budget"}`);
  }
  if (channelsPerLayer.length === 0) {
    throw new RangeError("channelsPerLayer: expected at least one layer, got none");
  }
  if (importance !== undefined && importance.length !== channelsPerLayer.length) {
    throw new RangeError(
      `importance: expected ${channelsPerLayer.length} lists, one a layer, got ${importance.length}`,
    );
  }
  const orders = Array.from(channelsPerLayer, (channels, l) => channelOrder(channels, importance?.[l], l));
  if (cost !== undefined && budget !== undefined) checkBudget(orders, cost, budget);

  const tryActions = async (actions: Float64Array) => {
    const bits = orders.map((order, l) => layerBits(actions.subarray(3 * l, 3 * l + 3), order, maxBits));
    if (cost !== undefined && budget !== undefined) lowerToBudget(bits, orders, cost, budget);
    const score = await evaluate(bits.map((layer) => layer.slice()));
    if (!Number.isFinite(score)) throw new RangeError(`evaluate: expected a finite score, got ${score}`);
    return { bits, score };
  };

  const size = 3 * orders.length;
  const mean = Float64Array.from({ length: size }, (_, i) => (i % 3 === 1 ? 0.5 : 0));
  // About one width of eight; sparsity has farther to go before a layer of few channels loses one.
  const deviation = Float64Array.from({ length: size }, (_, i) => (i % 3 === 0 ? 0.2 : 0.1));
  const population = 4 + Math.floor(3 * Math.log(size));
  const normal = normalSource(seed);
  let best = await tryActions(mean);
  for (let tried = 1; tried < trials; ) {
    const samples: Sample[] = [];
    for (; samples.length < population && tried < trials; tried++) {
      const noise = Float64Array.from(mean, normal);
      const found = await tryActions(mean.map((m, i) => m + deviation[i] * noise[i]));
      samples.push({ noise, score: found.score });
      if (found.score > best.score) best = found;
    }
    if (samples.length === population) followGradient(mean, deviation, samples);
  }
  return best.bits;
}

/**
 * HAQ's mapping from an action to a width: 0 .. 1 in equal parts onto minBits .. maxBits. Ties go to even, and what is
 * beyond the ends is clamped: HAQ's own formula rounds action 0 to minBits - 1 or minBits, depending on minBits.
 *
 * Onto 1 .. 8: 0.05 is 1, 0.5 is 4, 0.99 is 8.
 */
export function bitsFromAction(action: number, minBits: number, maxBits: number): number {
  const width = roundToEven(minBits - 0.5 + action * (maxBits - minBits + 1));
  return Math.min(maxBits, Math.max(minBits, width));
}

export interface SizeOptions {
  /** Largest width, which says how many bits a width takes to store; 8 by default. */
  maxBits?: number;
  /**
   * For each layer the index of the one whose channels are its inputs, if there is just one: weights on pruned inputs
   * are not stored. A plain chain of three layers: `[undefined, 0, 1]`.
   */
  inputs?: ArrayLike<number | undefined>;
}

/**
 * Bits that a network takes without entropy coding: width times weights of each channel, and beside them
 * ceil(log2(maxBits + 1)) bits a channel for its width, and 32 for the scale of each one that is kept.
 *
 * Two layers of 2 channels of 9 weights each, widths [4, 0] and [8, 1]: 117 + 4 * 4 + 3 * 32 = 229.
 *
 * @param weightsPerChannel weights of one output channel, one number a layer
 * @throws {RangeError} if weightsPerChannel or inputs do not match the layers, or maxBits is out of range
 */
export function sizeBits(
  bits: ArrayLike<ArrayLike<number>>,
  weightsPerChannel: ArrayLike<number>,
  { maxBits = 8, inputs }: SizeOptions = {},
): number {
  checkMaxBits(maxBits);
  const widthBits = Math.ceil(Math.log2(maxBits + 1));
  let size = 0;
  for (const [l, weights] of remainingWeights(bits, weightsPerChannel, inputs).entries()) {
    for (let c = 0; c < bits[l].length; c++) size += bits[l][c] * weights + (bits[l][c] > 0 ? 32 : 0);
    size += widthBits * bits[l].length;
  }
  return size;
}

/**
 * Weights that each layer still has, pruned channels and what reads them left out. Times the positions that a layer
 * computes, these are its multiplications. Parameters and errors are those of `sizeBits`.
 */
export function keptWeights(
  bits: ArrayLike<ArrayLike<number>>,
  weightsPerChannel: ArrayLike<number>,
  inputs?: ArrayLike<number | undefined>,
): number[] {
  return remainingWeights(bits, weightsPerChannel, inputs).map((weights, l) => weights * keptCount(bits[l]));
}

/** Weights of one kept channel of each layer. */
function remainingWeights(
  bits: ArrayLike<ArrayLike<number>>,
  weightsPerChannel: ArrayLike<number>,
  inputs?: ArrayLike<number | undefined>,
): number[] {
  if (weightsPerChannel.length !== bits.length) {
    throw new RangeError(
      `weightsPerChannel: expected ${bits.length} numbers, one a layer, got ${weightsPerChannel.length}`,
    );
  }
  return Array.from(weightsPerChannel, (weights, l) => {
    const input = inputs?.[l];
    if (input === undefined) return weights;
    if (!Number.isInteger(input) || input < 0 || input >= bits.length || input === l) {
      throw new RangeError(`inputs[${l}]: expected the index of another layer, got ${input}`);
    }
    return (weights * keptCount(bits[input])) / bits[input].length;
  });
}

function keptCount(layer: ArrayLike<number>): number {
  let count = 0;
  for (let c = 0; c < layer.length; c++) if (layer[c] > 0) count++;
  return count;
}

/** Widths of one layer for its three actions, which are clamped to 0 .. 1; `order` lists channels by falling importance. */
export function layerBits(actions: ArrayLike<number>, order: ArrayLike<number>, maxBits: number): Uint8Array {
  const [sparsity, top, fall] = Array.from(actions, (action) => Math.min(1, Math.max(0, action)));
  const bits = new Uint8Array(order.length);
  const kept = order.length - roundToEven(sparsity * (order.length - 1));
  const highest = bitsFromAction(top, 1, maxBits);
  for (let rank = 0; rank < kept; rank++) {
    bits[order[rank]] = roundToEven(highest * (1 - (fall * rank) / Math.max(1, kept - 1)));
  }
  return bits;
}

/**
 * Takes a bit from every channel of a layer, from the last layer backwards, again and again as HAQ does; in the layer
 * with which the budget is met, only from as many channels as it takes, the least important first.
 */
export function lowerToBudget(
  bits: Uint8Array[],
  orders: ArrayLike<number>[],
  cost: (bits: Uint8Array[]) => number,
  budget: number,
): void {
  const lower = (l: number, rank: number) => {
    const channel = orders[l][rank];
    if (bits[l][channel] > (rank === 0 ? 1 : 0)) bits[l][channel]--;
  };
  for (let l = bits.length - 1; !(cost(bits) <= budget); l = (l || bits.length) - 1) {
    const before = bits[l].slice();
    for (let rank = 0; rank < before.length; rank++) lower(l, rank);
    if (!(cost(bits) <= budget)) continue;
    bits[l].set(before);
    for (let rank = before.length - 1; !(cost(bits) <= budget); rank--) lower(l, rank);
  }
}

interface Sample {
  /** Standard normal, what was drawn for each action. */
  noise: Float64Array;
  score: number;
}

/** One step of SNES: the better half of the samples, by rank, pulls mean and deviation. Changes both in place. */
export function followGradient(mean: Float64Array, deviation: Float64Array, samples: Sample[]): void {
  const count = samples.length;
  const weights = samples.map((_, rank) => Math.max(0, Math.log(count / 2 + 1) - Math.log(rank + 1)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const ranked = [...samples].sort((a, b) => b.score - a.score);
  const rate = (3 + Math.log(mean.length)) / (5 * Math.sqrt(mean.length));
  for (let i = 0; i < mean.length; i++) {
    let byMean = 0;
    let byDeviation = 0;
    for (const [rank, { noise }] of ranked.entries()) {
      const utility = weights[rank] / total - 1 / count;
      byMean += utility * noise[i];
      byDeviation += utility * (noise[i] ** 2 - 1);
    }
    // Beyond 0 .. 1 all actions are alike, and a mean that had wandered off would not find back.
    mean[i] = Math.min(1, Math.max(0, mean[i] + deviation[i] * byMean));
    deviation[i] *= Math.exp((rate / 2) * byDeviation);
  }
}

/** Channels by falling importance. */
function channelOrder(channels: number, importance: ArrayLike<number> | undefined, l: number): number[] {
  if (!Number.isInteger(channels) || channels < 1) {
    throw new RangeError(`channelsPerLayer[${l}]: expected a positive integer, got ${channels}`);
  }
  const order = Array.from({ length: channels }, (_, c) => c);
  if (importance === undefined) return order;
  if (importance.length !== channels) {
    throw new RangeError(`importance[${l}]: expected ${channels} numbers, got ${importance.length}`);
  }
  for (const c of order) {
    if (Number.isFinite(importance[c])) continue;
    throw new RangeError(`importance[${l}][${c}]: expected a finite number, got ${importance[c]}`);
  }
  return order.sort((a, b) => importance[b] - importance[a]);
}

function checkBudget(orders: number[][], cost: (bits: Uint8Array[]) => number, budget: number): void {
  const least = cost(orders.map((order) => Uint8Array.from(order, (_, c) => (c === order[0] ? 1 : 0))));
  if (least <= budget) return;
  throw new RangeError(
    `budget: expected at least ${least}, the cost of one channel of 1 bit in each layer, got ${budget}`,
  );
}

function checkMaxBits(maxBits: number): void {
  if (!Number.isInteger(maxBits) || maxBits < 1 || maxBits > 16) {
    throw new RangeError(`maxBits: expected an integer from 1 to 16, got ${maxBits}`);
  }
}

function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
