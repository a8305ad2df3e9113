// Both halves and the whole network in the page, the latter to compare.

import { splitLayers } from "@bitdiet/zoo/nets/split-layers";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { startBackend } from "../web/backend.js";
import type { Facts } from "./messages.js";

export interface HalvedNetwork {
  /** What the first half makes of a picture's bytes. */
  features(pixels: Uint8Array): Float32Array;
  /** Probabilities by the whole network. */
  probabilities(pixels: Uint8Array): Float32Array;
}

export async function loadNetwork({ layer, side }: Facts): Promise<HalvedNetwork> {
  await startBackend();
  const whole = await loadLayersModel("/split/model/model.json");
  const { head } = splitLayers(whole, layer);
  const run = (model: LayersModel, pixels: Uint8Array) =>
    tf.tidy(() => {
      const x = tf.tensor4d(Float32Array.from(pixels), [1, side, side, 3]);
      const y = model.predict(tf.sub(tf.div(x, 127.5), 1)) as tf.Tensor;
      return y.dataSync<"float32">().slice();
    });
  return { features: (pixels) => run(head, pixels), probabilities: (pixels) => run(whole, pixels) };
}
