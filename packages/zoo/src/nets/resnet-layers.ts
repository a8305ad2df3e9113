// The CIFAR ResNets as layers models of TF.js, batch norm folded away: what `bitdiet/calibrate` and `fromBitdiet` take.
// Example: `cifarResnetLayers(foldBatchNorm(parameters)).predict(tf.zeros([1, 32, 32, 3]))` are logits [1, 10].

import type { Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { input, type LayersModel, layers, model, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import { foldBatchNorm } from "./batch-norm.js";
import { readCheckpoint } from "./checkpoint-file.js";
import { parameter, parametersFromPyTorch } from "./parameters.js";

/** Layers of a safetensors file with PyTorch's names. */
export async function readResnetLayers(path: string): Promise<LayersModel> {
  const { tensors } = await readCheckpoint(path);
  const parameters = parametersFromPyTorch(tensors);
  const folded = foldBatchNorm(parameters);
  const model = cifarResnetLayers(folded);
  tf.dispose([parameters, folded]);
  return model;
}

/**
 * @param folded filters, matrices and biases; copied
 * @returns a model that computes what `cifarResnet` does, with layers of PyTorch's names
 * @throws {RangeError} if a parameter is missing
 */
export function cifarResnetLayers(folded: Parameters): LayersModel {
  const weightsOf = (name: string): tf.Tensor[] => [
    parameter(folded, `${name}.weight`),
    parameter(folded, `${name}.bias`),
  ];
  function convolve(x: SymbolicTensor, name: string, stride: number): SymbolicTensor {
    // PyTorch's padding: a zero on every side, also where TF.js's "same" would leave out the first.
    const padded = stride === 1 ? x : apply(layers.zeroPadding2d({ padding: 1 }), x);
    const padding = stride === 1 ? "same" : "valid";
    const weights = weightsOf(name);
    const filters = weights[0].shape[3] as number;
    return apply(layers.conv2d({ name, filters, kernelSize: 3, strides: stride, padding, weights }), padded);
  }
  const relu = (x: SymbolicTensor) => apply(layers.reLU(), x);

  const images = input({ shape: [32, 32, 3] });
  let features = relu(convolve(images, "conv1", 1));
  for (const stage of ["layer1", "layer2", "layer3"]) {
    for (let block = 0; `${stage}.${block}.conv1.weight` in folded; block++) {
      const name = `${stage}.${block}`;
      const stride = block === 0 && stage !== "layer1" ? 2 : 1;
      const inner = relu(convolve(features, `${name}.conv1`, stride));
      const shortcut = stride === 1 ? features : halve(features, inner.shape[3] as number);
      features = relu(apply(layers.add(), [shortcut, convolve(inner, `${name}.conv2`, 1)]));
    }
  }
  const weights = weightsOf("linear");
  const units = weights[0].shape[1] as number;
  const pooled = apply(layers.globalAveragePooling2d({}), features);
  return model({
    inputs: images,
    outputs: apply(layers.dense({ name: "linear", units, weights }), pooled),
  });
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
