// A trained network judged as it is shipped: weights go through a .bitdiet file, feature maps through bytes, and the test
// images are answered by what arrived. Nothing here trains.
import type { FrozenScale, Parameters, Quantizers, Scales } from "@bitdiet/compression-aware";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { codeMaps, learnMapCoders } from "@bitdiet/zoo/shipping/feature-maps";
import { mapCosts, weightCosts } from "@bitdiet/zoo/shipping/measured";
import { arrived, type Shipped, ship } from "@bitdiet/zoo/shipping/ship";
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "./recipe.js";
import { accuracy, calibrationImages, imagesFrom, type Testbed } from "./testbed.js";

/** Training images that codes of feature maps are learned from. */
const CODE_IMAGES = 200;

/** A network to be judged; activations without scales stay float. */
export interface Network {
  parameters: Parameters;
  scales: Scales<FrozenScale>;
  quantizersOf: (scales: Scales<FrozenScale>) => Quantizers;
}

/** Ships, reads and evaluates. Leaves no tensor behind. */
export async function judge(
  testbed: Testbed,
  { parameters, scales, quantizersOf }: Network,
): Promise<Measured> {
  const shipped = ship({
    parameters,
    quantizer: (name) => (name in scales.weight ? quantizersOf(scales).weight(name) : undefined),
    activationScales: scales.activation,
  });
  const decoded = await arrived(shipped.file, scales.activation);
  const arrivedScales = { weight: {}, activation: decoded.activationScales };
  const maps =
    Object.keys(scales.activation).length > 0
      ? withCodedMaps(testbed, decoded.parameters, quantizersOf(arrivedScales).activation)
      : { accuracy: accuracy(testbed.test, (x) => cifarResnet(decoded.parameters, x)) };
  tf.dispose(decoded.parameters);
  return { ...maps, weights: weightCosts(shipped) };
}

/** Evaluates what a file of weights decodes to. @param networkOf parameters from those of the file; as they are by default */
export async function judgeWeights(
  { test }: Pick<Testbed, "test">,
  shipped: Shipped,
  networkOf: (parameters: Parameters) => Parameters = (parameters) => parameters,
): Promise<Measured> {
  const { parameters } = await arrived(shipped.file);
  const network = networkOf(parameters);
  const right = accuracy(test, (x) => cifarResnet(network, x));
  tf.dispose([parameters, network]);
  return { accuracy: right, weights: weightCosts(shipped) };
}

/** Accuracy and costs where every feature map is written as bytes and read back, by codes learned on training images. */
function withCodedMaps(
  testbed: Testbed,
  parameters: Parameters,
  quantizer: Quantizers["activation"],
): Pick<Measured, "accuracy" | "activations"> {
  const images = calibrationImages(testbed, CODE_IMAGES);
  const coders = learnMapCoders((hooks) => cifarResnet(parameters, images, hooks), quantizer);
  images.dispose();
  const coded = codeMaps(coders, quantizer);
  const plain = <T extends tf.Tensor>(a: T, name: string): T => quantizer(name).fakeQuantize(a);
  const right = partlyCodedAccuracy(testbed, (x, isCoded) =>
    cifarResnet(parameters, x, { activation: isCoded ? coded : plain }),
  );
  return { accuracy: right, activations: mapCosts(Object.values(coders).map((coder) => coder.total())) };
}

/**
 * Accuracy where writing and reading every feature map would only take time: the first `codedImages` go through bytes, the
 * others take the same values without them; a code is lossless, and on the first was seen to be.
 *
 * @param model the network, with its maps written as bytes and read back, or not
 */
export function partlyCodedAccuracy(
  { test, codedImages }: Pick<Testbed, "test" | "codedImages">,
  model: (x: tf.Tensor4D, isCoded: boolean) => tf.Tensor2D,
): number {
  const parts = [
    { images: imagesFrom(test, 0, codedImages), isCoded: true },
    { images: imagesFrom(test, codedImages), isCoded: false },
  ];
  const right = parts.map(({ images, isCoded }) =>
    images.labels.length > 0 ? images.labels.length * accuracy(images, (x) => model(x, isCoded)) : 0,
  );
  return (right[0] + right[1]) / test.labels.length;
}
