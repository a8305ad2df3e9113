/**
 * What the decoders of weights hand around: where one stands, and what it decodes next.
 *
 *     decodeKernels(decoder, { row: 0, starts, from: 0, to: 72, columnMeans, gain, rate });   // rows 0 to 3
 */
import type { LowBits } from "./weights-low-bits.js";
import type { FrozenTables } from "./weights-tables.js";

/** Where a decoder stands: what `Walk` knows, and the bits. */
export interface WeightDecoder {
  readonly kind: number;
  readonly rowLength: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  /** Of whole groups of rows. */
  readonly integers: Int32Array;
  readonly tables: FrozenTables;
  readonly rowScales: Int32Array;
  /** The scale's part of each column. */
  readonly columnScales: Int32Array;
  readonly states: Int32Array;
  /** Means of the rows of the group, in units of 1/1024. */
  readonly rowMeans: Int32Array;
  /** The payload, with zeros behind it; the next bit, and the one behind the last. */
  readonly payload: Uint8Array;
  position: number;
  readonly end: number;
  readonly low: LowBits;
}

/** What is decoded at once: four rows from `row` on, of these the columns from .. to - 1. */
export interface Group {
  row: number;
  /** Where the words of each row start: of those that there are not at zeros. */
  starts: Int32Array;
  from: number;
  to: number;
  /** Mean of each column, in units of 1/1024, how much of its logarithm goes into scales, and how far it moves. */
  columnMeans: Int32Array;
  gain: number;
  rate: number;
}
