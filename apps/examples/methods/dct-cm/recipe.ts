// DCT-CM style feature-map compression, a reconstruction: see dct-maps.ts. Weights and maps have 8 bits; the DCT's steps,
// growing with the frequency, set the rate. Each layer takes the DCT only where that makes its packed maps smaller. Example:
// at a step of 16 levels the first layers, of which most values are not zero, take the DCT, the last ones their masks alone.

import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import { eightBitWeights } from "../feature-map-coding/eight-bit-weights.js";
import { partlyCodedAccuracy } from "../judge.js";
import type { Measured, Recipe, Run } from "../recipe.js";
import type { Testbed } from "../testbed.js";
import { calibrate, costs, type DctCm, written } from "./dct-map-layers.js";
import * as maps from "./dct-maps.js";

/** Packs the maps of the coded images, reads them back, and evaluates the network on what came back. */
async function dctCm(testbed: Testbed, options: DctCm): Promise<Measured> {
  const parameters = eightBitWeights(testbed.start);
  const layers = calibrate(testbed, parameters, options);
  const right = partlyCodedAccuracy(testbed, (x, isCoded) =>
    cifarResnet(parameters, x, {
      activation: (a, name) => {
        const layer = layers[name];
        const levels = maps.levelsOf(layer.format, a.dataSync<"float32">());
        const read = isCoded ? written(layer, levels) : maps.reconstructed(layer.format, levels);
        return tf.tensor(maps.valuesOf(layer.format, read), a.shape) as typeof a;
      },
    }),
  );
  tf.dispose(parameters);
  return { accuracy: right, ...costs(Object.entries(layers)) };
}

const run = (id: string, title: string, curve: string, options: DctCm): Run => ({
  id,
  title,
  curve,
  of: "activations",
  trains: false,
  measure: (testbed) => dctCm(testbed, options),
});

export const dctMaps: Recipe = {
  name: "dct-cm",
  paper: "DCT-CM style: our reconstruction from the abstract of Shi et al., ISCAS 2021, arXiv 2106.12850",
  published: "ResNet-50, 8 bits: 2.9 times smaller on average",
  runs: [
    ...[9, 18, 27, 36].map((step) =>
      run(`step-${step}`, `DCT style, step ${step}`, "DCT-CM style", { step }),
    ),
    run("growing-12", "DCT style, step 12, growing", "DCT-CM style, growing steps", {
      step: 12,
      growth: 0.25,
    }),
    ...[18, 27].map((step) =>
      run(`ordered-${step}`, `DCT style, step ${step}, ordered`, "DCT-CM style, channels ordered", {
        step,
        ordered: true,
      }),
    ),
  ],
};
