// Weights whose groups have bit widths of their own, as bytes. Packed as DiffQ counts it: range (two float32), one byte
// for the size of a width, a width a group, and each index in its group's width. Coded: all indices of one width, over the
// whole network, are one tANS stream, and so are the widths.
// Example: 144 weights in groups of 8 at 8 bits are 64 + 8 + 18 * 3 + 1152 = 1278 bits = 160 bytes packed.
import { brotliCompressSync, constants } from "node:zlib";
import { compress, decompress } from "@bitdiet/ans";
import type { Range } from "@bitdiet/fake-quant";
import { countSymbols, huffmanCode, shannonEntropy } from "@bitdiet/huffman";

export interface MixedWeight {
  name: string;
  shape: number[];
  range: Range;
  /** A width a group of neighbours in the flattened tensor. */
  bits: Int32Array;
  /** 0 .. 2^bits - 1 of each weight's group. */
  indices: Int32Array;
}

/** What the learned widths cost. */
export interface MixedBytes {
  /** Streams of indices by width, and of all widths. */
  streams: Map<number, Uint8Array>;
  widths: Uint8Array;
  /** All of these, and a range a tensor. */
  codedBytes: number;
  packedBytes: number;
  /** The packed indices, then brotli at its highest quality, with widths and ranges. */
  packedBrotliBytes: number;
  /** Order-0 entropy of the indices given their width, bits a weight. */
  entropy: number;
}

/** Bits of one packed tensor, as published. */
export function packedBits(
  { bits, indices }: Pick<MixedWeight, "bits" | "indices">,
  minBits: number,
): number {
  const groupSize = indices.length / bits.length;
  const widthBits = Math.ceil(Math.log2(1 + Math.max(...bits) - minBits));
  return bits.reduce((sum, width) => sum + groupSize * width + widthBits, 64 + 8);
}

/** Indices of each width, over all tensors in order. */
function byWidth(weights: Pick<MixedWeight, "bits" | "indices">[]): Map<number, number[]> {
  const all = new Map<number, number[]>();
  for (const { bits, indices } of weights) {
    const groupSize = indices.length / bits.length;
    for (let i = 0; i < indices.length; i++) {
      const width = bits[Math.floor(i / groupSize)];
      if (!all.has(width)) all.set(width, []);
      all.get(width)!.push(indices[i]);
    }
  }
  return all;
}

export function encodeMixed(weights: MixedWeight[], minBits: number): MixedBytes {
  const groups = byWidth(weights);
  const streams = new Map([...groups].map(([width, all]) => [width, compress(Uint16Array.from(all))]));
  const widths = compress(Uint8Array.from(weights.flatMap(({ bits }) => [...bits])));
  const values = weights.reduce((sum, { indices }) => sum + indices.length, 0);
  const informationOf = (all: number[]) => all.length * shannonEntropy(countSymbols(Uint16Array.from(all)));
  return {
    streams,
    widths,
    codedBytes: [...streams.values()].reduce(
      (sum, { length }) => sum + length,
      widths.length + 8 * weights.length,
    ),
    packedBrotliBytes: brotli(groups) + widths.length + 8 * weights.length,
    packedBytes: weights.reduce((sum, weight) => sum + Math.ceil(packedBits(weight, minBits) / 8), 0),
    entropy: [...groups.values()].reduce((sum, all) => sum + informationOf(all), 0) / values,
  };
}

/** Bytes of all indices, bit-packed width by width, after brotli. */
function brotli(groups: Map<number, number[]>): number {
  const packed = [...groups].map(([width, all]) =>
    // A Huffman code whose words are all equally long is plain bit-packing.
    huffmanCode(new Uint8Array(2 ** width).fill(width)).encode(Uint16Array.from(all)),
  );
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  return brotliCompressSync(Buffer.concat(packed), quality).length;
}

/** The indices and widths of tensors of these sizes, from bytes. */
export function decodeMixed(
  { streams, widths }: Pick<MixedBytes, "streams" | "widths">,
  shapes: { size: number; groups: number }[],
): { bits: Int32Array; indices: Int32Array }[] {
  const decoded = new Map([...streams].map(([width, bytes]) => [width, decompress(bytes).values()]));
  const all = decompress(widths);
  let from = 0;
  return shapes.map(({ size, groups }) => {
    const bits = new Int32Array(all.subarray(from, (from += groups)));
    const next = (i: number): number => decoded.get(bits[Math.floor((i * groups) / size)])!.next().value!;
    return { bits, indices: Int32Array.from({ length: size }, (_, i) => next(i)) };
  });
}
