/**
 * A TF.js network for calibration: a list of operations, run one after the other on all batches, once with the float parameters
 * and once with those chosen so far.
 */
import { normal, uniform } from "@bitdiet/examples/data/random";
import * as tf from "@tensorflow/tfjs-core";
import type {
  CalibrationLayer,
  CalibrationNetwork,
  InputStatistics,
  LayerParameters,
} from "../../bitdiet/src/quantize/calibration-network.js";
import { type PatchShape, samplePatches } from "./models-patches.js";

interface LayerTensors {
  filter: tf.Tensor4D;
  bias: tf.Tensor1D;
}

/** One operation. Operation i makes value i + 1; value 0 is the network's input. */
export interface Operation {
  inputs: number[];
  run(values: tf.Tensor[], parameters?: LayerTensors): tf.Tensor;
  /** What follows at once, such as an activation: applied before the value is kept, so that less has to be. */
  finish?(output: tf.Tensor): tf.Tensor;
  /** Of a convolution: which of the layers it is. */
  layer?: PatchShape & { index: number };
  /** The value that this operation's output will be added to, if nothing else uses it. */
  addedTo?: number;
}

/** Layers are convolutions, [batch, height, width, channels]; dense ones are 1x1. */
export interface TensorNetwork {
  layers: CalibrationLayer[];
  operations: Operation[];
  /** Of one input. */
  shape: readonly number[];
}

export interface CalibrationOptions {
  seed: number;
  /** Positions sampled in a layer, as a multiple of its columns. */
  samplesPerColumn: number;
  /** Inputs whose gradients are taken, from the first on; four at a time. */
  gradientInputs: number;
  /**
   * Outputs are projected at random with the Fisher information of their softmax at this temperature as covariance. 1 gives the Hessian of
   * the KL divergence; but a network is sure of images that it was trained on, and says nothing about others then: high temperatures
   * take all outputs alike.
   */
  temperature: number;
}

const GRADIENT_BATCH = 4;

/** Outputs for these inputs, inputs x classes. */
export function outputs(
  network: TensorNetwork,
  batches: readonly Float32Array[],
  parameters: readonly LayerParameters[] = network.layers,
): Float32Array {
  const tensors = network.layers.map((layer, i) => tensorsOf(layer, parameters[i]));
  const parts = batches.map((batch) =>
    tf.tidy(() => runAll(network, inputOf(network, batch), tensors).dataSync<"float32">().slice()),
  );
  for (const { filter, bias } of tensors) tf.dispose([filter, bias]);
  return concatenate(parts);
}

export function calibrationNetwork(
  network: TensorNetwork,
  batches: readonly Float32Array[],
  options: CalibrationOptions,
): CalibrationNetwork {
  return {
    layers: network.layers,
    walk: async (replace) => walk(network, batches, options, replace),
    gradients: async (visit, parameters = network.layers) =>
      takeGradients(network, batches, options, parameters, visit),
  };
}

function tensorsOf(layer: CalibrationLayer, { weights, biases }: LayerParameters): LayerTensors {
  const [height, width] = layer.kernel;
  const filter = tf.tidy(() => {
    const oihw = tf.tensor4d(weights, [layer.rows, layer.columns / (height * width), height, width]);
    return tf.transpose(oihw, [2, 3, 1, 0]);
  });
  return { filter, bias: tf.tensor1d(biases) };
}

function inputOf({ shape }: TensorNetwork, batch: Float32Array): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(batch, [batch.length / size, ...shape]);
}

function runAll(network: TensorNetwork, x: tf.Tensor, parameters: readonly LayerTensors[]): tf.Tensor {
  const values: tf.Tensor[] = [x];
  for (const { inputs, run, finish = (y: tf.Tensor) => y, layer } of network.operations) {
    const arguments_ = inputs.map((i) => values[i]);
    values.push(finish(run(arguments_, layer && parameters[layer.index])));
  }
  return values[values.length - 1];
}

function walk(
  network: TensorNetwork,
  batches: readonly Float32Array[],
  { seed, samplesPerColumn }: CalibrationOptions,
  replace: (layer: number, statistics: InputStatistics) => LayerParameters,
): Float32Array {
  const { layers, operations } = network;
  const next = uniform(seed);
  const start = () => batches.map((batch) => inputOf(network, batch));
  // Values with the float and with the chosen parameters, a tensor a batch.
  const exact: tf.Tensor[][] = [start()];
  const changed: tf.Tensor[][] = [start()];
  const images = exact[0].reduce((sum, { shape }) => sum + shape[0], 0);
  const lastUses = lastUsesOf(operations);
  operations.forEach((operation, i) => {
    const { inputs, layer, addedTo, finish = (y: tf.Tensor) => y } = operation;
    const run = (values: tf.Tensor[][], batch: number, parameters?: LayerTensors) =>
      operation.run(
        inputs.map((j) => values[j][batch]),
        parameters,
      );
    let chosen: LayerTensors | undefined;
    if (layer) {
      const shape = layers[layer.index];
      const float = tensorsOf(shape, shape);
      const size = shape.columns + 1;
      const gram = new Float64Array(size * size);
      const residual = new Float64Array(shape.rows * size);
      let samples = 0;
      exact.push(
        batches.map((_, batch) =>
          tf.tidy(() => {
            const output = run(exact, batch, float);
            let error = tf.sub(output, run(changed, batch, float)) as tf.Tensor4D;
            if (addedTo !== undefined)
              error = tf.add(error, tf.sub(exact[addedTo][batch], changed[addedTo][batch]));
            const [, height, width] = error.shape;
            const perImage = Math.min(height * width, Math.ceil((samplesPerColumn * size) / images));
            const input = changed[inputs[0]][batch] as tf.Tensor4D;
            const { patches, transposed, errors, count } = samplePatches(input, error, layer, perImage, next);
            const right = tf.tensor2d(patches, [count, size]);
            addTo(gram, tf.matMul(tf.tensor2d(transposed, [size, count]), right));
            addTo(residual, tf.matMul(tf.tensor2d(errors, [shape.rows, count]), right));
            samples += count;
            return finish(output);
          }),
        ),
      );
      for (const sums of [gram, residual]) for (let j = 0; j < sums.length; j++) sums[j] /= samples;
      chosen = tensorsOf(shape, replace(layer.index, { gram, residual }));
      tf.dispose([float.filter, float.bias]);
    } else exact.push(batches.map((_, batch) => tf.tidy(() => finish(run(exact, batch)))));
    changed.push(batches.map((_, batch) => tf.tidy(() => finish(run(changed, batch, chosen)))));
    if (chosen) tf.dispose([chosen.filter, chosen.bias]);
    for (let j = 0; j <= i; j++) {
      if (lastUses[j] <= i) tf.dispose([...exact[j].splice(0), ...changed[j].splice(0)]);
    }
  });
  const results = changed[operations.length].map((tensor) => tensor.dataSync<"float32">().slice());
  tf.dispose([...changed[operations.length], ...exact[operations.length]]);
  return concatenate(results);
}

/** The last operation that needs each value. */
function lastUsesOf(operations: readonly Operation[]): number[] {
  const last = operations.map((_, i) => i);
  operations.forEach(({ inputs, addedTo }, i) => {
    for (const value of addedTo === undefined ? inputs : [...inputs, addedTo]) last[value] = i;
  });
  return last;
}

function takeGradients(
  network: TensorNetwork,
  batches: readonly Float32Array[],
  { seed, gradientInputs, temperature }: CalibrationOptions,
  parameters: readonly LayerParameters[],
  visit: (gradients: readonly Float32Array[]) => void,
): void {
  const gaussian = normal(uniform(seed + 1));
  const tensors = network.layers.map((layer, i) => tensorsOf(layer, parameters[i]));
  const size = network.shape.reduce((a, b) => a * b, 1);
  let done = 0;
  for (const batch of batches) {
    for (let from = 0; from + GRADIENT_BATCH * size <= batch.length; from += GRADIENT_BATCH * size) {
      if (done >= gradientInputs) break;
      done += GRADIENT_BATCH;
      const gradients = tf.tidy(() => {
        const x = inputOf(network, batch.subarray(from, from + GRADIENT_BATCH * size));
        const projected = (...filters: tf.Tensor[]) => {
          const layers = filters.map((filter, i) => ({
            filter: filter as tf.Tensor4D,
            bias: tensors[i].bias,
          }));
          const logits = runAll(network, x, layers) as tf.Tensor2D;
          return tf.sum(tf.mul(logits, projection(logits, temperature, gaussian))) as tf.Scalar;
        };
        const { grads } = tf.valueAndGrads(projected)(tensors.map(({ filter }) => filter));
        // Each input was projected independently, so that the sum's square has the sum of the squares as its mean.
        return grads.map((gradient) =>
          tf
            .div(tf.transpose(gradient as tf.Tensor4D, [3, 2, 0, 1]), Math.sqrt(GRADIENT_BATCH))
            .dataSync<"float32">()
            .slice(),
        );
      });
      visit(gradients);
    }
  }
  for (const { filter, bias } of tensors) tf.dispose([filter, bias]);
}

/** Gaussian vectors with covariance diag(p) - p p^T, p the softmax of the logits: one a row. Their values, without a gradient. */
function projection(logits: tf.Tensor2D, temperature: number, gaussian: () => number): tf.Tensor2D {
  const [rows, classes] = logits.shape;
  const p = tf.softmax(tf.div(logits, temperature)).dataSync();
  const vectors = new Float32Array(p.length);
  for (let row = 0; row < rows; row++) {
    const from = row * classes;
    let sum = 0;
    for (let c = from; c < from + classes; c++) {
      vectors[c] = Math.sqrt(p[c]) * gaussian();
      sum += vectors[c];
    }
    for (let c = from; c < from + classes; c++) vectors[c] -= p[c] * sum;
  }
  return tf.tensor2d(vectors, [rows, classes]);
}

function addTo(sums: Float64Array, tensor: tf.Tensor): void {
  const values = tensor.dataSync();
  for (let i = 0; i < sums.length; i++) sums[i] += values[i];
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
