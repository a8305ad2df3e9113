// A model of TF.js's own layers on real digits: trained as anybody would train it, then to be compressible, then judged by what
// `fromBitdiet` loads from the file.
import { type AwareModel, compressionAware } from "@bitdiet/compression-aware";
import { CLASSES, type Digits, SIDE } from "@bitdiet/zoo/data/mnist";
import { packedBrotliBytes } from "@bitdiet/zoo/shipping/baselines";
import { sideInformation } from "@bitdiet/zoo/shipping/measured";
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayersModel, layers, loadLayersModel, sequential } from "@tensorflow/tfjs-layers";
import { openBitdiet, openSource, type QuantizedTensor } from "bitdiet";
import { fromBitdiet } from "bitdiet/tfjs";

const BATCH = 64;

/** Three convolutions with batch norm and a matrix; 34,000 weights. */
export function digitModel(seed: number): LayersModel {
  const kernelInitializer = () => initializers.heNormal({ seed: seed++ });
  const block = (filters: number, kernelSize: number, strides: number, inputShape?: number[]) => [
    layers.conv2d({
      filters,
      kernelSize,
      strides,
      padding: "same",
      useBias: false,
      kernelInitializer: kernelInitializer(),
      inputShape,
    }),
    layers.batchNormalization({ momentum: 0.9 }),
    layers.reLU(),
  ];
  return sequential({
    layers: [
      ...block(16, 5, 2, [SIDE, SIDE, 1]),
      ...block(32, 3, 2),
      ...block(64, 3, 2),
      layers.flatten(),
      layers.dense({ units: CLASSES, activation: "softmax", kernelInitializer: kernelInitializer() }),
    ],
  });
}

/** Pictures and labels as `fit` takes them: whole batches only, so that shapes stay the same. */
export interface Examples {
  x: tf.Tensor4D;
  y: tf.Tensor2D;
}

export function examplesOf({ images, labels, count }: Digits): Examples {
  const whole = count - (count % BATCH);
  return tf.tidy(() => ({
    x: tf.tensor4d(images.subarray(0, whole * SIDE * SIDE), [whole, SIDE, SIDE, 1]),
    y: tf.cast(tf.oneHot(tf.tensor1d(labels.subarray(0, whole), "int32"), CLASSES), "float32") as tf.Tensor2D,
  }));
}

export async function trainFloat(network: LayersModel, { x, y }: Examples, epochs: number): Promise<void> {
  network.compile({ optimizer: tf.train.adam(2e-3), loss: "categoricalCrossentropy" });
  await network.fit(x, y, { epochs, batchSize: BATCH, shuffle: false });
}

export interface Tuning {
  bits: number;
  weightBits: number;
  lambda: number;
  weightLambda: number;
  epochs: number;
  rangeFactor: number;
}

/** Fine-tunes a copy on the float network's own answers, which say more than labels. */
export async function fineTune(
  network: LayersModel,
  { x }: Examples,
  { bits, weightBits, epochs, ...options }: Tuning,
  print: (line: string) => void,
): Promise<AwareModel> {
  const aware = compressionAware(network, { weightBits, activationBits: bits, ...options });
  aware.model.compile({ optimizer: tf.train.adam(1e-3), loss: "categoricalCrossentropy" });
  const answers = network.predict(x, { batchSize: BATCH }) as tf.Tensor;
  await aware.model.fit(x, answers, {
    epochs,
    batchSize: BATCH,
    shuffle: false,
    callbacks: aware.progress(print),
  });
  answers.dispose();
  return aware;
}

/** What a file is worth. */
export interface Judgement {
  bytes: number;
  /** The same integers bit-packed, and brotli at its best over them and all that is kept beside. */
  packedBrotliBytes: number;
  bitsPerWeight: number;
  /** Entropy of single values over the test pictures, weighted by sizes; undefined where nothing is quantized. */
  bitsPerActivation?: number;
  /** The same of each layer's. */
  activations: { name: string; bits: number }[];
  accuracy: number;
  /** Whether the loaded model predicts the same bits. */
  isEqual: boolean;
}

export async function judge(aware: AwareModel, test: Examples): Promise<Judgement> {
  const bytes = await aware.bytes();
  const loaded = await loadLayersModel(fromBitdiet(bytes));
  const predictions = [aware.model, loaded].map(
    (each) => each.predict(test.x, { batchSize: BATCH }) as tf.Tensor2D,
  );
  const [trained, arrived] = predictions.map((each) => each.dataSync());
  const { tensors, activations } = await aware.report(test.x);
  const weights = tensors.map(({ shape, after }) => ({ size: shape.reduce((a, b) => a * b), bits: after }));
  const result = {
    bytes: bytes.length,
    packedBrotliBytes: await packedBytes(bytes),
    bitsPerWeight: meanBits(weights)!,
    bitsPerActivation: meanBits(activations.map(({ size, after }) => ({ size, bits: after }))),
    activations: activations.map(({ name, after }) => ({ name, bits: after })),
    accuracy: accuracyOf(predictions[1], test.y),
    isEqual: trained.every((value, i) => Object.is(value, arrived[i])),
  };
  tf.dispose(predictions);
  loaded.dispose();
  return result;
}

async function packedBytes(file: Uint8Array): Promise<number> {
  const { header, quantized } = await openBitdiet(await openSource(file));
  const weights = new Map<string, QuantizedTensor>();
  for (const entry of header.tensors) {
    const tensor = await quantized(entry);
    if (tensor) weights.set(entry.name, tensor);
  }
  return packedBrotliBytes(weights.values(), sideInformation({ file, weights }));
}

export const accuracyOf = (predictions: tf.Tensor2D, y: tf.Tensor2D): number =>
  tf.tidy(
    () => tf.mean(tf.cast(tf.equal(tf.argMax(predictions, 1), tf.argMax(y, 1)), "float32")).dataSync()[0],
  );

function meanBits(parts: readonly { size: number; bits: number }[]): number | undefined {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  return size > 0 ? parts.reduce((sum, part) => sum + part.bits * part.size, 0) / size : undefined;
}
