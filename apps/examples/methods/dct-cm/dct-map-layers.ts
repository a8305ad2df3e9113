// The layers of a network whose feature maps are written as dct-maps.ts has it: their formats, chosen on training images,
// and what their maps cost. Example: a layer of 16 channels whose maps of 100 images are packed in 1,024,000 bytes has taken
// 5 bits a value.
import { compress } from "@bitdiet/ans";
import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import { compressedBits, countSymbols, shannonEntropy } from "@bitdiet/huffman";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import type { Measured } from "../recipe.js";
import { calibrationImages, type Testbed } from "../testbed.js";
import * as maps from "./dct-maps.js";

export interface DctCm {
  /** Step of the lowest frequency, in levels of 8 bits. */
  step: number;
  /** The step of frequency k is 1 + k growth times as large: as images have it, channels need not; 0 unless given. */
  growth?: number;
  /** Channels in the order of their correlation; as they are unless given. */
  ordered?: boolean;
}

const CALIBRATION_IMAGES = 32;

/** A layer's format, and what its maps have cost so far. */
export interface Layer {
  format: maps.DctMapFormat;
  values: number;
  packedBytes: number;
  ansBytes: number;
  huffmanBits: number;
  entropyBits: number;
}

/** Formats from training images: range, order, and whether the DCT pays. */
export function calibrate(
  testbed: Testbed,
  parameters: Parameters,
  { step, growth = 0, ordered }: DctCm,
): Record<string, Layer> {
  const layers: Record<string, Layer> = {};
  const steps = Float32Array.from({ length: maps.GROUP }, (_, k) => step * (1 + k * growth));
  const x = calibrationImages(testbed, CALIBRATION_IMAGES);
  const activation: Hooks["activation"] = (a, name) => {
    const values = a.dataSync<"float32">();
    const channels = a.shape[3]!;
    const scale = tf.max(a).dataSync()[0] / 255;
    const order = ordered
      ? maps.correlationOrder(values, channels)
      : Uint16Array.from({ length: channels }, (_, c) => c);
    const sparse: maps.DctMapFormat = { channels, scale, order, widths: new Uint8Array(maps.GROUP) };
    const levels = maps.levelsOf(sparse, values);
    const dense = { ...sparse, steps, widths: maps.widthsFor(steps, levels) };
    const bytes = [sparse, dense].map((format) => maps.packMaps(format, levels).length);
    const format = bytes[0] <= bytes[1] ? sparse : dense;
    layers[name] = { format, values: 0, packedBytes: 0, ansBytes: 0, huffmanBits: 0, entropyBits: 0 };
    return a;
  };
  tf.tidy(() => void cifarResnet(parameters, x, { activation }));
  x.dispose();
  return layers;
}

/** Levels through the packed bytes; and what the same content takes with entropy coding. */
export function written(layer: Layer, levels: Uint8Array): Uint8Array {
  const packed = maps.packMaps(layer.format, levels);
  layer.values +=
    (levels.length * layer.format.channels) / (maps.GROUP * Math.ceil(layer.format.channels / maps.GROUP));
  layer.packedBytes += packed.length;
  for (const stream of maps.streamsOf(layer.format, levels)) {
    layer.ansBytes += compress(stream).length;
    layer.huffmanBits += compressedBits(stream);
    layer.entropyBits += stream.length > 0 ? stream.length * shannonEntropy(countSymbols(stream)) : 0;
  }
  return maps.unpackMaps(layer.format, packed, levels.length);
}

/** Bits a value; "fixed width" is the packed format, "coded" the same through ANS, formats counted in both. */
export function costs(layers: [string, Layer][]): Pick<Measured, "activations" | "notes"> {
  const measured = layers.map(([name, { format, values, ...cost }]) => {
    // Scale, steps and widths; and the order, a byte a channel.
    const side = 4 + (format.steps ? 5 * maps.GROUP : 0) + format.channels;
    const bits = (bytes: number) => (8 * (bytes + side)) / values;
    return {
      name,
      values,
      fixedWidth: bits(cost.packedBytes),
      entropy: cost.entropyBits / values,
      huffman: bits(cost.huffmanBits / 8),
      ans: bits(cost.ansBytes),
      coded: bits(cost.ansBytes),
    };
  });
  const total = measured.reduce((sum, { values }) => sum + values, 0);
  const mean = (key: "fixedWidth" | "entropy" | "huffman" | "ans" | "coded") =>
    measured.reduce((sum, layer) => sum + layer[key] * layer.values, 0) / total;
  const [fixedWidth, coded] = [mean("fixedWidth"), mean("coded")];
  return {
    activations: {
      fixedWidth,
      entropy: mean("entropy"),
      huffman: mean("huffman"),
      ans: mean("ans"),
      coded,
      layers: measured,
    },
    notes: {
      "ratio to 8 bits, packed": Number((8 / fixedWidth).toFixed(2)),
      "ratio to 8 bits, ANS": Number((8 / coded).toFixed(2)),
      "layers with DCT": layers.filter(([, { format }]) => format.steps).length,
    },
  };
}
