/**
 * MobileNet V1 0.25 cut in two, and its pictures: what passes from one half to the other, how sensitive the outputs are to it, and
 * what becomes of the outputs when it is changed.
 */
import { join } from "node:path";
import { imageFolder, squarePixels } from "@bitdiet/zoo/data/imagenet";
import { uniform } from "@bitdiet/zoo/data/random";
import { readLayers } from "@bitdiet/zoo/nets/read-layers";
import { splitLayers } from "@bitdiet/zoo/nets/split-layers";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";

export const SIDE = 224;
const CLASSES = 1000;
const BATCH = 20;

/** A picture as bytes, SIDE × SIDE × 3. */
export type Picture = Uint8Array;

export async function picturesOf(folder: string, from: number, to: number): Promise<Picture[]> {
  const files = imageFolder(join(folder, "imagenet-val")).slice(from, to);
  return Promise.all(files.map(({ read }) => squarePixels(read(), SIDE)));
}

export interface Halves {
  shape: [number, number, number];
  /** What passes between the halves, a map a picture. */
  features(pictures: readonly Picture[]): Float32Array[];
  /** Probabilities of the classes, a row a map. */
  outputs(maps: readonly Float32Array[]): Float32Array[];
  /** The Fisher information of the outputs about a pixel's channels: how much an error in each direction costs, in nats. */
  sensitivity(maps: readonly Float32Array[]): Float64Array;
}

export const readMobilenet = (folder: string): Promise<LayersModel> =>
  readLayers(join(folder, "models/mobilenet-v1-025-imagenet-tfjs/model.json"));

export function halvesAt(whole: LayersModel, layer: string): Halves {
  const { head, tail, shape } = splitLayers(whole, layer);
  return {
    shape,
    features: (pictures) =>
      run(
        head,
        pictures.map((picture) => Float32Array.from(picture, (byte) => byte / 127.5 - 1)),
        [SIDE, SIDE, 3],
      ),
    outputs: (maps) => run(tail, maps, shape),
    sensitivity: (maps) => fisher(tail, maps, shape),
  };
}

function run(model: LayersModel, inputs: readonly Float32Array[], shape: number[]): Float32Array[] {
  const rows: Float32Array[] = [];
  for (let from = 0; from < inputs.length; from += BATCH) {
    const batch = inputs.slice(from, from + BATCH);
    const values = tf.tidy(() => {
      const x = tf.concat(batch.map((values) => tf.tensor(values, [1, ...shape])));
      return (model.predict(x) as tf.Tensor).dataSync<"float32">();
    });
    const size = values.length / batch.length;
    for (let i = 0; i < batch.length; i++) rows.push(values.slice(i * size, (i + 1) * size));
  }
  return rows;
}

/**
 * E[g gᵀ] over maps, pixels and classes drawn from the outputs, g = ∂ log p(class) / ∂ pixel: half of it is the second derivative of the
 * KL divergence by the map (Amari, "Natural gradient works efficiently in learning", 1998), for errors that pixels make independently.
 */
function fisher(
  tail: LayersModel,
  maps: readonly Float32Array[],
  shape: [number, number, number],
): Float64Array {
  const [, , channels] = shape;
  const sum = new Float64Array(channels * channels);
  const next = uniform(1);
  const outputs = run(tail, maps, shape);
  for (const [i, map] of maps.entries()) {
    const picked = draw(outputs[i], next());
    const gradient = tf.tidy(() => {
      const logLikelihood = (x: tf.Tensor): tf.Scalar => {
        const p = tf.reshape(tail.apply(x) as tf.Tensor, [CLASSES]);
        return tf.sum(tf.log(tf.add(tf.gather(p, [picked]), 1e-9)));
      };
      return tf
        .grad(logLikelihood)(tf.tensor(map, [1, ...shape]))
        .dataSync<"float32">();
    });
    for (let at = 0; at < gradient.length; at += channels) {
      for (let a = 0; a < channels; a++) {
        const g = gradient[at + a] / maps.length;
        if (g !== 0) for (let b = 0; b < channels; b++) sum[a * channels + b] += g * gradient[at + b];
      }
    }
  }
  return sum;
}

/** The class at a quantile of the probabilities. */
function draw(probabilities: Float32Array, quantile: number): number {
  let left = quantile;
  const index = probabilities.findIndex((p) => (left -= p) < 0);
  return index < 0 ? probabilities.length - 1 : index;
}

/** Pictures whose likeliest class stays, of all, and the mean KL divergence in nats. */
export function agreement(
  outputs: readonly Float32Array[],
  original: readonly Float32Array[],
): { same: number; divergence: number } {
  let [same, divergence] = [0, 0];
  for (const [i, p] of original.entries()) {
    const q = outputs[i];
    if (p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q))) same++;
    for (let c = 0; c < CLASSES; c++)
      if (p[c] > 0) divergence += p[c] * Math.log(p[c] / Math.max(q[c], 1e-12));
  }
  return { same: same / original.length, divergence: divergence / original.length };
}
