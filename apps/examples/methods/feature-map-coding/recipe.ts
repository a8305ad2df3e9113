// Feature-map transform coding: every map is written as its principal components over channels, quantized with one step,
// entropy-coded; read back, turned back, and only then rectified. Nothing is trained, and turning costs nothing where it
// is folded into convolution and batch norm. Example: 16 channels at 6 bits for the range of all components; most
// components then have few levels, and take less than a bit.
import { componentsForEnergy, identityTransform, keep, pcaTransform } from "@bitdiet/dct-transform";
import type { Recipe, Run } from "../recipe.js";
import { type Preactivations, quantizedBasis } from "./rotated-maps.js";
import { type TransformCoding, transformCodedMaps } from "./transform-coded-maps.js";

/** PCA as published; with less than 1, pcaT: the leading components that hold at least that share of the variance. */
const pca = (energy: number) => (maps: Preactivations) => {
  const transform = pcaTransform(maps.values, maps.channels);
  return keep(transform, componentsForEnergy(transform.variances, energy));
};
/** pcaQ: entries of the basis on 256 k-means centroids. */
const pcaQ = (maps: Preactivations) => quantizedBasis(pca(1)(maps));
const none = ({ channels }: Preactivations) => identityTransform(channels);

const run = (id: string, title: string, curve: string, coding: TransformCoding): Run => ({
  id,
  title,
  curve,
  of: "activations",
  trains: false,
  measure: (testbed) => transformCodedMaps(testbed, coding),
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
