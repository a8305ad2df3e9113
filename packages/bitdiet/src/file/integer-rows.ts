/**
 * Integers as coders see them: in rows, which consist of kernels.
 *
 *     decode(bytes, 720, { rowLength: 72, kernel: [3, 3] });   // of 10 output channels
 */

import type { RowBlock } from "./rows.js";

/** How integers lie: rows of this length, which consist of kernels. */
export interface RowShape {
  rowLength: number;
  /** Height and width. */
  kernel: readonly [number, number];
}

/**
 * @returns the integers, or in bytes as zigzag.ts writes them
 * @throws {CorruptInputError} unless the bytes are exactly those of `count` integers, as far as the coder can tell
 */
export type DecodeIntegers = (bytes: Uint8Array, count: number, rows: RowShape) => Int32Array | Uint8Array;

/** The same block by block, each there until the next is asked for. */
export type DecodeBlocks = (bytes: Uint8Array, count: number, rows: RowShape) => Iterable<RowBlock>;
