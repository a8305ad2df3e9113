// tfjs on its plain JavaScript backend, with the gradients that tfjs-core alone does not register.
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";

await tf.setBackend("cpu");

/** Seeded numbers of 0 .. 1: the fractional parts of multiples of the golden ratio, shuffled by a square. */
export function uniform(seed: number): () => number {
  let n = seed;
  return () => (n++ * n * 0.6180339887498949) % 1;
}
