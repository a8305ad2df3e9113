// Blocks of weights, each with a width and a step of its own, 0 bits being a block of zeros: the quantizer of Transform
// Quantization (Young et al., arXiv 2009.01174), the search for its step, and the bytes of a whole network.
// Example: [-0.9, -0.3, 0.1, 0.4, 1.2] with 2 bits and step 0.5 comes back as [-1, -0.5, 0, 0.5, 0.5].
import { compress, decompress } from "@bitdiet/ans";
import { type BitReader, type BitWriter, bitReader, bitWriter } from "./bit-stream.js";

/** How a block is quantized: the step is 2^(exponent / 4). */
export interface BlockGrid {
  bits: number;
  exponent: number;
}

export interface Block {
  values: Float32Array;
  /** What a squared error in each of them costs. */
  curvature: Float32Array;
}

export const MAX_BITS = 8;

export const stepOf = ({ exponent }: BlockGrid): number => 2 ** (exponent / 4);

/** Levels -2^(bits - 1) .. 2^(bits - 1) - 1; all 0 for 0 bits. */
export const levelRange = ({ bits }: BlockGrid): { low: number; high: number } =>
  bits === 0 ? { low: 0, high: 0 } : { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 };

export function blockLevels(values: Float32Array, grid: BlockGrid): Int32Array {
  const { low, high } = levelRange(grid);
  const step = stepOf(grid);
  // Adding 0 turns -0 into 0.
  return Int32Array.from(values, (value) => Math.min(high, Math.max(low, Math.round(value / step))) + 0);
}

export const blockValues = (levels: Int32Array, grid: BlockGrid): Float32Array =>
  Float32Array.from(levels, (level) => level * stepOf(grid));

/** Second-order cost of a block's error. */
export function blockDistortion({ values, curvature }: Block, grid: BlockGrid): number {
  const { low, high } = levelRange(grid);
  const step = stepOf(grid);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const level = Math.min(high, Math.max(low, Math.round(values[i] / step)));
    sum += curvature[i] * (values[i] - level * step) ** 2;
  }
  return sum;
}

/** The step of least cost at a width: from one that clips nothing downwards, while the cost falls or has only just risen. */
export function bestGrid(
  block: Block,
  bits: number,
  cost = (grid: BlockGrid) => blockDistortion(block, grid),
) {
  const largest = block.values.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-12);
  const first = Math.ceil(4 * Math.log2(largest / Math.max(1, levelRange({ bits, exponent: 0 }).high)));
  let best = { grid: { bits, exponent: first }, distortion: Number.POSITIVE_INFINITY };
  for (let exponent = first + 2; exponent > best.grid.exponent - 4; exponent--) {
    const grid = { bits, exponent };
    const distortion = cost(grid);
    if (distortion < best.distortion) best = { grid, distortion };
    if (bits === 0) break;
  }
  return best;
}

/** A block as it is stored. */
export interface StoredBlock {
  grid: BlockGrid;
  /** None where it has 0 bits. */
  levels: Int32Array;
}

/** How many values each block has where blocks have these widths: what a decoder knows of the network. */
export type SizesOf = (grids: readonly BlockGrid[]) => number[];

const WIDTH_BITS = 4;
const EXPONENT_BITS = 8;
const EXPONENT_BIAS = 2 ** (EXPONENT_BITS - 1);
const LENGTH_BITS = 24;

export function storedBlock(values: Float32Array, grid: BlockGrid): StoredBlock {
  return { grid, levels: grid.bits > 0 ? blockLevels(values, grid) : new Int32Array(0) };
}

/** Widths (4 bits), steps (8 bits, none where a block has 0 bits) and levels in their widths. */
export function packBlocks(blocks: readonly StoredBlock[]): Uint8Array {
  const writer = bitWriter();
  putGrids(writer, blocks);
  for (const { grid, levels } of blocks) {
    const { low } = levelRange(grid);
    for (const level of levels) writer.put(level - low, grid.bits);
  }
  return writer.bytes();
}

/** The inverse of packBlocks. @throws {RangeError} where the bytes end too early */
export function unpackBlocks(bytes: Uint8Array, count: number, sizesOf: SizesOf): StoredBlock[] {
  const reader = bitReader(bytes);
  const grids = takeGrids(reader, count);
  return sizesOf(grids).map((size, b) => {
    const { bits } = grids[b];
    const { low } = levelRange(grids[b]);
    const levels = Int32Array.from({ length: bits > 0 ? size : 0 }, () => reader.take(bits) + low);
    return { grid: grids[b], levels };
  });
}

/**
 * The same with entropy coding in place of widths: all blocks of one width are alike, as each has its best step, so they
 * share a tANS stream.
 */
export function codeBlocks(blocks: readonly StoredBlock[]): Uint8Array {
  const writer = bitWriter();
  putGrids(writer, blocks);
  const streams = widths().map((bits) => {
    const alike = blocks.filter(({ grid }) => grid.bits === bits);
    const { low } = levelRange({ bits, exponent: 0 });
    const symbols = alike.flatMap(({ levels }) => Array.from(levels, (level) => level - low));
    return symbols.length > 0 ? compress(Uint8Array.from(symbols)) : new Uint8Array(0);
  });
  for (const { length } of streams) writer.put(length, LENGTH_BITS);
  const head = writer.bytes();
  const bytes = new Uint8Array(streams.reduce((sum, { length }) => sum + length, head.length));
  let at = 0;
  for (const part of [head, ...streams]) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The inverse of codeBlocks. @throws {Error} named CorruptInputError for bytes that no one wrote */
export function decodeBlocks(bytes: Uint8Array, count: number, sizesOf: SizesOf): StoredBlock[] {
  const reader = bitReader(bytes);
  const grids = takeGrids(reader, count);
  const lengths = widths().map(() => reader.take(LENGTH_BITS));
  let at = Math.ceil(reader.position() / 8);
  const streams = lengths.map((length) => {
    const symbols = length > 0 ? decompress(bytes.subarray(at, at + length)) : new Uint8Array(0);
    at += length;
    return { symbols, from: 0 };
  });
  return sizesOf(grids).map((size, b) => {
    const { bits } = grids[b];
    if (bits === 0) return { grid: grids[b], levels: new Int32Array(0) };
    const { low } = levelRange(grids[b]);
    const stream = streams[bits - 1];
    const symbols = stream.symbols.subarray(stream.from, (stream.from += size));
    return { grid: grids[b], levels: Int32Array.from(symbols, (symbol) => symbol + low) };
  });
}

const widths = (): number[] => Array.from({ length: MAX_BITS }, (_, i) => i + 1);

function putGrids(writer: BitWriter, blocks: readonly StoredBlock[]): void {
  for (const { grid } of blocks) {
    writer.put(grid.bits, WIDTH_BITS);
    if (grid.bits > 0) writer.put(grid.exponent + EXPONENT_BIAS, EXPONENT_BITS);
  }
}

function takeGrids(reader: BitReader, count: number): BlockGrid[] {
  return Array.from({ length: count }, () => {
    const bits = reader.take(WIDTH_BITS);
    return { bits, exponent: bits > 0 ? reader.take(EXPONENT_BITS) - EXPONENT_BIAS : 0 };
  });
}
