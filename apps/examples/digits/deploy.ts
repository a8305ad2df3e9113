// From a trained network to bytes and back: every feature map and weight is quantized, entropy-coded, decoded and
// dequantized, and the network runs on what was decoded. Nothing here trains.
import { brotliCompressSync, constants } from "node:zlib";
import type { Quantizer } from "@bitdiet/fake-quant";
import {
  compress,
  countSymbols,
  cut,
  decompress,
  encodeTable,
  type HuffmanCode,
  huffmanCode,
  learnCode,
  shannonEntropy,
} from "@bitdiet/huffman";
import type { Digits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { quantize, quantizersOf } from "@bitdiet/zoo/training/quantized";
import * as tf from "@tensorflow/tfjs-core";
import type { QuantizedNetwork } from "./fine-tune.js";
import { accuracy, imagesOf } from "./float.js";

/** A trained network as it is shipped: what it costs, and how well it does on what was decoded. */
export interface Deployment {
  /** Of the network in training's own terms, with fake quantization; 0 .. 1. */
  graphAccuracy: number;
  /** With weights and feature maps encoded and decoded; the same number, if training and bytes agree. */
  decodedAccuracy: number;
  maps: CodedMaps[];
  /** Over all layers: order-0 entropy of the levels; Shannon bound of what was coded; coded, tables included. Bits per value. */
  levelEntropyBitsPerValue: number;
  entropyBitsPerValue: number;
  codedBitsPerValue: number;
  /** Feature maps of all test images, tables included. */
  codedBytes: number;
  weights: CodedWeight[];
  /** Streams, ranges and float32 biases: all that a decoder needs beside the architecture. */
  weightBytes: number;
  /** The same integers bit-packed, then brotli at its highest quality; ranges and biases likewise. */
  packedBrotliBytes: number;
}

/** Encodes all weights and the feature maps of all test images, decodes them, and evaluates on that. */
export function deploy(network: QuantizedNetwork, training: Digits, test: Digits): Deployment {
  const hooks = quantize(quantizersOf(network.ranges, network));
  const graphAccuracy = accuracy(test, (x) => digitCnn(network.parameters, x, hooks));

  const weights = encodeWeights(network);
  const decoded = decodeWeights(network, weights);
  const codes = learnMapCodes(network, training);
  const { accuracy: decodedAccuracy, maps } = codeMaps(network, decoded, codes, test);
  tf.dispose(decoded);

  const values = sum(maps, (map) => map.values);
  const codedBytes = sum(maps, (map) => map.payloadBytes + map.tableBytes);
  const side = sideInformation(network);
  return {
    graphAccuracy,
    decodedAccuracy,
    maps,
    levelEntropyBitsPerValue: sum(maps, (map) => map.levelEntropy * map.values) / values,
    entropyBitsPerValue: sum(maps, (map) => map.wordEntropy * map.values) / values,
    codedBitsPerValue: (8 * codedBytes) / values,
    codedBytes,
    weights,
    weightBytes: sum(weights, ({ bytes }) => bytes.length) + side.length,
    packedBrotliBytes: packedBrotliBytes(network, side),
  };
}

/** What a decoder needs beside the integers: every range and every bias, as float32. */
function sideInformation({ parameters, ranges }: QuantizedNetwork): Uint8Array {
  const steps = [...Object.values(ranges.weight), ...Object.values(ranges.activation)];
  const biases = Object.keys(ranges.weight).flatMap((name) => [...parameters[`${name}.bias`].dataSync()]);
  return new Uint8Array(Float32Array.from([...steps, ...biases]).buffer);
}

function sum<T>(items: T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** Training images whose feature maps the codes are learned from. */
const CODE_IMAGES = 1000;

/** What the feature maps of one layer, over all test images, cost. */
export interface CodedMaps {
  name: string;
  values: number;
  /** How often each level occurs. */
  counts: number[];
  /** Order-0 Shannon entropy of the levels, bits per value. */
  levelEntropy: number;
  /**
   * Shannon bound of what was coded, bits per value: the entropy of the code's words. A word is one value, a group of
   * neighbours or a run of zeros; where neighbours are alike this is below the order-0 entropy.
   */
  wordEntropy: number;
  /** As written, in bytes. */
  payloadBytes: number;
  /** The code's table, learned on training data, in bytes. */
  tableBytes: number;
}

/** Feature maps are coded channel by channel, row by row: neighbours in a row are alike. */
function toSymbols(indices: tf.Tensor): Uint8Array {
  return bytesOf(() => tf.transpose(indices, [0, 3, 1, 2]));
}

/** A tensor's values as bytes. A tidy that returns an array looks for tensors in each of its elements: read outside. */
function bytesOf(make: () => tf.Tensor): Uint8Array {
  const tensor = tf.tidy(make);
  const bytes = new Uint8Array(tensor.dataSync());
  tensor.dispose();
  return bytes;
}

function toMaps(symbols: ArrayLike<number>, [batch, height, width, channels]: number[]): tf.Tensor {
  const planes = tf.tensor4d(new Int32Array(symbols), [batch, channels, height, width], "int32");
  return tf.transpose(planes, [0, 2, 3, 1]);
}

/** One code a layer, learned from training images: single values, groups or zero runs, whatever is cheapest. */
function learnMapCodes(network: QuantizedNetwork, training: Digits): Record<string, HuffmanCode> {
  const codes: Record<string, HuffmanCode> = {};
  const quantizers = quantizersOf(network.ranges, network);
  const { weight, activation } = quantize(quantizers);
  const images = imagesOf(training, 0, CODE_IMAGES);
  tf.tidy(
    () =>
      void digitCnn(network.parameters, images, {
        weight,
        activation: (a, name) => {
          codes[name] = learnCode(toSymbols(quantizers.activation(name).quantize(a)), 2 ** network.bits);
          return activation(a, name);
        },
      }),
  );
  images.dispose();
  return codes;
}

/**
 * Runs the test images through a network whose feature maps are encoded and decoded on their way to the next layer.
 *
 * @param parameters weights as decoded
 * @returns accuracy on decoded values, and what each layer's maps cost
 */
function codeMaps(
  network: QuantizedNetwork,
  parameters: Parameters,
  codes: Record<string, HuffmanCode>,
  test: Digits,
): { accuracy: number; maps: CodedMaps[] } {
  const quantizers = quantizersOf(network.ranges, network);
  const meters = Object.fromEntries(Object.entries(codes).map(([name, code]) => [name, meter(code)]));
  const right = accuracy(test, (x) =>
    digitCnn(parameters, x, {
      activation: (a, name) => {
        const { quantize, dequantize } = quantizers.activation(name);
        const { encode, decode } = meters[name];
        return dequantize(toMaps(decode(encode(toSymbols(quantize(a))), a.size), a.shape)) as typeof a;
      },
    }),
  );
  return { accuracy: right, maps: Object.entries(meters).map(([name, { total }]) => total(name)) };
}

/** The same code, keeping count of what passes through its encoder. */
function meter(code: HuffmanCode) {
  const levels = new Float64Array(code.alphabetSize);
  const words = new Float64Array(code.lengths.length);
  let payloadBytes = 0;
  return {
    encode(symbols: Uint8Array): Uint8Array {
      const bytes = code.encode(symbols);
      addInto(levels, countSymbols(symbols, levels.length));
      addInto(words, countSymbols(cut(symbols, code), words.length));
      payloadBytes += bytes.length;
      return bytes;
    },
    decode: code.decode,
    total(name: string): CodedMaps {
      const values = levels.reduce((sum, count) => sum + count, 0);
      const wordTotal = words.reduce((sum, count) => sum + count, 0);
      return {
        name,
        values,
        counts: [...levels],
        levelEntropy: shannonEntropy(levels),
        wordEntropy: (shannonEntropy(words) * wordTotal) / values,
        payloadBytes,
        tableBytes: encodeTable(code).length,
      };
    },
  };
}

function addInto(total: Float64Array, counts: Uint32Array): void {
  for (let i = 0; i < total.length; i++) total[i] += counts[i];
}

/** What one weight tensor cost. Biases stay float32 and are counted with the file, not here. */
export interface CodedWeight {
  name: string;
  values: number;
  counts: number[];
  levelEntropy: number;
  /** The self-describing stream: header, table, payload, checksum. */
  bytes: Uint8Array;
}

/** A network's weights as bytes: one self-describing stream a tensor. */
function encodeWeights({ parameters, ranges, bits, weightBits }: QuantizedNetwork): CodedWeight[] {
  const { weight: quantizer } = quantizersOf(ranges, { bits, weightBits });
  return Object.keys(ranges.weight).map((name) => {
    const symbols = weightSymbols(parameters[`${name}.weight`], () => quantizer(name));
    const counts = countSymbols(symbols, 2 ** weightBits - 1);
    return {
      name,
      values: symbols.length,
      counts: [...counts],
      levelEntropy: shannonEntropy(counts),
      bytes: compress(symbols),
    };
  });
}

/** Parameters with every weight decoded from its bytes; the rest (biases) as they are. The caller disposes of them. */
function decodeWeights(
  { parameters, ranges, bits, weightBits }: QuantizedNetwork,
  coded: CodedWeight[],
): Parameters {
  const { weight: quantizer } = quantizersOf(ranges, { bits, weightBits });
  const decoded = Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [name, tf.clone(tensor)]),
  );
  for (const { name, bytes } of coded) {
    const { shape } = decoded[`${name}.weight`];
    decoded[`${name}.weight`].dispose();
    decoded[`${name}.weight`] = tf.tidy(() =>
      quantizer(name).dequantize(tf.tensor(Int32Array.from(decompress(bytes)), shape, "int32")),
    );
  }
  return decoded;
}

/** The baseline beside every size: bit-packing and brotli. */
function packedBrotliBytes(
  { parameters, ranges, bits, weightBits }: QuantizedNetwork,
  side: Uint8Array,
): number {
  const { weight: quantizer } = quantizersOf(ranges, { bits, weightBits });
  // A Huffman code whose words are all equally long is plain bit-packing.
  const packing = huffmanCode(new Uint8Array(2 ** weightBits).fill(weightBits));
  const packed = Object.keys(ranges.weight).map((name) =>
    packing.encode(weightSymbols(parameters[`${name}.weight`], () => quantizer(name))),
  );
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  return brotliCompressSync(Buffer.concat([...packed, side]), quality).length;
}

/** Levels of a weight as indices; at most 255 of them, so bytes hold them. */
function weightSymbols(weight: tf.Tensor, quantizer: () => Quantizer): Uint8Array {
  return bytesOf(() => quantizer().quantize(weight));
}
