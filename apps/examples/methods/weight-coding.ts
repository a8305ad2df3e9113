// Quantized filters and matrices as bytes and back: one self-describing stream of the adaptive binary coder a tensor, and
// beside it the same integers bit-packed and run through brotli, the baseline of every file size.
import { brotliCompressSync, constants } from "node:zlib";
import { compress, decompress } from "@bitdiet/cabac";
import type { Quantizer } from "@bitdiet/fake-quant";
import { countSymbols, huffmanCode, shannonEntropy } from "@bitdiet/huffman";
import * as tf from "@tensorflow/tfjs-core";

/** A tensor of weights as it is stored. */
export interface CodedWeight {
  name: string;
  values: number;
  /** Order-0 Shannon entropy of the levels, bits a weight. */
  entropy: number;
  /** Width of a level without any entropy coding, bits. */
  fixedWidth: number;
  bytes: Uint8Array;
  /** The levels bit-packed at that width. */
  packed: Uint8Array;
}

/**
 * @param weight a filter [height, width, in, out] or a matrix [in, out]
 * @param quantizer of levels symmetric about 0
 */
export function encodeWeight(name: string, weight: tf.Tensor, quantizer: Quantizer): CodedWeight {
  const { shape } = weight;
  // The coder learns along rows of one output channel, kernel by kernel: OIHW, as PyTorch stores filters.
  const turned = tf.tidy(() =>
    tf.transpose(quantizer.quantize(weight), shape.length === 4 ? [3, 2, 0, 1] : [1, 0]),
  );
  const indices = turned.dataSync<"int32">();
  turned.dispose();
  const symbols = new Uint16Array(indices);
  return {
    name,
    values: indices.length,
    entropy: shannonEntropy(countSymbols(symbols)),
    bytes: compress(
      indices.map((index) => index - zeroOf(quantizer)),
      rowsOf(shape),
    ),
    ...packLevels(symbols, quantizer.levels.size),
  };
}

/** Symbols 0 .. levels - 1 at the least width that holds them, bits. */
export function packLevels(symbols: Uint16Array, levels: number): Pick<CodedWeight, "fixedWidth" | "packed"> {
  const fixedWidth = Math.ceil(Math.log2(levels));
  // A Huffman code whose words are all equally long is plain bit-packing.
  return {
    fixedWidth,
    packed: huffmanCode(new Uint8Array(2 ** fixedWidth).fill(fixedWidth)).encode(symbols),
  };
}

/** The weight that `encodeWeight` stored, dequantized, in the layout of tfjs. */
export function decodeWeight(bytes: Uint8Array, shape: number[], quantizer: Quantizer): tf.Tensor {
  return tf.tidy(() => {
    const indices = decompress(bytes).map((level) => level + zeroOf(quantizer));
    const [outputs, ...rest] = [...shape].reverse();
    const [inputs, ...kernel] = rest;
    const stored = tf.tensor(indices, [outputs, inputs, ...kernel.reverse()], "int32");
    return quantizer.dequantize(tf.transpose(stored, shape.length === 4 ? [2, 3, 1, 0] : [1, 0]));
  });
}

/** The index of level 0. */
const zeroOf = ({ levels }: Quantizer): number => (levels.size - 1) / 2;

function rowsOf(shape: number[]): { rowLength: number; kernel?: readonly [number, number] } {
  if (shape.length !== 4) return { rowLength: shape[0] };
  const [height, width, inputs] = shape;
  return { rowLength: height * width * inputs, kernel: [height, width] };
}

/** What a whole network's weights cost, bits a weight; coded and packed with the side information. */
export interface WeightBits {
  fixedWidth: number;
  entropy: number;
  coded: number;
  packedBrotli: number;
  /** Streams and side information. */
  bytes: number;
}

/** @param side all that a decoder needs beside the integers: steps and biases */
export function weightBits(weights: CodedWeight[], side: Uint8Array): WeightBits {
  const values = weights.reduce((sum, weight) => sum + weight.values, 0);
  const mean = (bits: (weight: CodedWeight) => number) =>
    weights.reduce((sum, weight) => sum + bits(weight) * weight.values, 0) / values;
  const bytes = weights.reduce((sum, weight) => sum + weight.bytes.length, side.length);
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  const packed = Buffer.concat([...weights.map((weight) => weight.packed), side]);
  return {
    fixedWidth: mean((weight) => weight.fixedWidth),
    entropy: mean((weight) => weight.entropy),
    coded: (8 * bytes) / values,
    packedBrotli: (8 * brotliCompressSync(packed, quality).length) / values,
    bytes,
  };
}
