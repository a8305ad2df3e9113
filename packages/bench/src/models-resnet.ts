/**
 * The CIFAR ResNets of the examples as a list of operations, batch norm folded into the convolutions.
 */
import { readFileSync } from "node:fs";
import { EPSILON } from "@bitdiet/examples/models/batch-norm";
import { readSafetensors } from "@bitdiet/examples/models/safetensors";
import * as tf from "@tensorflow/tfjs-core";
import type { CalibrationLayer } from "../../bitdiet/src/quantize/calibration-network.js";
import type { Operation, TensorNetwork } from "./models-network.js";

export function readResnet(file: string): TensorNetwork {
  const { tensors } = readSafetensors(readFileSync(file));
  const floats = (name: string) => tensors[name].values as Float32Array;
  const layers: CalibrationLayer[] = [];
  const operations: Operation[] = [];
  const add = (operation: Operation) => operations.push(operation); // the value it makes

  function convolve(input: number, name: string, stride: number, addedTo?: number): number {
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
    layers.push({ name, rows: shape[0], columns, kernel: [shape[2], shape[3]], weights, biases });
    return add({
      inputs: [input],
      run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, stride, 1), p!.bias),
      layer: { index: layers.length - 1, stride, kernel: [3, 3], pad: 1 },
      addedTo,
    });
  }
  const relu = (input: number) => add({ inputs: [input], run: ([x]) => tf.relu(x) });

  let features = relu(convolve(0, "conv1", 1));
  for (const stage of ["layer1", "layer2", "layer3"]) {
    for (let block = 0; `${stage}.${block}.conv1.weight` in tensors; block++) {
      const name = `${stage}.${block}`;
      const stride = block === 0 && stage !== "layer1" ? 2 : 1;
      const input = features;
      const channels = tensors[`${name}.conv1.weight`].shape[0];
      const shortcut =
        stride === 1 ? input : add({ inputs: [input], run: ([x]) => halve(x as tf.Tensor4D, channels) });
      const inner = relu(convolve(input, `${name}.conv1`, stride));
      const residual = convolve(inner, `${name}.conv2`, 1, shortcut);
      features = relu(add({ inputs: [residual, shortcut], run: ([a, b]) => tf.add(a, b) }));
    }
  }
  const pooled = add({ inputs: [features], run: ([x]) => tf.mean(x, [1, 2], true) });
  const { shape } = tensors["linear.weight"];
  layers.push({
    name: "linear",
    rows: shape[0],
    columns: shape[1],
    kernel: [1, 1],
    weights: floats("linear.weight"),
    biases: floats("linear.bias"),
  });
  const logits = add({
    inputs: [pooled],
    run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, 1, "valid"), p!.bias),
    layer: { index: layers.length - 1, stride: 1, kernel: [1, 1], pad: 0 },
  });
  add({ inputs: [logits], run: ([x]) => tf.reshape(x, [x.shape[0], shape[0]]) });
  return { layers, operations, shape: [32, 32, 3] };
}

/** Every second row and column, and zero channels on both sides ("option A"); a strided slice has no gradient in tfjs. */
function halve(x: tf.Tensor4D, channels: number): tf.Tensor4D {
  const [batch, height, width, inputs] = x.shape;
  const rows = tf.slice(
    tf.reshape(x, [(batch * height) / 2, 2 * width * inputs]),
    [0, 0],
    [-1, width * inputs],
  );
  const pixels = tf.slice(tf.reshape(rows, [(batch * height * width) / 4, 2 * inputs]), [0, 0], [-1, inputs]);
  const before = Math.floor((channels - inputs) / 2);
  const padded = tf.pad(pixels, [
    [0, 0],
    [before, channels - inputs - before],
  ]);
  return tf.reshape(padded, [batch, height / 2, width / 2, channels]);
}
