/**
 * The CIFAR ResNets of the examples as layers models of TF.js, batch norm folded into the convolutions; their outputs are logits.
 *
 *     readResnet("resnet20-cifar10.safetensors").predict(tf.zeros([1, 32, 32, 3])); // [1, 10]
 */
import { readFileSync } from "node:fs";
import { EPSILON } from "@bitdiet/examples/models/batch-norm";
import { readSafetensors } from "@bitdiet/examples/models/safetensors";
import * as tf from "@tensorflow/tfjs-core";
import { input, type LayersModel, layers, model, type SymbolicTensor } from "@tensorflow/tfjs-layers";

export function readResnet(file: string): LayersModel {
  const { tensors } = readSafetensors(readFileSync(file));
  const floats = (name: string) => tensors[name].values as Float32Array;

  function convolve(x: SymbolicTensor, name: string, stride: number): SymbolicTensor {
    const norm = name.replace("conv", "bn");
    const { shape } = tensors[`${name}.weight`];
    const weights = Float32Array.from(floats(`${name}.weight`));
    const biases = new Float32Array(shape[0]);
    const columns = weights.length / shape[0];
    for (let row = 0; row < shape[0]; row++) {
      const gain = floats(`${norm}.weight`)[row] / Math.sqrt(floats(`${norm}.running_var`)[row] + EPSILON);
      for (let i = row * columns; i < (row + 1) * columns; i++) weights[i] *= gain;
      biases[row] = floats(`${norm}.bias`)[row] - gain * floats(`${norm}.running_mean`)[row];
    }
    // PyTorch's padding: a zero on every side, also where TF.js's "same" would leave out the first.
    const padded = stride === 1 ? x : apply(layers.zeroPadding2d({ padding: 1 }), x);
    const padding = stride === 1 ? "same" : "valid";
    const kernel = tf.transpose(tf.tensor(weights, shape), [2, 3, 1, 0]);
    const options = { name, filters: shape[0], kernelSize: 3, strides: stride, padding } as const;
    return apply(layers.conv2d({ ...options, weights: [kernel, tf.tensor1d(biases)] }), padded);
  }
  const relu = (x: SymbolicTensor) => apply(layers.reLU(), x);

  const images = input({ shape: [32, 32, 3] });
  let features = relu(convolve(images, "conv1", 1));
  for (const stage of ["layer1", "layer2", "layer3"]) {
    for (let block = 0; `${stage}.${block}.conv1.weight` in tensors; block++) {
      const name = `${stage}.${block}`;
      const stride = block === 0 && stage !== "layer1" ? 2 : 1;
      const channels = tensors[`${name}.conv1.weight`].shape[0];
      const shortcut = stride === 1 ? features : halve(features, channels);
      const inner = relu(convolve(features, `${name}.conv1`, stride));
      features = relu(apply(layers.add(), [shortcut, convolve(inner, `${name}.conv2`, 1)]));
    }
  }
  const { shape } = tensors["linear.weight"];
  const weights = [
    tf.transpose(tf.tensor2d(floats("linear.weight"), shape as [number, number])),
    tf.tensor1d(floats("linear.bias")),
  ];
  const pooled = apply(layers.globalAveragePooling2d({}), features);
  const logits = apply(layers.dense({ name: "linear", units: shape[0], weights }), pooled);
  return model({ inputs: images, outputs: logits });
}

/** Every second row and column, and zero channels on both sides ("option A"): padding is for the first two axes. */
function halve(x: SymbolicTensor, channels: number): SymbolicTensor {
  const more = (channels - (x.shape[3] as number)) / 2;
  const pixels = apply(layers.averagePooling2d({ poolSize: 1, strides: 2 }), x);
  const channelsFirst = apply(layers.permute({ dims: [3, 1, 2] }), pixels);
  const padding: [[number, number], [number, number]] = [
    [more, more],
    [0, 0],
  ];
  return apply(layers.permute({ dims: [2, 3, 1] }), apply(layers.zeroPadding2d({ padding }), channelsFirst));
}

function apply(
  layer: { apply(x: SymbolicTensor | SymbolicTensor[]): unknown },
  x: SymbolicTensor | SymbolicTensor[],
) {
  return layer.apply(x) as SymbolicTensor;
}
