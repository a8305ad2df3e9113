/** Second moments of a layer's inputs in TF.js, and of the error that it has to make good, from a sample of the patches it sees. */
import * as tf from "@tensorflow/tfjs-core";
import type { InputStatistics } from "../network.js";
import { asImages } from "./matrix.js";
import type { ProgramLayer } from "./program.js";
import { shrinkCorrelations } from "./shrink.js";

/** Patches sampled for each column of a layer, and in any case. */
const SAMPLES_PER_COLUMN = 40;
const MIN_SAMPLES = 2000;

export interface Moments {
  /**
   * @param input of the layer in the network as changed so far, one batch
   * @param error of the layer's output, to be made good
   */
  add(input: tf.Tensor, error: tf.Tensor): void;
  means(): InputStatistics;
}

/**
 * @param count inputs in all
 * @param next uniform random numbers, to choose patches by
 */
export function momentsOf(layer: ProgramLayer, count: number, next: () => number): Moments {
  const { rows, columns, groups = 1, hasBias } = layer;
  const n = columns + 1;
  const gram = new Float64Array(groups * n * n);
  const residual = new Float64Array(rows * n);
  let [samples, independent] = [0, 0];
  return {
    add: (input, error) =>
      tf.tidy(() => {
        const [inputs, errors] = [asImages(input), asImages(error)];
        const [images, height, width] = errors.shape;
        const wanted = Math.max(SAMPLES_PER_COLUMN * n, MIN_SAMPLES);
        const perImage = Math.min(height * width, Math.ceil(wanted / count));
        const sampled = images * perImage;
        const found = samplePatches(inputs, errors, layer, perImage, next);
        const x = tf.tensor3d(found.patches, [groups, sampled, n]);
        const e = tf.tensor3d(found.errors, [groups, rows / groups, sampled]);
        // Both factors as they lie: products with a transposed factor are slow on the wasm backend.
        addTo(gram, tf.matMul(tf.transpose(x, [0, 2, 1]), x));
        addTo(residual, tf.matMul(e, x));
        samples += sampled;
        // Patches of one image have much in common.
        independent += images * Math.sqrt(perImage);
      }),
    means: () => {
      const means = {
        gram: gram.map((sum) => sum / samples),
        residual: residual.map((sum) => sum / samples),
      };
      for (let g = 0; g < groups; g++)
        shrinkCorrelations(means.gram.subarray(g * n * n, (g + 1) * n * n), n, samples, independent);
      if (!hasBias) forgetMeans(means, groups, n);
      return means;
    },
  };
}

/** Without biases the constant input is not there to make up for anything: uncorrelated with the others. */
function forgetMeans({ gram, residual }: InputStatistics, groups: number, n: number): void {
  for (let g = 0; g < groups; g++) {
    for (let c = 0, at = g * n * n; c < n - 1; c++) gram[at + c * n + n - 1] = gram[at + (n - 1) * n + c] = 0;
  }
  for (let i = n - 1; i < residual.length; i += n) residual[i] = 0;
}

function addTo(sum: Float64Array, tensor: tf.Tensor): void {
  const values = tensor.dataSync();
  for (let i = 0; i < sum.length; i++) sum[i] += values[i];
}

/**
 * Patches at random positions of each image, and the errors there.
 *
 * @returns patches: groups x samples x (columns + 1), kernels outermost and a last 1; errors: rows x samples
 */
function samplePatches(
  input: tf.Tensor4D,
  error: tf.Tensor4D,
  { rows, columns, groups = 1, matrix }: ProgramLayer,
  perImage: number,
  next: () => number,
) {
  const [images, height, width, channels] = input.shape;
  const [, outHeight, outWidth] = error.shape;
  const [x, e] = [input.dataSync(), error.dataSync()];
  const [kernelHeight, kernelWidth] = matrix.kernel;
  const area = kernelHeight * kernelWidth;
  const n = columns + 1;
  const sampled = images * perImage;
  const patches = new Float32Array(groups * sampled * n);
  const errors = new Float32Array(rows * sampled);
  // From one channel's kernel to the next: in the same row, or in the next group's.
  const apart = groups === 1 ? area : sampled * n;
  const positions = Int32Array.from({ length: outHeight * outWidth }, (_, i) => i);
  for (let image = 0, s = 0; image < images; image++) {
    for (let chosen = 0; chosen < perImage; chosen++, s++) {
      const position = nextOfShuffle(positions, chosen, next);
      const oy = Math.floor(position / outWidth);
      const ox = position % outWidth;
      for (let ky = 0; ky < kernelHeight; ky++) {
        const y = matrix.source(0, oy, ky, [height, outHeight]);
        if (!(y >= 0 && y < height && Number.isInteger(y))) continue;
        for (let kx = 0; kx < kernelWidth; kx++) {
          const column = matrix.source(1, ox, kx, [width, outWidth]);
          if (!(column >= 0 && column < width && Number.isInteger(column))) continue;
          const from = ((image * height + y) * width + column) * channels;
          const to = s * n + ky * kernelWidth + kx;
          for (let c = 0; c < channels; c++) patches[to + c * apart] = x[from + c];
        }
      }
      for (let g = 0; g < groups; g++) patches[(g * sampled + s) * n + n - 1] = 1;
      const from = ((image * outHeight + oy) * outWidth + ox) * rows;
      for (let r = 0; r < rows; r++) errors[r * sampled + s] = e[from + r];
    }
  }
  return { patches, errors };
}

/** Number `index` of a random order of the positions, of which the ones before it have been taken. */
function nextOfShuffle(positions: Int32Array, index: number, next: () => number): number {
  const other = index + Math.floor(next() * (positions.length - index));
  const position = positions[other];
  positions[other] = positions[index];
  positions[index] = position;
  return position;
}
