/**
 * Data to code, seeded, with an entropy that is known or measured: quantized Laplace noise, uniform noise, sparse
 * feature maps, and the weights of real networks where they are at hand.
 *
 * Signed levels are mapped 0, -1, 1, -2, 2 .. -> 0, 1, 2, 3, 4 .., so 0 is the most frequent symbol.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";

export interface Source {
  name: string;
  symbols: Uint8Array;
  /** Symbols are 0 .. alphabetSize - 1. */
  alphabetSize: number;
  /** Where symbols are feature maps: parts of `symbols` whose maps are of one size each, in order. */
  maps?: Maps[];
  /** Where symbols are weights, by zigzag: the signed levels of each layer, in order. */
  layers?: Layer[];
}

/** Maps of one size, one after another. */
export interface Maps {
  symbols: Uint8Array;
  height: number;
  width: number;
  channels: number;
}

export interface Layer {
  levels: Int8Array;
  /** Weights of one output channel. */
  rowLength: number;
  /** Height and width of the kernels. */
  kernel: [number, number];
}

/** Two-sided geometric probabilities of a Laplace variable with P(level) ~ decay^|level|, levels to symbols by zigzag. */
function laplace(decay: number, alphabetSize: number): Float64Array {
  const p = Float64Array.from({ length: alphabetSize }, (_, s) => decay ** ((s + 1) >> 1));
  const total = p.reduce((sum, x) => sum + x, 0);
  return p.map((x) => x / total);
}

function entropyOf(p: Float64Array): number {
  return p.reduce((bits, x) => (x > 0 ? bits - x * Math.log2(x) : bits), 0);
}

/** `count` independent symbols of a quantized Laplace variable whose entropy is `bits` a symbol. */
export function laplaceSource(bits: number, count: number, seed = 1): Source {
  const alphabetSize = 256;
  let low = 1e-6;
  let high = 1;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (entropyOf(laplace(middle, alphabetSize)) < bits) low = middle;
    else high = middle;
  }
  return { name: `Laplace ${bits}`, symbols: draw(laplace(low, alphabetSize), count, seed), alphabetSize };
}

/** Independent symbols of these probabilities. */
export function draw(p: Float64Array, count: number, seed: number): Uint8Array {
  const next = random(seed);
  // A table of 65,536 equally likely entries, each refined by a second draw where two symbols share it.
  const cumulative = new Float64Array(p.length + 1);
  for (let s = 0; s < p.length; s++) cumulative[s + 1] = cumulative[s] + p[s];
  cumulative[p.length] = 1;
  const first = new Uint16Array(65536);
  for (let i = 0, s = 0; i < 65536; i++) {
    while (cumulative[s + 1] <= i / 65536) s++;
    first[i] = s;
  }
  const symbols = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const u = next();
    let s = first[Math.floor(u * 65536)];
    while (cumulative[s + 1] <= u) s++;
    symbols[i] = s;
  }
  return symbols;
}

export function uniformSource(alphabetSize: number, count: number, seed = 1): Source {
  const next = random(seed);
  const symbols = Uint8Array.from({ length: count }, () => Math.floor(next() * alphabetSize));
  return { name: `uniform ${alphabetSize}`, symbols, alphabetSize };
}

/**
 * `count` rows of a stationary Gauss-Markov process of variance 1, x[i] = correlation x[i - 1] + noise: the textbook
 * source whose R(D) is known (see `gaussianRate`) and that a transform can compress.
 *
 * @returns count × size, row-major; rows are independent
 */
export function gaussMarkovRows(correlation: number, size: number, count: number, seed = 1): Float32Array {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const innovation = Math.sqrt(1 - correlation ** 2);
  const rows = new Float32Array(count * size);
  for (let at = 0; at < rows.length; at += size) {
    rows[at] = normal();
    for (let i = 1; i < size; i++) rows[at + i] = correlation * rows[at + i - 1] + innovation * normal();
  }
  return rows;
}

/** Covariance of those rows, size × size: correlation^|i - j|. */
export function gaussMarkovCovariance(correlation: number, size: number): Float64Array {
  return Float64Array.from(
    { length: size * size },
    (_, at) => correlation ** Math.abs((at % size) - Math.floor(at / size)),
  );
}

/**
 * R(D) of a Gaussian vector: the least bits a value for mean squared error `distortion` a value, by reverse water-filling
 * over its principal components (Cover and Thomas, "Elements of Information Theory", theorem 10.3.3).
 *
 * @param variances of the principal components; one component of variance 1 at distortion 1/4 takes 1 bit
 */
export function gaussianRate(variances: ArrayLike<number>, distortion: number): number {
  const components = Array.from(variances);
  let low = 0;
  let high = Math.max(...components);
  for (let step = 0; step < 100; step++) {
    const level = (low + high) / 2;
    const spent = components.reduce((sum, variance) => sum + Math.min(level, variance), 0);
    if (spent < distortion * components.length) low = level;
    else high = level;
  }
  const bits = components.reduce((sum, variance) => sum + Math.max(0, Math.log2(variance / high) / 2), 0);
  return bits / components.length;
}

/** Row 8 of Pascal's triangle: 1 4 6 4 1 twice over. */
const SMOOTHING = [1, 8, 28, 56, 70, 56, 28, 8, 1];

/** White noise of variance 1 has this standard deviation after both passes: the sum of the squares, 16 over 8. */
const SMOOTHED = 12870;

/** The step of feature maps' levels, in standard deviations of what the threshold cuts. */
const MAP_STEP = 0.32;

/**
 * Feature maps as a ReLU leaves them: white Gaussian noise smoothed by a separable binomial filter, cut at the
 * quantile `zeros`, and what is above it quantized to levels 1 .. 15 in equal steps.
 *
 * 75 % zeros have 1.39 bits a symbol, 0.84 given the neighbours left and above.
 */
export function featureMapSource(zeros: number, maps = 8192, size = 32, seed = 1): Source {
  const next = random(seed);
  const field = new Float32Array(maps * size * size);
  const noise = new Float32Array(size * size);
  const rows = new Float32Array(size * size);
  const wrap = (i: number) => (i + size) % size;
  for (let m = 0; m < maps; m++) {
    for (let i = 0; i < noise.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - next())) / SMOOTHED;
      const angle = 2 * Math.PI * next();
      noise[i] = radius * Math.cos(angle);
      noise[i + 1] = radius * Math.sin(angle);
    }
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        let sum = 0;
        for (let k = -4; k <= 4; k++) sum += SMOOTHING[k + 4] * noise[y * size + wrap(x + k)];
        rows[y * size + x] = sum;
      }
    }
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        let sum = 0;
        for (let k = -4; k <= 4; k++) sum += SMOOTHING[k + 4] * rows[wrap(y + k) * size + x];
        field[m * size * size + y * size + x] = sum;
      }
    }
  }
  const sample = field.slice(0, Math.min(field.length, 1 << 20)).sort();
  const threshold = sample[Math.floor(zeros * sample.length)];
  const symbols = Uint8Array.from(field, (value) =>
    value > threshold ? Math.min(15, 1 + Math.floor((value - threshold) / MAP_STEP)) : 0,
  );
  return {
    name: `map ${Math.round(zeros * 100)} % zeros`,
    symbols,
    alphabetSize: 16,
    maps: [{ symbols, height: size, width: size, channels: 1 }],
  };
}

/** The folder of models and images, or undefined where there is none. */
export function dataFolder(): string | undefined {
  const folder =
    process.env.BITDIET_DATA ?? fileURLToPath(new URL("../../../../shared/data", import.meta.url));
  return existsSync(join(folder, "models")) ? folder : undefined;
}

/**
 * The convolution and dense weights of a ResNet checkpoint, each layer quantized by itself: symmetric, to
 * 2^bits - 1 levels, the largest magnitude at the last level.
 */
export async function weightSource(file: string, bits: number): Promise<Source> {
  const { tensors } = await readCheckpoint(file);
  const top = 2 ** (bits - 1) - 1;
  const layers: Layer[] = [];
  for (const { shape, values } of Object.values(tensors)) {
    if (values === undefined || (shape.length !== 4 && shape.length !== 2)) continue; // biases, batch norm
    const weights = values;
    let largest = 0;
    for (const weight of weights) largest = Math.max(largest, Math.abs(weight));
    layers.push({
      levels: Int8Array.from(weights, (weight) => Math.round((weight / largest) * top)),
      rowLength: weights.length / shape[0],
      kernel: [shape[2] ?? 1, shape[3] ?? 1],
    });
  }
  const symbols = new Uint8Array(layers.reduce((sum, { levels }) => sum + levels.length, 0));
  let at = 0;
  for (const { levels } of layers) {
    for (const level of levels) symbols[at++] = level < 0 ? -2 * level - 1 : 2 * level;
  }
  const name = `${/resnet\d+/.exec(file)?.[0].replace("resnet", "ResNet-")} weights, ${bits} bit`;
  return { name, symbols, alphabetSize: 2 * top + 1, layers };
}
