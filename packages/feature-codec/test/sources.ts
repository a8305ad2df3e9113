/** Feature maps from integer arithmetic alone, so that they are the same on every engine: spots that move, on a gradient. */
import type { LinearTransform } from "../src/index.js";

export type ShapeOf = readonly [number, number, number];

/** Frame `time` of a film: smooth over pixels, related over channels, zero where nothing is, as after a ReLU. */
export function film(time: number, [height, width, channels]: ShapeOf, seed = 1): Float32Array {
  let state = seed;
  const values = new Float32Array(height * width * channels);
  for (let i = 0; i < values.length; i++) {
    const c = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / (channels * width));
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const noise = (state >>> 24) - 128;
    const distance = (x - ((3 + time + (c & 1)) % width)) ** 2 + (y - ((5 + (c & 3)) % height)) ** 2;
    const signal = 300 - 20 * distance - 11 * c + (c & 1 ? 3 * x : 2 * y);
    values[i] = Math.max(0, signal + noise / 16) / 64;
  }
  return values;
}

/** A butterfly of neighbouring channels: orthogonal, exact in float32 but for the root of a half. */
export function butterfly(_: Float32Array, channels: number): LinearTransform {
  const basis = new Float32Array(channels * channels);
  for (let c = 0; c + 1 < channels; c += 2) {
    basis[c * channels + c] = basis[c * channels + c + 1] = basis[(c + 1) * channels + c] = Math.SQRT1_2;
    basis[(c + 1) * channels + c + 1] = -Math.SQRT1_2;
  }
  if (channels % 2) basis[channels * channels - 1] = 1;
  return { basis, rows: channels, size: channels };
}

/** The same, biorthogonal: channels stretched unequally. */
export function stretched(_: Float32Array, channels: number): LinearTransform {
  const basis = new Float32Array(channels * channels);
  const synthesis = new Float32Array(channels * channels);
  const mean = new Float32Array(channels).fill(0.5);
  for (let c = 0; c < channels; c++) {
    basis[c * (channels + 1)] = 2 ** (c % 5);
    synthesis[c * (channels + 1)] = 2 ** -(c % 5);
  }
  return { basis, synthesis, mean, rows: channels, size: channels };
}
