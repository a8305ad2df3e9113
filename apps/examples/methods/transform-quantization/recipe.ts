// Transform Quantization: every filter as coefficients times a basis, both quantized in blocks, whose widths spend a common
// budget where a bit removes most error of the network's outputs: equal slopes, 0 bits being a block that is left out.
// Example: "ELT, 3 bits" is a file of 3 bits a weight, its bases and widths included.
import type { Recipe, Run } from "../recipe.js";
import { type TransformQuantization, transformCodedWeights } from "./transform-coded-weights.js";
import { elt, klt, none } from "./transformed-weights.js";

const run = (id: string, title: string, curve: string, options: TransformQuantization): Run => ({
  id,
  title,
  curve,
  of: "weights",
  trains: options.retrains ?? false,
  measure: (testbed) => transformCodedWeights(testbed, options),
});

const TRANSFORMS = { none, KLT: klt, ELT: elt };

export const transforms: Recipe = {
  name: "transform-quantization",
  paper: "Transform Quantization (Young et al., IEEE TPAMI 2021, arXiv 2009.01174)",
  published: "ResNet-18, ImageNet, no retraining: ELT 3.0 bit/weight, 67.9 %; KLT 3.0, 67.2 % (float 69.7)",
  runs: [
    ...Object.entries(TRANSFORMS).flatMap(([name, transformOf]) =>
      [5, 4, 3.5, 3].map((bits) =>
        run(`${name}-${bits}`, `${name}, ${bits} bits`, name, { transformOf, bits }),
      ),
    ),
    ...Object.entries(TRANSFORMS).flatMap(([name, transformOf]) =>
      [3.5, 3, 2.5].map((bits) =>
        run(`${name}-means-${bits}`, `${name}, ${bits} bits, means matched`, `${name}, means matched`, {
          transformOf,
          bits,
          matchesMeans: true,
        }),
      ),
    ),
    run("KLT-columns-3.5", "KLT of columns, 3.5 bits", "KLT, columns", {
      transformOf: klt,
      axis: "output",
      bits: 3.5,
    }),
    ...[4, 3].map((bits) =>
      run(`KLT-measured-${bits}`, `KLT, ${bits} bits, measured curves`, "KLT, measured curves", {
        transformOf: klt,
        bits,
        images: 32,
      }),
    ),
    ...[2.5, 2].map((bits) =>
      run(`ELT-retrained-${bits}`, `ELT, ${bits} bits, retrained`, "ELT, retrained", {
        transformOf: elt,
        bits,
        retrains: true,
      }),
    ),
  ],
};
