/** Small models of every kind of layer that is wrapped, with what they are trained on. */
import * as tf from "@tensorflow/tfjs-core";
import { input, type LayersModel, layers, model, type Sequential, sequential } from "@tensorflow/tfjs-layers";

type Layer = NonNullable<NonNullable<Parameters<typeof sequential>[0]>["layers"]>[number];

export interface Subject {
  name: string;
  build(): LayersModel;
  /** Of four examples. */
  inputs(): tf.Tensor;
  /** Kernels that are quantized. */
  kernels: number;
  /** Activations that are. */
  activations: number;
  /** Norms that remain. */
  norms?: number;
}

const images = () => tf.randomUniform([4, 8, 8, 3], 0, 1, "float32", 5);
const tokens = () => tf.tensor2d([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 3], [4, 3]);
const head = () => layers.dense({ units: 3, activation: "softmax" });

const build = (...own: Layer[]): Sequential => sequential({ layers: [...own, head()] });

/** A norm whose statistics are no longer those of its start. */
export function unsettled<M extends LayersModel>(network: M): M {
  for (const weight of network.weights) {
    const kind = weight.originalName.split("/").at(-1)!;
    const [low, high] = { gamma: [0.5, 1.5], moving_variance: [0.2, 2], beta: [-0.3, 0.3] }[kind] ?? [0, 0];
    if (high > 0) weight.write(tf.randomUniform(weight.shape as number[], low, high, "float32", 3));
    if (kind === "moving_mean" || kind === "bias")
      weight.write(tf.randomUniform(weight.shape as number[], -0.2, 0.2, "float32", 4));
  }
  return network;
}

const inputShape = [8, 8, 3];
const filters = 6;
/** The default takes methods of tensors that only the union package has. */
const recurrentInitializer = "glorotNormal";

function residual(): LayersModel {
  const x = input({ shape: inputShape });
  const conv = (activation?: "relu") =>
    layers.conv2d({ filters, kernelSize: 3, padding: "same", activation, useBias: false });
  const first = layers.reLU().apply(layers.batchNormalization().apply(conv().apply(x)));
  const branch = layers.batchNormalization().apply(conv().apply(first));
  const sum = layers.activation({ activation: "relu" }).apply(layers.add().apply([first, branch] as never));
  const pooled = layers.globalAveragePooling2d({}).apply(sum);
  return model({ inputs: x, outputs: head().apply(pooled) as never });
}

/** As Teachable Machine has them: two models in a row. */
function nested(): LayersModel {
  const features = sequential({
    layers: [
      layers.conv2d({ filters, kernelSize: 3, strides: 2, inputShape }),
      layers.batchNormalization(),
      layers.reLU(),
      layers.globalAveragePooling2d({}),
    ],
  });
  for (const layer of features.layers) layer.trainable = false;
  return sequential({ layers: [features, sequential({ layers: [head2()] })] });
}
const head2 = () => layers.dense({ units: 3, activation: "softmax", inputShape: [filters] });

function shared(): LayersModel {
  const [a, b] = [input({ shape: [5] }), input({ shape: [5] })];
  const dense = layers.dense({ units: 4, activation: "relu" });
  const sum = layers.add().apply([dense.apply(a), dense.apply(b)] as never);
  return model({ inputs: [a, b], outputs: head().apply(sum) as never });
}

export const subjects: Subject[] = [
  {
    name: "Conv2D, BatchNormalization and Dense",
    build: () =>
      build(
        layers.conv2d({ filters, kernelSize: 3, inputShape }),
        layers.batchNormalization(),
        layers.activation({ activation: "relu" }),
        layers.flatten(),
      ),
    inputs: images,
    kernels: 2,
    activations: 1,
  },
  {
    name: "DepthwiseConv2D and SeparableConv2D with norms",
    build: () =>
      build(
        layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, inputShape }),
        layers.batchNormalization(),
        layers.reLU({ maxValue: 6 }),
        layers.separableConv2d({ filters, kernelSize: 3 }),
        layers.batchNormalization({ scale: false }),
        layers.leakyReLU(),
        layers.flatten(),
      ),
    inputs: images,
    kernels: 4,
    activations: 2,
  },
  {
    name: "Conv2DTranspose, and a norm that is not behind a matrix",
    build: () =>
      build(
        layers.conv2dTranspose({ filters, kernelSize: 3, inputShape }),
        layers.batchNormalization(),
        layers.activation({ activation: "tanh" }),
        layers.batchNormalization(),
        layers.globalAveragePooling2d({}),
      ),
    inputs: images,
    kernels: 2,
    activations: 1,
    norms: 1,
  },
  {
    name: "Conv1D, Embedding and LSTM",
    build: () =>
      build(
        layers.embedding({ inputDim: 10, outputDim: 8, inputLength: 3 }),
        layers.conv1d({ filters, kernelSize: 2, activation: "relu" }),
        layers.lstm({ units: 5, recurrentInitializer }),
      ),
    inputs: tokens,
    kernels: 5,
    activations: 2,
  },
  {
    name: "Bidirectional GRU and TimeDistributed",
    build: () =>
      build(
        layers.embedding({ inputDim: 10, outputDim: 8, inputLength: 3 }),
        layers.timeDistributed({ layer: layers.dense({ units: 4 }) }),
        layers.bidirectional({
          layer: layers.gru({ units: 3, recurrentInitializer }) as never,
          mergeMode: "concat",
        }),
      ),
    inputs: tokens,
    kernels: 7,
    activations: 0,
  },
  { name: "a residual network", build: residual, inputs: images, kernels: 3, activations: 2 },
  { name: "models in a model", build: nested, inputs: images, kernels: 2, activations: 1 },
];

export const sharedModel = shared;

/** Labels of three classes for four examples. */
export const labels = (): tf.Tensor =>
  tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d([0, 1, 2, 1], "int32"), 3), "float32"));
