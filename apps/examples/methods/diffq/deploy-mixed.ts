// A network whose weights have learned widths, judged by its bytes: streams by width, widths, ranges and biases.
import { noiseQuantizer } from "@bitdiet/fake-quant";
import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "../deploy.js";
import { accuracy, type Testbed } from "../testbed.js";
import { decodeMixed, encodeMixed, type MixedWeight } from "./mixed-weights.js";

/** Codes and decodes the weights; activations stay float. Leaves no tensor behind. */
export function deployMixed(
  testbed: Testbed,
  parameters: Parameters,
  weights: MixedWeight[],
  minBits: number,
): Measured {
  const coded = encodeMixed(weights, minBits);
  const shapes = weights.map(({ indices, bits }) => ({ size: indices.length, groups: bits.length }));
  const tensors = decodeMixed(coded, shapes).map(({ bits, indices }, i) => {
    const { shape, range } = weights[i];
    return tf.tidy(() => {
      const quantizer = noiseQuantizer({ bits: tf.tensor1d(bits), groupSize: indices.length / bits.length });
      return quantizer.dequantize(tf.tensor(indices, shape, "int32"), range);
    });
  });
  const decoded = { ...parameters, ...Object.fromEntries(weights.map(({ name }, i) => [name, tensors[i]])) };
  const right = accuracy(testbed.test, (x) => cifarResnet(decoded, x));
  tf.dispose(tensors);

  const values = shapes.reduce((sum, { size }) => sum + size, 0);
  const biases = Object.entries(parameters).filter(([name]) => name.endsWith(".bias"));
  const side = 4 * biases.reduce((sum, [, { size }]) => sum + size, 0);
  const perWeight = (bytes: number) => (8 * (bytes + side)) / values;
  return {
    accuracy: right,
    weights: {
      fixedWidth: perWeight(coded.packedBytes),
      entropy: coded.entropy,
      coded: perWeight(coded.codedBytes),
      packedBrotli: perWeight(coded.packedBrotliBytes),
      bytes: coded.codedBytes + side,
      layers: [],
    },
    notes: { "bytes, packed as published": coded.packedBytes + side },
  };
}
