// A network whose filters are coefficients times a basis, both quantized in blocks, whose widths spend a common budget at equal
// slopes; written as one file, read back and evaluated. For any transform, and curves measured or of second order.
// Example: 16 components of which 4 have 4 bits, 8 have 2 and 4 have none, their basis 5 bits: 2.2 bits a weight of 3 x 3 x 16 x 32.

import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "../deploy.js";
import { matchedBiases } from "../match-means.js";
import { biasesOf, retrain } from "../retrain.js";
import { accuracy, type Testbed } from "../testbed.js";
import { measuredFile, sizesOf } from "./block-file.js";
import { codeBlocks, decodeBlocks, packBlocks, type StoredBlock } from "./blocks.js";
import {
  blockSizes,
  type Curves,
  type FactoredFilter,
  factorNetwork,
  factorTensors,
  gridsAtSlope,
  measuredCurves,
  proxyCurves,
  restoredFilters,
  storedBlocks,
  trainableFilters,
  withFactors,
} from "./factored-network.js";
import type { TransformOf } from "./transformed-weights.js";

export interface TransformQuantization {
  transformOf: TransformOf;
  /** Input channels ("rows"), output channels ("columns"), or the fewer of both unless given. */
  axis?: "input" | "output";
  /** Bits a weight of the file without entropy coding, everything counted. */
  bits: number;
  /** Images that blocks are measured on; unless given, curves are of second order. */
  images?: number;
  /** Whether biases make up for what quantization did to the channels' means, which is not in the paper. */
  matchesMeans?: boolean;
  /** Whether the factors are trained on once widths and steps are fixed. */
  retrains?: boolean;
}

/** Allocates, trains on if asked to, codes, decodes, measures. */
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
  const blocks = storedBlocks(network.filters, grids);
  const right = decodedAccuracy(testbed, network, blocks);
  tf.dispose(network.floats);
  const zero = Object.values(blocks).flatMap((own) => own.filter(({ grid }) => grid.bits === 0)).length;
  return {
    accuracy: right,
    weights: measuredFile(blocks, sizesOf(testbed)),
    notes: { "blocks of 0 bits": zero },
  };
}

/** Biases that give every channel its mean back. */
function matchedMeans(testbed: Testbed, filters: FactoredFilter[], grids: Grids): Parameters {
  const decoded = restoredFilters(filters, Object.values(storedBlocks(filters, grids)).flat());
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

/** Writes the file, reads it, and answers the test images with what came back. */
function decodedAccuracy(
  testbed: Testbed,
  { filters, floats }: Network,
  blocks: Record<string, StoredBlock[]>,
): number {
  const sizes = blockSizes(filters);
  const read = decodeBlocks(codeBlocks(Object.values(blocks).flat()), sizes.length, () => sizes);
  const decoded = restoredFilters(filters, read);
  const right = accuracy(testbed.test, (x) => cifarResnet({ ...testbed.start, ...floats, ...decoded }, x));
  tf.dispose(decoded);
  return right;
}
