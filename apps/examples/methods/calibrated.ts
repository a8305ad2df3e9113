// What weights can weigh without training: `bitdiet`'s own calibration, second-order rounding along rows and columns, for a file
// of so many bits a weight, everything counted. No method of the seven; what those must beat.
// Example: 2 bits for each of ResNet-20's 270,896 weights are a file of 67,724 bytes, topology and names included.
import { modelOf } from "@bitdiet/zoo/nets/layers-model";
import { cifarResnetLayers } from "@bitdiet/zoo/nets/resnet-layers";
import { weightCosts } from "@bitdiet/zoo/shipping/measured";
import type * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { compressModel, decodeQuantized, type QuantizedTensor, readHeader } from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import { fromBitdiet } from "bitdiet/tfjs";
import type { Measured, Recipe, Run } from "./recipe.js";
import { accuracy, calibrationImages, type Testbed } from "./testbed.js";
import { sizesOf } from "./transform-quantization/published-packing.js";

/** Training images that rounding goes by, if there are as many. */
const IMAGES = 400;

/** Compresses to a file, and answers the test images with the model that TF.js loads from it. */
async function calibrated(testbed: Testbed, bits: number): Promise<Measured> {
  const images = calibrationImages(testbed, Math.min(IMAGES, testbed.train.labels.length));
  const [inputs, shape] = [images.dataSync<"float32">(), images.shape];
  images.dispose();
  const network = cifarResnetLayers(testbed.start);
  const model = await modelOf(network);
  const quantize = await calibrate(model, { inputs, shape, logits: true });
  network.dispose();
  const { weights: values } = sizesOf(testbed);
  const maxBytes = Math.floor((bits * values) / 8);
  const { bytes: file } = await compressModel(model, { maxBytes }, { quantize, minGain: 0 });
  const decoded = await loadLayersModel(fromBitdiet(file));
  const right = accuracy(testbed.test, (x) => decoded.predict(x) as tf.Tensor2D);
  decoded.dispose();
  return { accuracy: right, weights: await costsOf(file, values) };
}

/** Costs of a file in which biases may be quantized, too; a bit is one of the kernels' weights. */
async function costsOf(file: Uint8Array, values: number): Promise<NonNullable<Measured["weights"]>> {
  const weights = new Map<string, QuantizedTensor>();
  for (const entry of readHeader(file).tensors)
    if (entry.quantized) weights.set(entry.name, await decodeQuantized(file, entry));
  const costs = weightCosts({ file, weights });
  const all = costs.layers.reduce((sum, layer) => sum + layer.values, 0);
  return {
    ...costs,
    coded: (8 * file.length) / values,
    packedBrotli: (costs.packedBrotli * all) / values,
    layers: costs.layers.filter(({ name }) => name.endsWith("/kernel")),
  };
}

const run = (bits: number): Run => ({
  id: `weights-${bits}`,
  title: `second-order rounding, ${bits} bits`,
  curve: "second-order rounding",
  of: "weights",
  trains: false,
  measure: (testbed) => calibrated(testbed, bits),
});

export const calibratedWeights: Recipe = {
  name: "calibrated",
  paper: "None of the seven: `bitdiet/calibrate`, without training",
  published: "–",
  runs: [2, 1.6, 1.2].map(run),
};
