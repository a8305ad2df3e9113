/**
 * Calibration inputs through a network of TF.js: what the quantizer wants to know about each layer.
 *
 *     const calibration = calibrationNetwork(layersNetwork(model), inputs, [200, 224, 224, 3]);
 *     const sensitivities = await measureSensitivities(calibration);
 */
import * as tf from "@tensorflow/tfjs-core";
import type { CalibrationLayer, CalibrationNetwork, InputStatistics, LayerParameters } from "./network.js";
import { fromRows, type LayersNetwork, type LayerTensors, type Operation } from "./tfjs-layers.js";

/** Inputs that run together, and inputs of which one gradient is taken. */
const BATCH = 50;
const GRADIENT_BATCH = 4;
/** Patches sampled for a layer's second moments, for each of its columns. */
const SAMPLES_PER_COLUMN = 40;
const SEED = 20;
/** A classifier this sure of its inputs has been trained on them, and its own softmax hardly moves any more. */
const SURE = 0.99;
/** Of the softmax in place of such a classifier's own: all classes count alike. */
const MEMORISED_TEMPERATURE = 1000;

/**
 * @param inputs shape[0] inputs, one after another
 * @param onLayer called before each layer of a walk
 */
export function calibrationNetwork(
  network: LayersNetwork,
  inputs: Float32Array,
  shape: readonly number[],
  onLayer: (layer: number) => void = () => {},
): CalibrationNetwork {
  const { layers, operations, isClassifier } = network;
  const [count, ...inputShape] = shape;
  const size = inputs.length / count;
  const slice = (from: number, to: number) =>
    tf.tensor(inputs.subarray(from * size, to * size), [to - from, ...inputShape]);
  const tensorsOf = (index: number, { weights, biases }: LayerParameters): LayerTensors => {
    const { rows, columns, kernel } = layers[index];
    const hwio = fromRows(weights, rows, columns, kernel);
    const channels = columns / (kernel[0] * kernel[1]);
    return { filter: tf.tensor4d(hwio, [...kernel, channels, rows]), bias: tf.tensor1d(biases) };
  };
  const lastUses = lastUsesOf(operations);

  async function walk(
    replace: (layer: number, statistics: InputStatistics) => LayerParameters,
  ): Promise<Float32Array> {
    const next = uniform(SEED);
    const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, b) =>
      slice(b * BATCH, Math.min(count, (b + 1) * BATCH)),
    );
    // The values of the float network and of the one with the layers replaced so far, batch by batch.
    const exact: tf.Tensor[][] = [batches];
    const changed: tf.Tensor[][] = [batches.map((batch) => tf.clone(batch))];
    for (const [i, operation] of operations.entries()) {
      const { layer, inputs: from, finish } = operation;
      const run = (values: tf.Tensor[][], b: number, tensors?: LayerTensors) =>
        tf.tidy(() =>
          operation.run(
            from.map((j) => values[j][b]),
            tensors,
          ),
        );
      const finished = (output: tf.Tensor) => {
        if (!finish) return output;
        const value = tf.tidy(() => finish(output));
        output.dispose();
        return value;
      };
      const floats = layer && tensorsOf(layer.index, layers[layer.index]);
      const statistics = layer && sumsOf(operation, layers[layer.index], count, next);
      exact.push(
        batches.map((_, b) => {
          const output = run(exact, b, floats);
          statistics?.add(output, () => run(changed, b, floats), exact, changed, b);
          return finished(output);
        }),
      );
      let replaced: LayerTensors | undefined;
      if (layer && statistics) {
        onLayer(layer.index);
        replaced = tensorsOf(layer.index, replace(layer.index, statistics.means()));
      }
      changed.push(batches.map((_, b) => finished(run(changed, b, replaced))));
      if (floats && replaced) tf.dispose([floats.filter, floats.bias, replaced.filter, replaced.bias]);
      for (let j = 0; j <= i; j++) {
        if ((lastUses[j] ?? -1) > i) continue;
        tf.dispose([...exact[j], ...changed[j]]);
        exact[j] = changed[j] = [];
      }
      // Where a page or a bar wants to be drawn.
      await new Promise((resolve) => setTimeout(resolve));
    }
    const outputs = changed.at(-1)!.map((tensor) => tensor.dataSync<"float32">());
    const all = Float32Array.from(outputs.flatMap((part) => [...part]));
    tf.dispose([...changed.at(-1)!, ...exact.at(-1)!]);
    return all;
  }

  async function gradients(
    visit: (gradients: readonly Float32Array[]) => void,
    parameters: readonly LayerParameters[] = layers,
  ): Promise<void> {
    const next = uniform(SEED + 1);
    const tensors = layers.map((_, index) => tensorsOf(index, parameters[index]));
    const outputsOf = (x: tf.Tensor, filters: tf.Tensor[]) => {
      const values = [x];
      for (const { inputs: from, run, finish, layer } of operations) {
        const given = layer && { ...tensors[layer.index], filter: filters[layer.index] as tf.Tensor4D };
        const output = run(
          from.map((j) => values[j]),
          given,
        );
        values.push(finish ? finish(output) : output);
      }
      return tf.reshape(values.at(-1)!, [x.shape[0], -1]);
    };
    const filters = tensors.map(({ filter }) => filter);
    let temperature = 1;
    if (isClassifier) {
      let sure = 0;
      for (let from = 0; from < count; from += BATCH) {
        const largest = tf.tidy(() => {
          const outputs = outputsOf(slice(from, Math.min(count, from + BATCH)), filters);
          return tf.sum(tf.max(tf.softmax(outputs), 1)).dataSync()[0];
        });
        sure += largest / count;
      }
      if (sure > SURE) temperature = MEMORISED_TEMPERATURE;
    }
    for (let from = 0; from + GRADIENT_BATCH <= count; from += GRADIENT_BATCH) {
      const found = tf.tidy(() => {
        const x = slice(from, from + GRADIENT_BATCH);
        let projection: tf.Tensor | undefined;
        const { value, grads } = tf.valueAndGrads((...filters: tf.Tensor[]) => {
          const outputs = outputsOf(x, filters);
          projection ??= randomProjection(outputs, isClassifier ? temperature : undefined, next);
          return tf.sum(tf.mul(outputs, projection));
        })(filters);
        value.dispose();
        return grads.map((gradient) => {
          const turned = tf.transpose(gradient as tf.Tensor4D, [3, 2, 0, 1]);
          return turned.dataSync<"float32">().map((value) => value / Math.sqrt(GRADIENT_BATCH));
        });
      });
      visit(found);
      await new Promise((resolve) => setTimeout(resolve));
    }
    tf.dispose(tensors.flatMap(({ filter, bias }) => [filter, bias]));
  }

  return { layers, walk, gradients };
}

/** The last operation that needs each value. */
function lastUsesOf(operations: readonly Operation[]): number[] {
  const uses: number[] = [];
  for (const [i, { inputs, addedTo }] of operations.entries()) {
    for (const input of addedTo === undefined ? inputs : [...inputs, addedTo]) uses[input] = i;
  }
  uses[operations.length] = Infinity;
  return uses;
}

/**
 * A direction whose covariance is the Hessian of the loss in the outputs: diag(p) - p p^T for the KL divergence of a softmax at a
 * temperature, the identity for the squared error.
 */
function randomProjection(
  outputs: tf.Tensor,
  temperature: number | undefined,
  next: () => number,
): tf.Tensor {
  const [rows, classes] = outputs.shape;
  const normal = Float32Array.from(
    { length: rows * classes },
    () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
  if (temperature === undefined) return tf.tensor(normal, [rows, classes]);
  const p = tf.softmax(tf.div(outputs, temperature)).dataSync<"float32">();
  for (let from = 0; from < p.length; from += classes) {
    let sum = 0;
    for (let c = from; c < from + classes; c++) {
      normal[c] *= Math.sqrt(p[c]);
      sum += normal[c];
    }
    // z_c = sqrt(p_c) n_c has covariance diag(p); less p times their sum, it is what is wanted.
    for (let c = from; c < from + classes; c++) normal[c] -= p[c] * sum;
  }
  return tf.tensor(normal, [rows, classes]);
}

/** Seeded numbers in [0, 1): mulberry32. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Second moments of a layer's inputs and of the error that it has to make good, from a sample of its patches in each batch. */
function sumsOf(
  { inputs: [input], layer, addedTo }: Operation,
  { rows, columns }: CalibrationLayer,
  count: number,
  next: () => number,
) {
  const n = columns + 1;
  const gram = new Float64Array(n * n);
  const residual = new Float64Array(rows * n);
  let samples = 0;
  /** @param target what the float network has here; `run` gives what it would have with the values as they have changed */
  const add = (
    target: tf.Tensor,
    run: () => tf.Tensor,
    exact: tf.Tensor[][],
    changed: tf.Tensor[][],
    b: number,
  ): void =>
    tf.tidy(() => {
      let error = tf.sub(target, run());
      if (addedTo !== undefined) error = tf.add(error, tf.sub(exact[addedTo][b], changed[addedTo][b]));
      const asImages = (x: tf.Tensor) =>
        (x.rank === 4 ? x : tf.reshape(x, [x.shape[0], 1, 1, -1])) as tf.Tensor4D;
      const [images, height, width] = asImages(error).shape;
      const perImage = Math.min(height * width, Math.ceil((SAMPLES_PER_COLUMN * n) / count));
      const { patches, errors } = samplePatches(
        asImages(changed[input][b]),
        asImages(error),
        layer!,
        perImage,
        next,
      );
      const sampled = images * perImage;
      const x = tf.tensor2d(patches, [sampled, n]);
      // Both factors as they lie: products with a transposed factor are slow on the wasm backend.
      addTo(gram, tf.matMul(tf.transpose(x), x));
      addTo(residual, tf.matMul(tf.transpose(tf.tensor2d(errors, [sampled, rows])), x));
      samples += sampled;
    });
  const means = (): InputStatistics => ({
    gram: gram.map((sum) => sum / samples),
    residual: residual.map((sum) => sum / samples),
  });
  return { add, means };
}

function addTo(sum: Float64Array, tensor: tf.Tensor): void {
  const values = tensor.dataSync();
  for (let i = 0; i < sum.length; i++) sum[i] += values[i];
}

/** Patches at random positions of each image, kernels outermost and a last 1, and the errors there. */
function samplePatches(
  input: tf.Tensor4D,
  error: tf.Tensor4D,
  { kernel, strides, pad }: NonNullable<Operation["layer"]>,
  perImage: number,
  next: () => number,
) {
  const [images, height, width, channels] = input.shape;
  const [, outHeight, outWidth, rows] = error.shape;
  const [x, e] = [input.dataSync(), error.dataSync()];
  const before = (axis: 0 | 1, extent: number, out: number) =>
    pad === "valid" ? 0 : Math.max(0, (out - 1) * strides[axis] + kernel[axis] - extent) >> 1;
  const top = before(0, height, outHeight);
  const left = before(1, width, outWidth);
  const area = kernel[0] * kernel[1];
  const n = channels * area + 1;
  const patches = new Float32Array(images * perImage * n);
  const errors = new Float32Array(images * perImage * rows);
  const positions = Int32Array.from({ length: outHeight * outWidth }, (_, i) => i);
  for (let image = 0, at = 0; image < images; image++) {
    for (let s = 0; s < perImage; s++, at++) {
      // The next of a shuffle.
      const other = s + Math.floor(next() * (positions.length - s));
      const position = positions[other];
      positions[other] = positions[s];
      positions[s] = position;
      const y = Math.floor(position / outWidth);
      const z = position % outWidth;
      for (let ky = 0; ky < kernel[0]; ky++) {
        const row = y * strides[0] - top + ky;
        if (row < 0 || row >= height) continue;
        for (let kx = 0; kx < kernel[1]; kx++) {
          const column = z * strides[1] - left + kx;
          if (column < 0 || column >= width) continue;
          const from = ((image * height + row) * width + column) * channels;
          const to = at * n + ky * kernel[1] + kx;
          for (let c = 0; c < channels; c++) patches[to + c * area] = x[from + c];
        }
      }
      patches[at * n + n - 1] = 1;
      const from = ((image * outHeight + y) * outWidth + z) * rows;
      errors.set(e.subarray(from, from + rows), at * rows);
    }
  }
  return { patches, errors };
}
