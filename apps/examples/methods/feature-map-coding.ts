// Feature-map transform coding: every map is written as its principal components over channels, quantized with one step,
// entropy-coded; read back, turned back, and only then rectified. Nothing is trained, and turning costs nothing where it
// is folded into convolution and batch norm. Example: 16 channels at 6 bits for the range of all components; most
// components then have few levels, and take less than a bit.
import {
  componentsForEnergy,
  forward,
  identityTransform,
  keep,
  pcaTransform,
  type Transform,
} from "@bitdiet/dct-transform";
import * as tf from "@tensorflow/tfjs-core";
import {
  type CodedComponents,
  type ComponentCoder,
  learnComponentCoder,
  perValue,
} from "../coding/components.js";
import { layerMicrojoules } from "../coding/map-energy.js";
import { learnMapCoder } from "../coding/maps.js";
import { cifarResnet } from "../models/resnet.js";
import { type Measured, measuredMaps } from "./deploy.js";
import { eightBitWeights } from "./eight-bit-weights.js";
import { calibrationImages, type Ground } from "./ground.js";
import { partlyCodedAccuracy } from "./partly-coded.js";
import type { Recipe, Run } from "./recipe.js";
import * as rotated from "./rotated-maps.js";

interface FeatureMapCoding {
  /** For the range that all components of a layer have together: their step is that range over 2^bits - 1. */
  bits: number;
  /** The transform of a layer. */
  transformOf: (maps: rotated.Preactivations) => Transform;
  /** Of an entry of the basis as it is stored; 32 unless given. */
  basisBits?: number;
  /** Maps are written after the ReLU, as without transform one would: what is negative is clipped to the lowest level, 0. */
  rectified?: boolean;
  /** Tables by the magnitudes of neighbours instead of by component, which is not in the paper. */
  byNeighbours?: boolean;
}

/** PCA as published; with less than 1, pcaT: the leading components that hold at least that share of the variance. */
const pca = (energy: number) => (maps: rotated.Preactivations) => {
  const transform = pcaTransform(maps.values, maps.channels);
  return keep(transform, componentsForEnergy(transform.variances, energy));
};
/** pcaQ: entries of the basis on 256 k-means centroids. */
const pcaQ = (maps: rotated.Preactivations) => rotated.quantizedBasis(pca(1)(maps));
const none = ({ channels }: rotated.Preactivations) => identityTransform(channels);

const CALIBRATION_IMAGES = 256;

/** Codes the maps of all test images, and evaluates the network on what was decoded. Weights have 8 bits. */
export async function featureMapCoding(ground: Ground, coding: FeatureMapCoding): Promise<Measured> {
  const calibration = calibrationImages(ground, CALIBRATION_IMAGES);
  const layers = Object.entries(rotated.preactivations(ground.start, calibration)).map(([name, seen]) => {
    const maps = coding.rectified
      ? { ...seen, values: seen.values.map((value) => Math.max(0, value)) }
      : seen;
    const transform = coding.transformOf(maps);
    const coefficients = forward(transform, maps.values);
    const grid = rotated.mapGrid(transform, coefficients, coding.bits);
    const training = rotated.symbolsOf(grid, coefficients);
    const alphabetSize = rotated.alphabetSize(grid);
    const zero = -rotated.lowestLevel(grid);
    const coder: ComponentCoder = coding.byNeighbours
      ? learnMapCoder(name, training, { ...maps, channels: transform.rows }, { alphabetSize, zero })
      : learnComponentCoder(name, training, { components: transform.rows, alphabetSize });
    return { name, grid, coder, channels: maps.channels };
  });
  calibration.dispose();
  const byName = Object.fromEntries(layers.map((layer) => [layer.name, layer]));
  const folded = rotated.foldTransforms(
    ground.start,
    layers.map(({ name, grid }) => [name, grid.transform]),
  );
  const parameters = eightBitWeights(folded);
  const right = partlyCodedAccuracy(ground, (x, isCoded) =>
    cifarResnet(parameters, x, {
      preactivation: (convolved, name, shortcut) => {
        const { grid, coder } = byName[name];
        const coefficients = rotated.coefficientsOf(grid.transform, convolved, shortcut);
        const symbols = rotated.symbolsOf(grid, coefficients.dataSync<"float32">());
        const read = isCoded ? coder.pass(symbols) : symbols;
        return rotated.valuesOf(grid, read, convolved.shape);
      },
    }),
  );
  tf.dispose([folded, parameters]);

  const maps = layers.map(({ grid: { transform }, coder, channels }) =>
    perValue(coder.total(), {
      kept: transform.rows / channels,
      bits: coding.bits,
      sideBytes: rotated.storageBytes(transform, coding.basisBits),
    }),
  );
  return { accuracy: right, activations: measuredMaps(maps), notes: notesOf(maps, ground) };
}

function notesOf(maps: CodedComponents[], { test, codedImages }: Ground): Measured["notes"] {
  const sum = (of: (map: CodedComponents) => number) => maps.reduce((total, map) => total + of(map), 0);
  const bits = sum(({ codedBytes }) => 8 * codedBytes) / Math.min(codedImages, test.labels.length);
  const entropy =
    sum((map) => (map.componentEntropy ?? Number.NaN) * map.values) / sum(({ values }) => values);
  return {
    ...(Number.isFinite(entropy) && { "entropy by component": Number(entropy.toFixed(3)) }),
    "µJ an image": Number(layerMicrojoules(bits, bits).toFixed(1)),
  };
}

const run = (id: string, title: string, curve: string, coding: FeatureMapCoding): Run => ({
  id,
  title,
  curve,
  of: "activations",
  trains: false,
  measure: (ground) => featureMapCoding(ground, coding),
});

export const featureMaps: Recipe = {
  name: "feature-map-coding",
  paper: "Feature map transform coding (Chmiel et al., arXiv 1905.10830)",
  published: "ResNet-18, ImageNet, read off a figure: 4.0 bit/value, 69.5 % (float 69.8); 3.1, 68.7 %",
  runs: [
    ...[6, 5].map((bits) =>
      run(`none-${bits}`, `no transform, ${bits} bits`, "before ReLU, no transform", {
        bits,
        transformOf: none,
      }),
    ),
    ...[6, 5].map((bits) =>
      run(
        `rectified-${bits}`,
        `after ReLU, no transform, ${bits} bits, contexts`,
        "after ReLU, no transform, contexts",
        {
          bits,
          rectified: true,
          byNeighbours: true,
          transformOf: none,
        },
      ),
    ),
    ...[7, 6, 5].map((bits) => run(`pca-${bits}`, `PCA, ${bits} bits`, "PCA", { bits, transformOf: pca(1) })),
    ...[0.99, 0.97].map((energy) =>
      run(`pcaT-${energy}`, `pcaT ${energy}, 6 bits`, "pcaT", { bits: 6, transformOf: pca(energy) }),
    ),
    run("pcaQ-6", "pcaQ, 6 bits", "pcaQ", { bits: 6, basisBits: 8, transformOf: pcaQ }),
    ...[6, 5].map((bits) =>
      run(`neighbours-${bits}`, `PCA, ${bits} bits, contexts`, "PCA, contexts", {
        bits,
        byNeighbours: true,
        transformOf: pca(1),
      }),
    ),
  ],
};
