// Blocks of weights, each with a width and a step of its own, 0 bits being a block of zeros: the grids of Transform
// Quantization (Young et al., arXiv 2009.01174), the search for a step, and the published packing of a whole network, which is
// a column of the table. Networks are shipped as .bitdiet files.
// Example: [-0.9, -0.3, 0.1, 0.4, 1.2] with 2 bits and step 0.5 comes back as [-1, -0.5, 0, 0.5, 0.5].
import { nearestInteger } from "@bitdiet/fake-quant";
import { type BitReader, type BitWriter, bitReader, bitWriter } from "@bitdiet/zoo/shipping/bit-stream";
import { nearestOnGrid } from "bitdiet";

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

/** A number of the grid that files hold steps on. */
export const stepOf = ({ exponent }: BlockGrid): number => nearestOnGrid(2 ** (exponent / 4), 4);

/** Levels -2^(bits - 1) .. 2^(bits - 1) - 1; all 0 for 0 bits. */
const levelRange = ({ bits }: BlockGrid): { low: number; high: number } =>
  bits === 0 ? { low: 0, high: 0 } : { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 };

/** Index of 0 in a quantizer of a block's levels. */
export const twosComplement = ({ bits }: BlockGrid): number => (bits > 0 ? 2 ** (bits - 1) : 0);

/** The integers of values, by the rounding rule of all quantizers. */
export function blockIntegers(values: Float32Array, grid: BlockGrid): Int32Array {
  const { low, high } = levelRange(grid);
  const step = stepOf(grid);
  return Int32Array.from(values, (value) => nearestInteger(value, step, low, high));
}

export const blockValues = (integers: Int32Array, grid: BlockGrid): Float32Array =>
  Float32Array.from(integers, (integer) => integer * stepOf(grid));

/** Second-order cost of a block's error. */
export function blockDistortion({ values, curvature }: Block, grid: BlockGrid): number {
  const { low, high } = levelRange(grid);
  const step = stepOf(grid);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const integer = nearestInteger(values[i], step, low, high);
    sum += curvature[i] * (values[i] - integer * step) ** 2;
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
  integers: Int32Array;
}

/** How many values each block has where blocks have these widths: what a decoder knows of the network. */
export type SizesOf = (grids: readonly BlockGrid[]) => number[];

const WIDTH_BITS = 4;
const EXPONENT_BITS = 8;
const EXPONENT_BIAS = 2 ** (EXPONENT_BITS - 1);

export function storedBlock(values: Float32Array, grid: BlockGrid): StoredBlock {
  return { grid, integers: grid.bits > 0 ? blockIntegers(values, grid) : new Int32Array(0) };
}

/** Widths (4 bits), steps (8 bits, none where a block has 0 bits) and integers in their widths. */
export function packBlocks(blocks: readonly StoredBlock[]): Uint8Array {
  const writer = bitWriter();
  putGrids(writer, blocks);
  for (const { grid, integers } of blocks) {
    const { low } = levelRange(grid);
    for (const integer of integers) writer.put(integer - low, grid.bits);
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
    const integers = Int32Array.from({ length: bits > 0 ? size : 0 }, () => reader.take(bits) + low);
    return { grid: grids[b], integers };
  });
}

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
