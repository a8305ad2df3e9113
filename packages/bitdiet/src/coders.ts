/** The three coders in one shape. Each stream starts with a byte of its own, so a stream says which coder made it. */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import * as huffman from "@bitdiet/huffman";
import { type Coder, type IntegerShape, smallestOf } from "./coder.js";
import { fitsSymbols, fromSymbols, toSymbols } from "./file/zigzag.js";

/** Fastest to decode; whole bits a symbol, groups or zero runs below that. */
export const huffmanCoder: Coder = {
  name: "huffman",
  estimateBits: (integers) =>
    fitsSymbols(integers) ? huffman.compressedBits(toSymbols(integers)) : Infinity,
  encode: (integers) => huffman.compress(toSymbols(integers)),
  decode: (bytes, limits) => fromSymbols(huffman.decompress(bytes, limits)),
};

/** Within 0.1 % of the order-0 entropy whatever it is, and fast. */
export const ansCoder: Coder = {
  name: "ans",
  estimateBits: (integers) => (fitsSymbols(integers) ? ans.compressedBits(toSymbols(integers)) : Infinity),
  encode: (integers) => ans.compress(toSymbols(integers)),
  decode: (bytes, limits) => fromSymbols(ans.decompress(bytes, limits)),
};

/** Adapts to neighbours in rows, kernels and channels: the smallest for weights, and the slowest. */
export const cabacCoder: Coder = {
  name: "cabac",
  estimateBits: (integers, shape) => cabac.estimateCompressedBits(integers, shape),
  encode: (integers, shape) => cabac.compress(integers, shape),
  decode: (bytes, limits) => cabac.decompress(bytes, limits),
};

/** Of all three, the one that is estimated to make the shortest stream of these integers. Nothing is encoded. */
export function smallestCoder(integers: Int32Array, shape?: IntegerShape): Coder {
  return smallestOf([huffmanCoder, ansCoder, cabacCoder], integers, shape);
}
