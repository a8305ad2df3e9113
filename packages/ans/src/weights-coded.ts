/** What decoders of weights get, and what they give. */
import type { Rows } from "./weights-shape.js";

/** What the bytes say, and where their bits are. */
export interface CodedWeights {
  shape: Rows;
  count: number;
  isMatrix: boolean;
  profile: number;
  meanClass: number;
  /** How much the means of row and column count, in eighths. */
  gains: readonly [row: number, column: number];
  /** Of each lane, before its first weight. */
  states: Int32Array;
  /** The first bit of a symbol is that of this number. */
  position: number;
  payload: Uint8Array;
  low: Uint8Array;
}

/** Some columns of some rows. */
export interface WeightBlock {
  /** The first of the rows, and of the columns. */
  row: number;
  from: number;
  columns: number;
  /** Row after row; there until the next block is asked for. */
  integers: Int32Array;
}

/** How far a decoder has come when all blocks are there. */
export interface EndOfWeights {
  states: Int32Array;
  position: number;
  lowPosition: number;
}

/** At least 17 bits from this one on; behind the end are zeros. */
export function bitsAt(bytes: Uint8Array, position: number): number {
  const at = Math.floor(position / 8);
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) >>> (position & 7);
}
