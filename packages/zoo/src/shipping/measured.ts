// What a shipped network costs, in the terms of all tables: bits a weight of the whole .bitdiet file, bits a value of the
// feature maps as written. Example: a file of 2,500 bytes for 10,000 weights is 2 bits a weight, names and biases included.
import { shannonEntropy } from "@bitdiet/huffman";
import { readHeader } from "bitdiet";
import { fixedWidth, packedBrotliBytes } from "./baselines.js";
import type { CodedMaps } from "./feature-maps.js";
import type { Shipped } from "./ship.js";

/** A network's weights, bits each: `coded` counts every byte of the file. */
export interface WeightCosts {
  /** Width of the integers without any coder, steps and biases not counted. */
  fixedWidth: number;
  /** Order-0 Shannon entropy of the integers, tensor by tensor; steps and biases not counted. */
  entropy: number;
  coded: number;
  /** The integers bit-packed, then brotli at its highest quality; steps and everything that is kept exactly as they are. */
  packedBrotli: number;
  /** Bytes of the file. */
  bytes: number;
  layers: { name: string; values: number; entropy: number; bytes: number }[];
}

export function weightCosts({ file, weights }: Shipped): WeightCosts {
  const { tensors } = readHeader(file);
  const bytesOf = new Map(tensors.map(({ name, part }) => [name, part.length]));
  const layers = [...weights].map(([name, { integers }]) => ({
    name,
    values: integers.length,
    entropy: integerEntropy(integers),
    bytes: bytesOf.get(name)!,
  }));
  const values = sum(layers, (layer) => layer.values);
  const widths = [...weights.values()].reduce(
    (total, one) => total + fixedWidth(one) * one.integers.length,
    0,
  );
  return {
    fixedWidth: widths / values,
    entropy: sum(layers, (layer) => layer.entropy * layer.values) / values,
    coded: (8 * file.length) / values,
    packedBrotli: (8 * packedBrotliBytes(weights.values(), sideInformation({ file, weights }))) / values,
    bytes: file.length,
    layers,
  };
}

/** Steps as float32, and the parts of the file that are kept exactly: what packing needs as well. */
export function sideInformation({ file, weights }: Shipped): Uint8Array {
  const exact = readHeader(file).tensors.filter(({ quantized }) => quantized === undefined);
  const steps = Float32Array.from([...weights.values()].flatMap((one) => [...one.steps]));
  const parts = exact.map(({ part }) => file.subarray(part.start, part.start + part.length));
  return Buffer.concat([new Uint8Array(steps.buffer), ...parts]);
}

/** Order-0 entropy, bits an integer. */
function integerEntropy(integers: Int32Array): number {
  const counts = new Map<number, number>();
  for (const integer of integers) counts.set(integer, (counts.get(integer) ?? 0) + 1);
  return counts.size > 0 ? shannonEntropy([...counts.values()]) : 0;
}

/** Bits a value over all layers, weighted by size. */
export interface MapBits {
  fixedWidth: number;
  entropy: number;
  huffman: number;
  ans: number;
  coded: number;
}

/** Feature maps: all layers', and each one's. */
export interface MapCosts extends MapBits {
  layers: (MapBits & { name: string; values: number })[];
}

export function mapBits(maps: readonly CodedMaps[]): MapBits {
  const values = sum(maps, (map) => map.values);
  const mean = (bits: (map: CodedMaps) => number) => sum(maps, bits) / values;
  return {
    fixedWidth: mean((map) => map.fixedWidth * map.values),
    entropy: mean((map) => map.entropy * map.values),
    huffman: mean((map) => 8 * map.huffmanBytes),
    ans: mean((map) => 8 * map.ansBytes),
    coded: mean((map) => 8 * map.codedBytes),
  };
}

export const mapCosts = (maps: readonly CodedMaps[]): MapCosts => ({
  ...mapBits(maps),
  layers: maps.map((map) => ({ name: map.name, values: map.values, ...mapBits([map]) })),
});

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);

/** Bytes of the bit-packed integers after brotli, everything else beside them. */
export const packedBytes = ({ packedBrotli, layers }: WeightCosts): number =>
  Math.round((packedBrotli * layers.reduce((total, { values }) => total + values, 0)) / 8);
