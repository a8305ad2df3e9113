// Feature maps in another basis: PCA over channels, folded into the convolutions, and one quantization step for all
// components (Chmiel et al., "Feature map transform coding for energy-efficient CNN inference", arXiv 1905.10830).
// Coefficients are levels · step, symbol = level - lowest. Example: step 0.5, levels -3 .. 4: coefficient 1.2 is level 2,
// symbol 5, and comes back as 1.

import type { Parameters } from "@bitdiet/compression-aware";
import { foldIntoConvolution, type Transform } from "@bitdiet/dct-transform";
import { inverse } from "@bitdiet/dct-transform/training";
import { parameter } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";

/** How one layer's maps are written: in which basis, and on which grid. Frozen at calibration. */
export interface MapGrid {
  transform: Transform;
  step: number;
  /** Lowest and highest level of each component over the calibration images; what is beyond is clipped. */
  low: Float32Array;
  high: Float32Array;
}

/** The convolution before a ReLU: conv1 before relu, layer1.0.conv2 before layer1.0.relu2. */
export const convolutionOf = (relu: string): string =>
  relu === "relu" ? "conv1" : relu.replace(/relu(\d)$/, "conv$1");

/** What one ReLU of the float network takes, over calibration images. */
export interface Preactivations {
  /** [pixels of all images, channels], row-major. */
  values: Float32Array;
  height: number;
  width: number;
  channels: number;
}

/** What each ReLU of the float network takes, by the ReLU's name. */
export function preactivations(parameters: Parameters, images: tf.Tensor4D): Record<string, Preactivations> {
  const seen: Record<string, Preactivations> = {};
  tf.tidy(
    () =>
      void cifarResnet(parameters, images, {
        preactivation: (x, name, shortcut) => {
          const sum: tf.Tensor4D = shortcut === undefined ? x : tf.add(x, shortcut);
          const [, height, width, channels] = sum.shape;
          seen[name] = { values: sum.dataSync<"float32">().slice(), height, width, channels };
          return sum;
        },
      }),
  );
  return seen;
}

/** Grid of one layer: a step that gives the range of all components together 2^bits levels. */
export function mapGrid(transform: Transform, coefficients: Float32Array, bits: number): MapGrid {
  const { rows } = transform;
  const low = new Float32Array(rows).fill(Number.POSITIVE_INFINITY);
  const high = new Float32Array(rows).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < coefficients.length; i++) {
    const k = i % rows;
    low[k] = Math.min(low[k], coefficients[i]);
    high[k] = Math.max(high[k], coefficients[i]);
  }
  const step = (Math.max(...high) - Math.min(...low)) / (2 ** bits - 1);
  const levels = (bounds: Float32Array) => bounds.map((bound) => Math.round(bound / step));
  return { transform, step, low: levels(low), high: levels(high) };
}

/** Levels of a layer start here: symbols are counted from it. */
export const lowestLevel = ({ low }: MapGrid): number => Math.min(...low);
export const alphabetSize = ({ low, high }: MapGrid): number => Math.max(...high) - Math.min(...low) + 1;

/** Coefficients, `rows` a pixel, to symbols 0 .. alphabetSize - 1 in the same order. */
export function symbolsOf(grid: MapGrid, coefficients: Float32Array): Uint16Array {
  const { low, high, step } = grid;
  const { rows } = grid.transform;
  const lowest = lowestLevel(grid);
  const symbols = new Uint16Array(coefficients.length);
  for (let i = 0, k = 0; i < symbols.length; i++, k = k + 1 === rows ? 0 : k + 1) {
    const level = Math.round(coefficients[i] / step);
    symbols[i] = Math.min(high[k], Math.max(low[k], level)) - lowest;
  }
  return symbols;
}

/** Symbols back to the layer's values, [batch, height, width, channels]. */
export function valuesOf(
  grid: MapGrid,
  symbols: ArrayLike<number>,
  [batch, height, width]: number[],
): tf.Tensor4D {
  return tf.tidy(() => {
    const levels = tf.tensor(Float32Array.from(symbols), [batch, height, width, grid.transform.rows]);
    return inverse(grid.transform, tf.mul(tf.add(levels, lowestLevel(grid)), grid.step)) as tf.Tensor4D;
  });
}

/**
 * The network whose convolutions compute coefficients: kernels and biases rotated. What `preactivation` is then given
 * lacks only the shortcut's share, see `coefficientsOf`.
 *
 * @param parameters with batch norm folded; @returns new tensors, those of other layers cloned
 */
export function foldTransforms(
  parameters: Parameters,
  transforms: readonly (readonly [relu: string, transform: Transform])[],
): Parameters {
  const folded: Parameters = Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [name, tf.clone(tensor)]),
  );
  for (const [relu, transform] of transforms) {
    const names = { kernel: `${convolutionOf(relu)}.weight`, bias: `${convolutionOf(relu)}.bias` };
    const kernel = parameter<tf.Tensor4D>(parameters, names.kernel);
    const rotated = foldIntoConvolution(transform, {
      kernel: kernel.dataSync<"float32">(),
      bias: parameter(parameters, names.bias).dataSync<"float32">(),
    });
    tf.dispose([folded[names.kernel], folded[names.bias]]);
    folded[names.kernel] = tf.tensor4d(rotated.kernel, [
      ...kernel.shape.slice(0, 3),
      transform.rows,
    ] as never);
    folded[names.bias] = tf.tensor1d(rotated.bias);
  }
  return folded;
}

/** The coefficients of convolution + shortcut, where the convolution is a rotated one: the shortcut is turned alone. */
export function coefficientsOf(
  { basis, rows, size }: Transform,
  convolved: tf.Tensor4D,
  shortcut?: tf.Tensor4D,
): tf.Tensor4D {
  if (shortcut === undefined) return convolved;
  return tf.tidy(() => {
    const columns = tf.transpose(tf.tensor2d(basis, [rows, size]));
    const turned = tf.matMul(tf.reshape(shortcut, [-1, size]) as tf.Tensor2D, columns);
    return tf.add(convolved, tf.reshape(turned, convolved.shape));
  });
}

/** pcaQ: the basis with its entries on `2^bits` k-means centroids, so that an entry is stored in `bits` bits. */
export function quantizedBasis(transform: Transform, bits = 8): Transform {
  return { ...transform, basis: nearestCentroids(transform.basis, 2 ** bits) };
}

/** One-dimensional k-means (Lloyd), started at quantiles; each value replaced by its centroid. */
export function nearestCentroids(values: Float32Array, count: number, rounds = 20): Float32Array {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const distinct = new Set(values).size;
  if (distinct <= count) return values.slice();
  let centroids = Float64Array.from(
    { length: count },
    (_, c) => values[order[Math.floor(((c + 0.5) * values.length) / count)]],
  );
  const assigned = new Uint32Array(values.length);
  for (let round = 0; round < rounds; round++) {
    const sums = new Float64Array(count);
    const sizes = new Uint32Array(count);
    let c = 0;
    for (const i of order) {
      while (c + 1 < count && values[i] > (centroids[c] + centroids[c + 1]) / 2) c++;
      assigned[i] = c;
      sums[c] += values[i];
      sizes[c]++;
    }
    centroids = centroids.map((centroid, k) => (sizes[k] > 0 ? sums[k] / sizes[k] : centroid)).sort();
  }
  return values.map((_, i) => centroids[assigned[i]]);
}

/** Bytes of a layer's step and offset, and unless it is the identity of its basis and its mean. */
export function storageBytes({ rows, size, mean }: Transform, basisBits = 32): number {
  if (mean === undefined) return 6;
  const centroids = basisBits < 32 ? 4 * 2 ** basisBits : 0;
  return 6 + 4 * size + (rows * size * basisBits) / 8 + centroids;
}
