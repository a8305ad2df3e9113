// From a trained BERT to bytes and back: every weight and activation is quantized, entropy-coded, decoded and dequantized,
// and the network runs on what was decoded. Nothing here trains. Padding is not coded: no sensible program writes it.
import type { Quantizer } from "@bitdiet/fake-quant";
import { type EncodedData, inputOf } from "@bitdiet/zoo/data/text-batches";
import { type BertConfig, type BertInput, bert } from "@bitdiet/zoo/nets/bert";
import { bertQuantizers } from "@bitdiet/zoo/nets/bert-quantizers";
import type { Hooks, Parameters } from "@bitdiet/zoo/nets/hooks";
import { type CodedRows, learnRowCoder, type RowCoder } from "@bitdiet/zoo/shipping/rows";
import {
  type CodedWeights,
  codeWeights,
  decodeFloats,
  decodeLevels,
  lnStepAt,
  stepNumber,
  type WeightLevels,
} from "@bitdiet/zoo/shipping/weights";
import type { QuantizedBert } from "@bitdiet/zoo/training/bert";
import { type FrozenRange, type Quantizers, quantize, type Ranges } from "@bitdiet/zoo/training/quantized";
import * as tf from "@tensorflow/tfjs-core";
import { predict } from "./float.js";

/** A trained network as it is shipped: what it costs, and what it answers. */
export interface Deployment {
  /** By development set: the classes in training's own terms, with fake quantization, and on what was decoded. */
  predictions: Record<string, { graph: Int32Array; decoded: Int32Array }>;
  activations: CodedRows[];
  weights: CodedWeights;
}

/** Training texts that the activations' codes are learned from. */
const CODE_TEXTS = 128;

/** Encodes all weights and the activations of all development texts, decodes them, and evaluates on that. */
export function deploy(
  network: QuantizedBert,
  config: BertConfig,
  training: EncodedData,
  development: Record<string, EncodedData>,
): Deployment {
  const quantizers = bertQuantizers(network.ranges, network);
  const hooks = quantize(quantizers);
  const ofEach = <T>(get: (data: EncodedData) => T) =>
    Object.fromEntries(Object.entries(development).map(([name, data]) => [name, get(data)]));
  const graph = ofEach((data) =>
    predict(data, (input) => bert(network.parameters, config, input, { ...hooks })),
  );

  const weights = codeWeights(
    weightLevels(network),
    stepNumbers(network.ranges),
    floatNames(network).map((name) => network.parameters[name].dataSync<"float32">()),
  );
  const decoded = decodedNetwork(network, weights);
  const coders = learnCoders(decoded, config, training);
  const answers = ofEach((data) => predict(data, (input) => codedBert(decoded, config, input, coders)));
  tf.dispose(decoded.parameters);
  return {
    predictions: Object.fromEntries(
      Object.keys(development).map((name) => [name, { graph: graph[name], decoded: answers[name] }]),
    ),
    activations: Object.values(coders).map(({ total }) => total()),
    weights,
  };
}

/** All steps' numbers, in the order of the ranges. */
function stepNumbers({ weight, activation }: Ranges<FrozenRange>): Int32Array {
  const all = [...Object.values(weight), ...Object.values(activation)];
  return Int32Array.from(
    all.flatMap((range) => (typeof range === "number" ? [range] : [...range])),
    stepNumber,
  );
}

/** Ranges of the same names and sizes, from the steps' numbers. */
function rangesFrom(numbers: Int32Array, like: Ranges<FrozenRange>): Ranges<FrozenRange> {
  let at = 0;
  const take = (range: FrozenRange): FrozenRange =>
    typeof range === "number"
      ? lnStepAt(numbers[at++])
      : Float32Array.from(range, () => lnStepAt(numbers[at++]));
  const all = (some: Record<string, FrozenRange>) =>
    Object.fromEntries(Object.entries(some).map(([name, range]) => [name, take(range)]));
  return { weight: all(like.weight), activation: all(like.activation) };
}

/** The integers of every weight that the model shows. */
function weightLevels({ parameters, ranges, bits, weightBits }: QuantizedBert): WeightLevels[] {
  const quantizers = bertQuantizers(ranges, { bits, weightBits });
  const high = 2 ** (weightBits - 1) - 1;
  return Object.keys(ranges.weight).map((name) => ({
    name,
    levels: dataOf(() => quantizers.weight(name).quantize(parameters[name])).map((index) => index - high),
    rowLength: parameters[name].shape.at(-1)!,
    bits: weightBits,
  }));
}

/** A result's data. A tidy that returned them would look for tensors in each of a million elements. */
function dataOf(compute: () => tf.Tensor): Int32Array {
  const result = tf.tidy(compute);
  const data = result.dataSync<"int32">();
  result.dispose();
  return data;
}

/** Names of the parameters that are no integers: biases and LayerNorm's. */
const floatNames = ({ parameters, ranges }: QuantizedBert): string[] =>
  Object.keys(parameters).filter((name) => !(name in ranges.weight));

/** The network that a decoder has: everything from bytes but names, shapes and bit widths. */
function decodedNetwork(network: QuantizedBert, coded: CodedWeights): QuantizedBert {
  const { bits, weightBits } = network;
  const ranges = rangesFrom(decodeLevels(coded.stepBytes), network.ranges);
  const quantizers = bertQuantizers(ranges, { bits, weightBits });
  const high = 2 ** (weightBits - 1) - 1;
  const parameters: Parameters = {};
  const floats = decodeFloats(coded.floatBytes);
  let at = 0;
  for (const name of floatNames(network)) {
    const { shape, size } = network.parameters[name];
    parameters[name] = tf.tensor(floats.slice(at, at + size), shape);
    at += size;
  }
  for (const { name, bytes } of coded.weights) {
    const indices = decodeLevels(bytes).map((level) => level + high);
    parameters[name] = tf.tidy(() =>
      quantizers.weight(name).dequantize(tf.tensor(indices, network.parameters[name].shape, "int32")),
    );
  }
  return { parameters, ranges, bits, weightBits };
}

/** One code an activation, learned from training texts. The network's weights are already those decoded. */
function learnCoders(
  { parameters, ranges, bits, weightBits }: QuantizedBert,
  config: BertConfig,
  { texts }: EncodedData,
): Record<string, RowCoder> {
  const coders: Record<string, RowCoder> = {};
  const quantizers = bertQuantizers(ranges, { bits, weightBits });
  const count = Math.min(CODE_TEXTS, texts.mask.length / texts.length);
  tf.tidy(() => {
    const input = inputOf(texts, [...Array(count).keys()]);
    const mask = input.mask.dataSync<"float32">();
    bert(parameters, config, input, {
      activation: (a, name) => {
        const quantizer = quantizers.activation(name);
        const rows = rowsOf(a, mask);
        const symbols = rows.take(quantizer.quantize(a));
        coders[name] = learnRowCoder(name, symbols, rows.channels, quantizer.levels.size);
        return quantizer.fakeQuantize(a);
      },
    });
  });
  return coders;
}

/** The logits of a BERT whose activations are encoded and decoded on their way to the next layer. */
function codedBert(
  { parameters, ranges, bits, weightBits }: QuantizedBert,
  config: BertConfig,
  input: BertInput,
  coders: Record<string, RowCoder>,
): tf.Tensor2D {
  const quantizers: Quantizers = bertQuantizers(ranges, { bits, weightBits });
  const mask = input.mask.dataSync<"float32">();
  const activation: Hooks["activation"] = (a, name) => {
    const quantizer: Quantizer = quantizers.activation(name);
    const rows = rowsOf(a, mask);
    const decoded = coders[name].pass(rows.take(quantizer.quantize(a)));
    return quantizer.dequantize(rows.give(decoded)) as typeof a;
  };
  return bert(parameters, config, input, { activation });
}

/**
 * Where the tokens' values lie in an activation: rows of channels, padding left out. An activation is [batch · length,
 * channels]; probabilities are [batch, heads, length, length], whose rows are pairs of tokens and whose channels are the
 * heads; what the pooler writes is [batch, channels].
 */
function rowsOf(a: tf.Tensor, mask: Float32Array) {
  const isPairs = a.rank === 4;
  const [batch, heads, length] = a.shape as [number, number, number];
  const channels = isPairs ? heads : a.shape[1]!;
  const rows = a.size / channels;
  const isToken = (row: number): boolean => {
    if (!isPairs) return rows !== mask.length || mask[row] === 1;
    const query = Math.floor(row / length);
    const key = query - (query % length) + (row % length);
    return mask[query] === 1 && mask[key] === 1;
  };
  const kept = Array.from({ length: rows }, (_, row) => row).filter(isToken);
  return {
    channels,
    take(indices: tf.Tensor): Uint8Array {
      const all = dataOf(() => (isPairs ? tf.transpose(indices, [0, 2, 3, 1]) : tf.clone(indices)));
      const symbols = new Uint8Array(kept.length * channels);
      for (const [i, row] of kept.entries()) {
        symbols.set(all.subarray(row * channels, (row + 1) * channels), i * channels);
      }
      return symbols;
    },
    /** Indices of the whole activation; padding gets index 0. */
    give(symbols: Uint8Array): tf.Tensor {
      const all = new Int32Array(a.size);
      for (const [i, row] of kept.entries()) {
        all.set(symbols.subarray(i * channels, (i + 1) * channels), row * channels);
      }
      return isPairs
        ? tf.transpose(tf.tensor4d(all, [batch, length, length, heads], "int32"), [0, 3, 1, 2])
        : tf.tensor(all, a.shape, "int32");
    },
  };
}

/**
 * All parameters, the quantized ones at their levels: what a program that knows no quantization can load.
 * New tensors, the caller's.
 */
export function dequantizedParameters({ parameters, ranges, bits, weightBits }: QuantizedBert): Parameters {
  return tf.tidy(() => {
    const quantizers = bertQuantizers(ranges, { bits, weightBits });
    return Object.fromEntries(
      Object.entries(parameters).map(([name, tensor]) => [
        name,
        name in ranges.weight ? quantizers.weight(name).fakeQuantize(tensor) : tf.clone(tensor),
      ]),
    );
  });
}
