// A trained network judged as it would be shipped: weights and feature maps are quantized, coded, decoded and
// dequantized, and the test images are answered by what was decoded. Nothing here trains.

import type { LabeledImages } from "@bitdiet/zoo/data/cifar10";
import type { Hooks, Parameters } from "@bitdiet/zoo/nets/hooks";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import {
  type CodedMaps,
  learnMapCoder,
  type MapBits,
  type MapCoder,
  mapBits,
  type Symbols,
} from "@bitdiet/zoo/shipping/maps";
import type { FrozenRange, Quantizers, Ranges } from "@bitdiet/zoo/training/quantized";
import * as tf from "@tensorflow/tfjs-core";
import { accuracy, calibrationImages, imagesFrom, type Testbed } from "./testbed.js";
import {
  type CodedWeight,
  decodeWeight,
  encodeWeight,
  type WeightBits,
  weightBits,
} from "./weight-coding.js";

/** What a method's network does and costs. */
export interface Measured {
  /** On the test images, of the network as decoded; 0 .. 1. */
  accuracy: number;
  /** Feature maps, if the method quantizes them: bits a value over all test images, and each layer's. */
  activations?: MapBits & { layers: (MapBits & { name: string; values: number })[] };
  /** Weights, if the method quantizes them: bits a weight, and each tensor's. */
  weights?: WeightBits & { layers: { name: string; values: number; entropy: number; bytes: number }[] };
  /** Whatever else a row should say: learned bit widths, sparsity, multiplications left. */
  notes?: Record<string, number | string>;
}

/** Training images that codes are learned from. */
const CODE_IMAGES = 200;

export interface Network {
  parameters: Parameters;
  quantizers: Partial<Quantizers>;
  /** What a decoder needs beside the integers and the biases: every step. */
  ranges: Ranges<FrozenRange>;
}

/** Codes, decodes and evaluates whatever has a quantizer. Leaves no tensor behind. */
export function deploy(testbed: Testbed, network: Network): Measured {
  tf.engine().startScope();
  try {
    return measure(testbed, network);
  } finally {
    tf.engine().endScope();
  }
}

function measure(testbed: Testbed, network: Network): Measured {
  const { quantizers } = network;
  const weights = quantizers.weight && codeWeights(network, quantizers.weight);
  const parameters = { ...network.parameters, ...weights?.decoded };
  const coders = quantizers.activation && learnMapCoders(testbed, parameters, quantizers.activation);
  const right = quantizers.activation
    ? codedAccuracy(testbed, parameters, coders!, quantizers.activation)
    : accuracy(testbed.test, (x) => cifarResnet(parameters, x));
  const maps = coders && Object.values(coders).map((coder) => coder.total());
  return {
    accuracy: right,
    activations: maps && measuredMaps(maps),
    weights: weights && measuredWeights(weights.coded, sideInformation(network)),
  };
}

/** One coder a layer, learned from training images. */
function learnMapCoders(
  testbed: Testbed,
  parameters: Parameters,
  quantizer: Quantizers["activation"],
): Record<string, MapCoder> {
  const coders: Record<string, MapCoder> = {};
  const images = calibrationImages(testbed, CODE_IMAGES);
  tf.tidy(
    () =>
      void cifarResnet(parameters, images, {
        activation: (a, name) => {
          const { levels, quantize, fakeQuantize } = quantizer(name);
          const [, height, width, channels] = a.shape as number[];
          const shape = { height, width, channels };
          coders[name] = learnMapCoder(name, symbolsOf(quantize(a)), shape, { alphabetSize: levels.size });
          return fakeQuantize(a);
        },
      }),
  );
  images.dispose();
  return coders;
}

/**
 * Accuracy with every feature map of the first images as bytes; the others take the same quantizers' values, which are
 * those that come back from bytes, bit for bit: a code is lossless, and was seen to be.
 */
function codedAccuracy(
  { test, codedImages }: Testbed,
  parameters: Parameters,
  coders: Record<string, MapCoder>,
  quantizer: Quantizers["activation"],
): number {
  const coded = imagesFrom(test, 0, codedImages);
  const others = imagesFrom(test, codedImages);
  const right = (images: LabeledImages, activation: Required<Hooks>["activation"]) =>
    images.labels.length * accuracy(images, (x) => cifarResnet(parameters, x, { activation }));
  const onCoded = right(coded, codeMaps(coders, quantizer));
  if (others.labels.length === 0) return onCoded / test.labels.length;
  return (onCoded + right(others, (a, name) => quantizer(name).fakeQuantize(a))) / test.labels.length;
}

/** A hook that writes every feature map as bytes, and goes on with what it reads back. */
function codeMaps(
  coders: Record<string, MapCoder>,
  quantizer: Quantizers["activation"],
): Required<Hooks>["activation"] {
  return <T extends tf.Tensor>(a: T, name: string): T => {
    const { quantize, dequantize } = quantizer(name);
    const decoded = coders[name].pass(symbolsOf(quantize(a)));
    return dequantize(tf.tensor(new Int32Array(decoded), a.shape, "int32")) as T;
  };
}

/** Indices of levels in memory order; at most 16 bits each. */
function symbolsOf(indices: tf.Tensor): Symbols {
  return new Uint8Array(indices.dataSync());
}

function codeWeights({ parameters }: Network, quantizer: Quantizers["weight"]) {
  const coded: CodedWeight[] = [];
  const decoded: Parameters = {};
  for (const [name, weight] of Object.entries(parameters)) {
    if (!name.endsWith(".weight")) continue;
    const one = quantizer(name);
    const stored = encodeWeight(name, weight, one);
    coded.push(stored);
    decoded[name] = decodeWeight(stored.bytes, weight.shape, one);
  }
  return { coded, decoded };
}

/** Every step and every bias, as float32. */
function sideInformation({ parameters, ranges, quantizers }: Network): Uint8Array {
  const steps = [ranges.weight, quantizers.activation ? ranges.activation : {}].flatMap((kind) =>
    Object.values(kind).flatMap((range) => (typeof range === "number" ? [range] : [...range])),
  );
  const biases = Object.entries(parameters).flatMap(([name, value]) =>
    name.endsWith(".bias") ? [...value.dataSync()] : [],
  );
  return new Uint8Array(Float32Array.from([...steps, ...biases]).buffer);
}

export function measuredMaps(maps: CodedMaps[]): Measured["activations"] {
  const layers = maps.map((map) => ({ name: map.name, values: map.values, ...mapBits([map]) }));
  return { ...mapBits(maps), layers };
}

export function measuredWeights(weights: CodedWeight[], side: Uint8Array): NonNullable<Measured["weights"]> {
  const layers = weights.map(({ name, values, entropy, bytes }) => ({
    name,
    values,
    entropy,
    bytes: bytes.length,
  }));
  return { ...weightBits(weights, side), layers };
}
