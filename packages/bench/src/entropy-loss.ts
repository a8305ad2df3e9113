/**
 * Soft entropy, forward and backward: the O(N) window against the dense form as published, a softmax over N x levels
 * left to automatic differentiation; its peak memory; and what the whole entropy term adds to a training step.
 */

import { sampleElements, softEntropy } from "@bitdiet/entropy-loss";
import { normalizeByBatchStatistics } from "@bitdiet/examples/models/batch-norm";
import type { Hooks, Parameters } from "@bitdiet/examples/models/hooks";
import { cifarResnet, initialCifarResnet } from "@bitdiet/examples/models/resnet";
import { useBackend } from "@bitdiet/examples/setup";
import { affineQuantizer, type Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { alternate } from "./timing.js";

const SHARPNESS = 10;
const SEED = 1;
const BATCH = 64;
const LAMBDA = 0.1;

export async function run({ quick }: { quick: boolean }) {
  await useBackend("wasm");
  const speed = await compareForms(quick);
  console.table(speed);
  const memory = await measureMemory(quick);
  console.table(memory);
  const overhead = await measureOverhead(quick);
  console.table(overhead);
  return { sharpness: SHARPNESS, seed: SEED, backend: tf.getBackend(), speed, memory, overhead };
}

/**
 * Time of value and gradient, and the difference of gradients relative to the largest element. The dense form is left out where its matrix would take over 200 MB.
 */
async function compareForms(quick: boolean) {
  const rows = [];
  for (const [values, levelCount] of [
    [100_000, 16],
    [100_000, 256],
    [1_000_000, 16],
    [1_000_000, 256],
  ]) {
    const { x, levels } = input(values, levelCount);
    const window = tf.valueAndGrad((v) => softEntropy(v, levels, { sharpness: SHARPNESS }));
    const dense = tf.valueAndGrad((v) => publishedEntropy(v, levels));
    const once = (form: typeof window) => () => tf.dispose(form(x));
    const denseFits = values * levelCount * 4 < 200e6;
    const contenders: Record<string, () => void> = denseFits
      ? { window: once(window), dense: once(dense) }
      : { window: once(window) };
    // Turns long enough that the short one isn't measured on the caches that the long one left.
    const times = await alternate(contenders, { rounds: quick ? 2 : 7, minMs: 300 });
    const [windowTime, denseTime] = times;
    rows.push({
      values,
      levels: levelCount,
      "window ms": round(windowTime.medianMs),
      "dense ms": denseTime ? round(denseTime.medianMs) : "does not fit",
      "times faster": denseTime ? round(denseTime.medianMs / windowTime.medianMs) : "",
      "(best)": denseTime ? round(denseTime.minMs / windowTime.minMs) : "",
      "gradients differ": denseFits ? round(tf.tidy(() => difference(dense(x).grad, window(x).grad))) : "",
    });
    tf.dispose([x, levels]);
  }
  return rows;
}

/** Soft entropy as CAT states it: logits -T (x - level)^2 for every value and level. Levels 1 apart. */
function publishedEntropy(x: tf.Tensor, levels: tf.Tensor1D): tf.Scalar {
  const distance = tf.sub(tf.reshape(x, [-1, 1]), levels);
  const p = tf.mean(tf.softmax(tf.mul(tf.square(distance), -SHARPNESS)), 0);
  return tf.mul(tf.sum(tf.mul(p, tf.log(tf.add(p, 1e-30)))), -Math.LOG2E);
}

/**
 * Bytes of one value and gradient on top of x: the peak of tensors, as tfjs counts them, and the arrays outside that
 * are alive when the gradient has become a tensor.
 */
async function measureMemory(quick: boolean) {
  const rows = [];
  for (const values of quick ? [100_000] : [100_000, 1_000_000, 4_000_000]) {
    const { x, levels } = input(values, 256);
    const step = tf.valueAndGrad((v) => softEntropy(v, levels, { sharpness: SHARPNESS }));
    const tensorsBefore = tf.memory().numBytes;
    const arraysBefore = process.memoryUsage().arrayBuffers;
    let arrays = 0;
    const profile = await tf.profile(() => {
      const results = Object.values(step(x));
      arrays = process.memoryUsage().arrayBuffers - arraysBefore;
      return results;
    });
    const tensors = Math.max(profile.peakBytes, tf.memory().numBytes) - tensorsBefore;
    rows.push({
      values,
      levels: 256,
      "tensors MB": round(tensors / 1e6),
      "arrays MB": round(arrays / 1e6),
      "bytes a value": round((tensors + arrays) / values),
      "dense: MB of one matrix": round((values * 256 * 4) / 1e6),
    });
    tf.dispose([profile.result as tf.Tensor[], x, levels]);
  }
  return rows;
}

/**
 * One training step of ResNet-20 (batch 64, 32 x 32 x 3) with 4-bit activations and 8-bit weights, without the entropy
 * term and with it: soft entropy of a sample of each of the 19 activations and 20 weights, in units of the quantizer's
 * scale, which is learned. Gradients of all parameters and scales; the optimizer, the same for both, is left out.
 */
async function measureOverhead(quick: boolean) {
  const x: tf.Tensor4D = tf.randomNormal([BATCH, 32, 32, 3], 0, 1, "float32", SEED);
  const labels = tf.tidy(() => {
    const classes = Int32Array.from({ length: BATCH }, (_, i) => i % 10);
    return tf.cast(tf.oneHot(tf.tensor1d(classes, "int32"), 10), "float32");
  });
  const initial = initialCifarResnet(20, 10, SEED);
  const parameters = Object.fromEntries(
    Object.entries(initial).map(([name, value]) => [name, tf.variable(value)]),
  );
  const scales = { activation: tf.variable(tf.scalar(0.2)), weight: tf.variable(tf.scalar(0.01)) };
  const step = (sampleSize: number) => () => {
    const { value, grads } = tf.variableGrads(() => quantizedLoss(parameters, scales, x, labels, sampleSize));
    value.dataSync();
    tf.dispose([value, grads]);
  };
  const sampleSizes = [1024, 4096];
  const contenders = {
    "lambda = 0": step(0),
    ...Object.fromEntries(sampleSizes.map((n) => [`sample ${n}`, step(n)])),
  };
  const [plain, ...sampled] = await alternate(contenders, { rounds: quick ? 2 : 15 });
  tf.dispose([x, labels, initial, parameters, scales]);
  return sampled.map(({ minMs, medianMs }, index) => ({
    model: "ResNet-20",
    "elements sampled a tensor": sampleSizes[index],
    "lambda = 0 ms": round(plain.medianMs),
    "with entropy ms": round(medianMs),
    "overhead % (medians)": round(100 * (medianMs / plain.medianMs - 1)),
    "overhead % (best)": round(100 * (minMs / plain.minMs - 1)),
  }));
}

/** Cross entropy of the quantized network, plus, where there is a sample, lambda times the mean bits of activations and of weights. */
function quantizedLoss(
  parameters: Parameters,
  scales: { activation: tf.Scalar; weight: tf.Scalar },
  x: tf.Tensor4D,
  labels: tf.Tensor,
  sampleSize: number,
): tf.Scalar {
  const statistics = {};
  const quantizers = {
    activation: affineQuantizer({ bits: 4, scale: scales.activation }),
    weight: affineQuantizer({ bits: 8, signed: true, scale: scales.weight }),
  };
  const rates = { activation: [] as Rate[], weight: [] as Rate[] };
  const quantize =
    (
      kind: "activation" | "weight",
      { scale, levels, fakeQuantize }: Quantizer,
    ): NonNullable<Hooks["weight"]> =>
    (a) => {
      if (sampleSize > 0) {
        const inLevels = tf.div(sampleElements(a, sampleSize, rates[kind].length), scale);
        rates[kind].push({ bits: softEntropy(inLevels, levels, { sharpness: SHARPNESS }), size: a.size });
      }
      return fakeQuantize(a);
    };
  const logits = cifarResnet(
    parameters,
    x,
    {
      activation: quantize("activation", quantizers.activation),
      weight: quantize("weight", quantizers.weight),
    },
    normalizeByBatchStatistics(parameters, statistics),
  );
  const task: tf.Scalar = tf.div(tf.sum(tf.mul(labels, tf.logSoftmax(logits))), -BATCH);
  tf.dispose(statistics);
  const terms = Object.values(rates).filter(({ length }) => length > 0);
  return tf.addN([task, ...terms.map((term) => tf.mul(meanBits(term), LAMBDA))]) as tf.Scalar;
}

interface Rate {
  bits: tf.Scalar;
  size: number;
}

/** sum n_l H_l / sum n_l */
function meanBits(rates: Rate[]): tf.Scalar {
  const size = rates.reduce((sum, rate) => sum + rate.size, 0);
  return tf.addN(rates.map((rate) => tf.mul(rate.bits, rate.size / size))) as tf.Scalar;
}

/** Values of a normal distribution over the levels 0 .. levelCount - 1. */
function input(values: number, levelCount: number): { x: tf.Tensor; levels: tf.Tensor1D } {
  return {
    x: tf.randomNormal([values], levelCount / 2, levelCount / 6, "float32", SEED),
    levels: tf.range(0, levelCount),
  };
}

/** Largest difference, relative to the largest element. */
function difference(a: tf.Tensor, b: tf.Tensor): number {
  return tf.div(tf.max(tf.abs(tf.sub(a, b))), tf.max(tf.abs(b))).dataSync()[0];
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
