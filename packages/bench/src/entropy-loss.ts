/**
 * Soft entropy, forward and backward: the O(N) window against the dense form as published, a softmax over N x levels
 * left to automatic differentiation; its peak memory; and what the whole entropy term adds to a training step.
 */

import type { Hooks } from "@bitdiet/compression-aware";
import { softEntropy, withSample } from "@bitdiet/entropy-loss";
import { affineQuantizer } from "@bitdiet/fake-quant";
import { encodeExamples } from "@bitdiet/zoo/data/text-batches";
import { tokenizerFromVocabulary } from "@bitdiet/zoo/data/tokenizer";
import { normalizeByBatchStatistics } from "@bitdiet/zoo/nets/batch-norm";
import { initialBert } from "@bitdiet/zoo/nets/bert";
import { CONVOLUTIONS, digitCnn, initialParameters } from "@bitdiet/zoo/nets/digit-cnn";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet, initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { bertRecipe } from "@bitdiet/zoo/training/bert";
import { fineTuning } from "@bitdiet/zoo/training/fine-tune";
import * as tf from "@tensorflow/tfjs-core";
import { layersOverhead } from "./layers-overhead.js";
import { cpuTimes, overheadRow, round } from "./overhead.js";
import { alternate } from "./timing.js";

const SHARPNESS = 10;
const SEED = 1;
const BATCH = 64;
const CLASSES = 10;
const SAMPLE_SIZES = [1024, 4096];
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

/** A network to fine-tune: its parameters, and its logits on a fixed batch under hooks. */
interface Network {
  name: string;
  parameters: Record<string, tf.Variable>;
  batch: tf.Tensor4D;
  logits: (hooks: Hooks) => tf.Tensor2D;
}

/** ResNet-20 on images of 32 x 32 x 3 with batch normalization: 19 activations, 20 weights. */
function resnet20(): Network {
  const initial = initialCifarResnet(20, CLASSES, SEED);
  const parameters = variables(initial);
  tf.dispose(initial);
  const batch: tf.Tensor4D = tf.randomNormal([BATCH, 32, 32, 3], 0, 1, "float32", SEED);
  const logits = (hooks: Hooks) => {
    const statistics = {};
    const result = cifarResnet(parameters, batch, hooks, normalizeByBatchStatistics(parameters, statistics));
    tf.dispose(statistics);
    return result;
  };
  return { name: "ResNet-20", parameters, batch, logits };
}

/** The CNN of the main example, batch normalization folded away: 4 activations, 5 weights. */
function digits(): Network {
  const parameters = initialParameters(SEED);
  for (const { name, outputs } of CONVOLUTIONS) {
    parameters[`${name}.bias`] = tf.tidy(() => tf.variable(tf.zeros([outputs])));
  }
  const batch: tf.Tensor4D = tf.randomUniform([BATCH, 28, 28, 1], 0, 1, "float32", SEED);
  return { name: "digit CNN", parameters, batch, logits: (hooks) => digitCnn(parameters, batch, hooks) };
}

type Ranges = Record<Kind, Record<string, tf.Variable<tf.Rank.R0>>>;
type Kind = "weight" | "activation";

const BITS: Record<Kind, { bits: number; signed?: boolean }> = {
  weight: { bits: 8, signed: true },
  activation: { bits: 4 },
};
/** ln of the quantizers' first steps: fine for weights, 0 to 3 for activations after batch normalization and ReLU. */
const FIRST_RANGE: Record<Kind, number> = { weight: Math.log(0.01), activation: Math.log(0.2) };

/**
 * CPU time of one training step of a quantized network (4-bit activations, 8-bit weights, each with a learned range)
 * without the entropy term and with it, in rounds that run each once, in changing order. An overhead is the ratio of two
 * steps of one round, less 1. Gradients of all parameters and ranges; the optimizer, the same for both, is left out.
 */
async function measureOverhead(quick: boolean) {
  const rows = [];
  for (const create of [resnet20, digits]) {
    const network = create();
    const ranges: Ranges = { weight: {}, activation: {} };
    const labels = tf.tidy(() => {
      const classes = Int32Array.from({ length: BATCH }, (_, i) => i % CLASSES);
      return tf.cast(tf.oneHot(tf.tensor1d(classes, "int32"), CLASSES), "float32");
    });
    const observe: Hooks = {
      weight: (w, name) => withRange(ranges.weight, name, FIRST_RANGE.weight, w),
      activation: (a, name) => withRange(ranges.activation, name, FIRST_RANGE.activation, a),
    };
    tf.tidy(() => void network.logits(observe));
    const steps = [0, ...SAMPLE_SIZES].map((sampleSize) => () => {
      const { value, grads } = tf.variableGrads(() => fineTuningLoss(network, ranges, labels, sampleSize));
      value.dataSync();
      tf.dispose([value, grads]);
    });
    const [plain, ...sampled] = await cpuTimes(steps, quick ? 4 : 20);
    for (const [index, times] of sampled.entries()) {
      rows.push(overheadRow(network.name, SAMPLE_SIZES[index], plain, times));
    }
    tf.dispose([network.parameters, network.batch, labels, ranges.weight, ranges.activation]);
  }
  rows.push(await bertOverhead(quick), await layersOverhead(quick));
  return rows;
}

/**
 * The same of a BERT of two layers and hidden size 128 on 32 texts of 64 tokens, with the recipe of its job as it is: 4 bits,
 * 1,024 values of a tensor or 1/64 of a large weight.
 */
async function bertOverhead(quick: boolean) {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const pairs = letters.flatMap((a) => letters.map((b) => a + b));
  const tokenizer = tokenizerFromVocabulary(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...pairs].join("\n"),
  );
  const config = {
    vocabSize: 4096,
    hiddenSize: 128,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    intermediateSize: 512,
    maxPositionEmbeddings: 64,
    typeVocabSize: 2,
    layerNormEps: 1e-12,
    numLabels: 2,
  };
  const texts = Array.from({ length: 32 }, (_, row) => ({
    first: Array.from({ length: 62 }, (_, i) => pairs[(row * 7919 + i * 104_729) % pairs.length]).join(" "),
    label: row % 2,
  }));
  const data = encodeExamples(tokenizer, texts, 64);
  const start = initialBert(config, SEED);
  const runs = [0, LAMBDA].map((lambda) => {
    const { groups, loss } = fineTuning({
      task: "",
      ...bertRecipe(start, config, data, {
        activationBits: 4,
        weightBits: 4,
        lambda,
        weightLambda: lambda,
        factor: 3,
        weightFactor: 3,
        epochs: 1,
        learningRate: 1e-3,
        seed: SEED,
        distill: false,
      }),
    });
    const all = groups.flatMap((group) => group.variables);
    const step = () => {
      const { value, grads } = tf.variableGrads(() => loss(0, 0.5, () => {}), all);
      value.dataSync();
      tf.dispose([value, grads]);
    };
    return { all, step };
  });
  const [plain, times] = await cpuTimes(
    runs.map(({ step }) => step),
    quick ? 4 : 20,
  );
  tf.dispose([start, ...runs.map(({ all }) => all)]);
  return overheadRow("BERT L2 H128, 32 × 64 tokens", "1,024 or 1/64", plain, times);
}

/** Hook that makes a range for every tensor. */
function withRange<T extends tf.Tensor>(ranges: Ranges[Kind], name: string, first: number, x: T): T {
  ranges[name] = tf.tidy(() => tf.variable(tf.scalar(first)));
  return x;
}

/** Cross entropy of the quantized network, plus, where there is a sample, lambda times the mean bits of activations and of weights. */
function fineTuningLoss(network: Network, ranges: Ranges, labels: tf.Tensor, sampleSize: number): tf.Scalar {
  const rates: Record<Kind, Rate[]> = { weight: [], activation: [] };
  const hook =
    (kind: Kind): NonNullable<Hooks[Kind]> =>
    (x, name) => {
      const { scale, levels, fakeQuantize } = affineQuantizer({
        ...BITS[kind],
        scale: tf.exp(ranges[kind][name]),
      });
      if (sampleSize === 0) return fakeQuantize(x);
      const [passed, sample] = withSample(x, sampleSize, rates[kind].length);
      const bits = softEntropy(sample, levels, { scale, sharpness: SHARPNESS });
      rates[kind].push({ bits, size: x.size });
      return fakeQuantize(passed);
    };
  const logits = network.logits({ weight: hook("weight"), activation: hook("activation") });
  const task: tf.Scalar = tf.div(tf.sum(tf.mul(labels, tf.logSoftmax(logits))), -BATCH);
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
