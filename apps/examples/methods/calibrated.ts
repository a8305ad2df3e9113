// What weights can weigh without training: `bitdiet`'s own calibration, second-order rounding along rows and columns, for a file
// of so many bits a weight, everything counted. No method of the seven; what those must beat.
// Example: 2 bits for each of ResNet-20's 270,896 weights are a file of 67,724 bytes, topology and names included.
import { countSymbols, shannonEntropy } from "@bitdiet/huffman";
import { modelOf } from "@bitdiet/zoo/nets/layers-model";
import { cifarResnetLayers } from "@bitdiet/zoo/nets/resnet-layers";
import type * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { compressModel, decodeQuantized, gridIndex, readHeader } from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import { fromBitdiet } from "bitdiet/tfjs";
import { type Measured, measuredWeights } from "./deploy.js";
import type { Recipe, Run } from "./recipe.js";
import { accuracy, calibrationImages, type Testbed } from "./testbed.js";
import { sizesOf } from "./transform-quantization/block-file.js";
import { type CodedWeight, packLevels } from "./weight-coding.js";

/** Training images that rounding goes by, if there are as many. */
const IMAGES = 400;
/** Of the grid that calibration takes its steps from. */
const STEPS_PER_OCTAVE = 8;

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
  const { bytes: file } = await compressModel(model, { maxBytes }, { quantize });
  const decoded = await loadLayersModel(fromBitdiet(file));
  const right = accuracy(testbed.test, (x) => decoded.predict(x) as tf.Tensor2D);
  decoded.dispose();
  const { weights, side } = contents(file);
  const measured = measuredWeights(weights, side);
  return {
    accuracy: right,
    weights: { ...measured, coded: (8 * file.length) / values, bytes: file.length },
  };
}

/** Levels of a file's kernels; and its steps and biases as the integers that it has for them, for the comparison with plain packing. */
function contents(file: Uint8Array): { weights: CodedWeight[]; side: Uint8Array } {
  const weights: CodedWeight[] = [];
  const side: number[] = [];
  for (const entry of readHeader(file).tensors) {
    if (!entry.quantized) {
      // Biases that take no more with every bit: as many bytes here as there.
      side.push(...file.subarray(entry.part.start, entry.part.start + (entry.part.length >> 1)));
      continue;
    }
    const { integers, steps } = decodeQuantized(file, entry);
    if (!entry.name.endsWith("/kernel")) {
      side.push(...integers);
      continue;
    }
    side.push(...Array.from(steps, (step) => (step > 0 ? gridIndex(step, STEPS_PER_OCTAVE) : 0)));
    const low = integers.reduce((least, integer) => Math.min(least, integer), 0);
    const symbols = Uint16Array.from(integers, (integer) => integer - low);
    const counts = countSymbols(symbols);
    weights.push({
      name: entry.name,
      values: integers.length,
      entropy: shannonEntropy(counts),
      ...packLevels(symbols, counts.length),
      bytes: file.subarray(entry.part.start, entry.part.start + entry.part.length),
    });
  }
  return { weights, side: new Uint8Array(Int16Array.from(side).buffer) };
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
