// A network whose filters are coefficients times a basis, both quantized in blocks, whose widths spend a common budget at equal
// slopes; shipped as one file, read back and evaluated. For any transform, and curves measured or of second order.
// Example: 16 components of which 4 have 4 bits, 8 have 2 and 4 have none, their basis 5 bits: 2.2 bits a weight of 3 x 3 x 16 x 32.

import type { Parameters } from "@bitdiet/compression-aware";
import { exactTensor, written } from "@bitdiet/zoo/shipping/ship";
import * as tf from "@tensorflow/tfjs-core";
import { judgeWeights } from "../judge.js";
import { matchedBiases } from "../match-means.js";
import type { Measured } from "../recipe.js";
import { biasesOf, retrain } from "../retrain.js";
import type { Testbed } from "../testbed.js";
import { packBlocks } from "./blocks.js";
import {
  type Curves,
  type FactoredFilter,
  factorIntegers,
  factorNetwork,
  factorTensors,
  filtersOf,
  gridsAtSlope,
  measuredCurves,
  proxyCurves,
  storedBlocks,
  trainableFilters,
  withFactors,
} from "./factored-network.js";
import { sizesOf, withPublishedPacking } from "./published-packing.js";
import type { TransformOf } from "./transformed-weights.js";

export interface TransformQuantization {
  transformOf: TransformOf;
  /** Input channels ("rows"), output channels ("columns"), or the fewer of both unless given. */
  axis?: "input" | "output";
  /** Bits a weight packed as published, everything counted. */
  bits: number;
  /** Images that blocks are measured on; unless given, curves are of second order. */
  images?: number;
  /** Whether biases make up for what quantization did to the channels' means, which is not in the paper. */
  matchesMeans?: boolean;
  /** Whether the factors are trained on once widths and steps are fixed. */
  retrains?: boolean;
}

/** Allocates, trains on if asked to, ships, judges. */
export async function transformCodedWeights(
  testbed: Testbed,
  options: TransformQuantization,
): Promise<Measured> {
  const { transformOf, bits, images } = options;
  const filters = factorNetwork(testbed, transformOf, options.axis);
  const curves = images ? measuredCurves(testbed, filters, images) : proxyCurves(filters);
  const grids = withinBudget(filters, curves, blockBytes(testbed, bits));
  const network = options.retrains
    ? await retrained(testbed, filters, grids)
    : { filters, floats: options.matchesMeans ? matchedMeans(testbed, filters, grids) : {} };
  const measured = await judged(testbed, network, grids);
  tf.dispose(network.floats);
  const blocks = Object.values(storedBlocks(network.filters, grids)).flat();
  const zero = blocks.filter(({ grid }) => grid.bits === 0).length;
  return { ...withPublishedPacking(measured, blocks, sizesOf(testbed)), notes: { "blocks of 0 bits": zero } };
}

/** Biases that give every channel its mean back. */
function matchedMeans(testbed: Testbed, filters: FactoredFilter[], grids: Grids): Parameters {
  const decoded = tf.tidy(() => trainableFilters(filters, grids, factorTensors(filters)));
  const biases = matchedBiases(testbed, decoded);
  tf.dispose(decoded);
  return biases;
}

/** Trains both factors and the biases on. */
async function retrained(testbed: Testbed, filters: FactoredFilter[], grids: Grids): Promise<Network> {
  const factors = factorTensors(filters);
  const biases = biasesOf(testbed.start);
  const trained = await retrain(testbed, { ...factors, ...biases }, (now) => ({
    ...now,
    ...trainableFilters(filters, grids, now),
  }));
  tf.dispose(factors);
  const floats = Object.fromEntries(Object.keys(biases).map((name) => [name, tf.clone(trained[name])]));
  const network = { filters: withFactors(filters, trained), floats };
  tf.dispose(trained);
  return network;
}

interface Network {
  filters: FactoredFilter[];
  /** Biases, where they are not the float network's. */
  floats: Parameters;
}
type Grids = ReturnType<typeof gridsAtSlope>;

/** Bytes that are left to the blocks of a file of so many bits a weight. */
function blockBytes(testbed: Testbed, bits: number): number {
  const { weights, floats } = sizesOf(testbed);
  return (bits * weights) / 8 - 4 * floats;
}

/** Widths at the least slope that keeps the budget. */
function withinBudget(filters: FactoredFilter[], curves: readonly Curves[], bytes: number): Grids {
  let [low, high] = [-60, 20];
  const at = (exponent: number) => gridsAtSlope(filters, curves, 2 ** exponent);
  for (let step = 0; step < 24; step++) {
    const middle = (low + high) / 2;
    const blocks = Object.values(storedBlocks(filters, at(middle))).flat();
    if (packBlocks(blocks).length > bytes) low = middle;
    else high = middle;
  }
  return at(high);
}

/** Ships both factors and the biases, and answers the test images with the filters that they make. */
async function judged(testbed: Testbed, { filters, floats }: Network, grids: Grids): Promise<Measured> {
  const biases = Object.entries({ ...biasesOf(testbed.start), ...floats });
  const exact = biases.map(([name, bias]) => exactTensor(name, bias.shape, bias.dataSync<"float32">()));
  return judgeWeights(testbed, written(factorIntegers(filters, grids), exact), (arrived) => ({
    ...Object.fromEntries(biases.map(([name]) => [name, arrived[name]])),
    ...filtersOf(filters, arrived),
  }));
}
