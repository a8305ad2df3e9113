// DiffQ: weights get noise as large as their quantization step instead of being rounded, and the bit width of each group
// of eight is learned with them, under a price on the model's size in MB. Beside it the same with a price on entropy, which
// an entropy coder pays in place of bits, one width a tensor; and, trained as long, plain fixed widths.
import { softEntropy } from "@bitdiet/entropy-loss";
import { modelBits } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { quantizationAware } from "../quantization-aware.js";
import type { Measured, Recipe } from "../recipe.js";
import type { Testbed } from "../testbed.js";
import { INTERVAL, learnWidths, type Widths } from "./learned-widths.js";

/** Bits. */
const MEGABYTE = 8 * 2 ** 20;

/** @param penalty nats a megabyte */
const bySize = (penalty: number): Widths => ({
  groupSize: () => 8,
  price: (_, bits) => tf.mul(modelBits(bits, 8, INTERVAL.minBits), penalty / MEGABYTE),
});

/** @param lambda nats for a bit a weight */
const byEntropy = (lambda: number): Widths => ({
  groupSize: (w) => w.size,
  price: (w, bits, values) => {
    const low = tf.min(w);
    const step = tf.div(tf.sub(tf.max(w), low), tf.sub(tf.pow(2, tf.reshape(bits, [])), 1)) as tf.Scalar;
    const levels = tf.range(0, 2 ** INTERVAL.maxBits);
    const entropy = softEntropy(tf.sub(w, low), levels, { scale: step, sampleSize: 1024 });
    return tf.mul(entropy, (lambda * w.size) / values);
  },
});

const run = (id: string, title: string, curve: string, measure: (testbed: Testbed) => Promise<Measured>) => ({
  ...{ id, title, curve, measure },
  of: "weights" as const,
  trains: true,
});

export const diffq: Recipe = {
  name: "diffq",
  paper: "DiffQ (Défossez, Adi, Synnaeve, arXiv 2104.09987, 2021)",
  published:
    "DeiT, ImageNet: under 4 bit/weight at −0.3 points; 16-layer transformer, WikiText-103: an eighth, +0.5 perplexity",
  runs: [
    ...[10, 40].map((penalty) =>
      run(`noise-${penalty}`, `widths at ${penalty} nats/MB`, "price on size", (testbed) =>
        learnWidths(testbed, bySize(penalty)),
      ),
    ),
    run("entropy-0.1", "widths at λ 0.1 of entropy", "price on entropy", (testbed) =>
      learnWidths(testbed, byEntropy(0.1)),
    ),
    ...[3, 4].map((weightBits) =>
      run(`fixed-${weightBits}`, `fixed ${weightBits} bits`, "fixed width", (testbed) =>
        quantizationAware(testbed, { weightBits }),
      ),
    ),
  ],
};
