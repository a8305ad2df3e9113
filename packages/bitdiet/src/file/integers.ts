/**
 * Integers of the rows that are kept, by one of the coders. FORMAT.md, "Integers".
 *
 *     const { coder, bytes } = codeIntegers(Int32Array.of(1, 0, -2, 3), { rowLength: 2, kernel: [1, 1] }, 0, written);
 *     readIntegers(bytes, 4, coder, { rowLength: 2, kernel: [1, 1] });   // the same four
 *
 * A coder's number in the file is its place in both lists: one entry each is all that a new one takes. They are two so that what
 * decodes does not carry along what encodes.
 */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import { must } from "./errors.js";
import { byteSymbols, fromSymbols } from "./zigzag.js";

/** How integers lie: rows of this length, which consist of kernels. */
export interface RowShape {
  rowLength: number;
  /** Height and width. */
  kernel: readonly [number, number];
}

export interface IntegerDecoder {
  name: string;
  /** What an integer, up to its place in the tensor, and a byte of its code take on one core at worst: the bound on work counts them. */
  nanoseconds: number;
  nanosecondsPerByte: number;
  /**
   * @returns the integers, or in bytes as zigzag.ts writes them
   * @throws {CorruptInputError} unless the bytes are exactly those of `count` integers, as far as the coder can tell
   */
  decode(bytes: Uint8Array, count: number, rows: RowShape): Int32Array | Uint8Array;
}

export interface IntegerCoder {
  name: string;
  /** @returns undefined for integers that the coder has no codes for */
  encode(integers: Int32Array, rows: RowShape): Uint8Array | undefined;
  /** What decoding takes, where choosing is about it: to start, and an integer, as measured on a desktop's core. */
  startNanoseconds: number;
  nanosecondsEach: number;
  /** Bits that `encode` takes, to within 0.2 %; Infinity where it has no codes. */
  estimateBits(integers: Int32Array, rows: RowShape): number;
}

/** The one that steps are coded by, too. */
export const CABAC = 0;

export const decoders: readonly IntegerDecoder[] = [
  {
    name: "cabac",
    nanoseconds: 190,
    nanosecondsPerByte: 400,
    decode: (bytes, count, { rowLength, kernel: [height, width] }) =>
      cabac.decodeWeightRows(bytes, count, { rowLength, height, width }),
  },
  { name: "ans", nanoseconds: 80, nanosecondsPerByte: 10, decode: ans.decodeBytes },
  {
    name: "weights",
    nanoseconds: 130,
    nanosecondsPerByte: 50,
    decode: (bytes, count, { rowLength, kernel: [height, width] }) =>
      ans.decodeWeightRows(bytes, count, { rowLength, height, width }),
  },
];

export const coders: readonly IntegerCoder[] = [
  {
    name: "cabac",
    startNanoseconds: 1e4,
    nanosecondsEach: 150,
    encode: cabac.encodeWeights,
    estimateBits: cabac.estimateBits,
  },
  {
    name: "ans",
    startNanoseconds: 2e4,
    nanosecondsEach: 8,
    encode: (integers) => {
      const symbols = byteSymbols(integers);
      return symbols && ans.encodeBytes(symbols);
    },
    estimateBits: (integers) => {
      const symbols = byteSymbols(integers);
      return symbols ? ans.encodedBits(symbols) : Infinity;
    },
  },
  {
    name: "weights",
    // Its tables, a share of them: the tensors of a file build them once.
    startNanoseconds: 1e5,
    nanosecondsEach: 14,
    encode: (integers, rows) => (areBelow30Bits(integers) ? ans.encodeWeights(integers, rows) : undefined),
    estimateBits: (integers, rows) =>
      areBelow30Bits(integers) ? ans.encodedWeightBits(integers, rows) : Infinity,
  },
];

const areBelow30Bits = (integers: Int32Array): boolean =>
  integers.every((integer) => Math.abs(integer) < 2 ** 30);

/** Rows of one integer are coded as one row of them all: both sides see the same. */
const lines = (count: number, rows: RowShape): RowShape =>
  rows.rowLength === 1 ? { ...rows, rowLength: count } : rows;

/** @throws {CorruptInputError} (or a coder's) unless `bytes` are exactly `count` integers by this coder */
export function readIntegers(
  bytes: Uint8Array,
  count: number,
  coder: number,
  rows: RowShape,
): Int32Array | Uint8Array {
  if (count === 0) must(bytes.length === 0);
  return count === 0 ? new Int32Array(0) : decoders[coder].decode(bytes, count, lines(count, rows));
}

/** Integers from either form that decoders give. */
export const integersOf = (decoded: Int32Array | Uint8Array): Int32Array =>
  decoded instanceof Uint8Array ? fromSymbols(decoded) : decoded;

/** Integers as coded, or what they would take. */
export interface CodedIntegers {
  coder: number;
  length: number;
  /** Absent from estimates. */
  bytes?: Uint8Array;
}

/** What coded integers take: `written` writes them, `estimated` does not. */
export type Measure = (
  coder: IntegerCoder,
  integers: Int32Array,
  rows: RowShape,
) => Omit<CodedIntegers, "coder">;

export const written: Measure = (coder, integers, rows) => {
  const bytes = coder.encode(integers, rows);
  return { length: bytes?.length ?? Infinity, bytes };
};

export const estimated: Measure = (coder, integers, rows) => ({
  length: Math.ceil(coder.estimateBits(integers, rows) / 8),
});

/**
 * By the coder that takes the fewest bytes, or a faster one.
 *
 * @param minGain share of the bytes that a slower coder has to save for each doubling of the time that decoding takes, 0 .. 1
 */
export function codeIntegers(
  integers: Int32Array,
  rows: RowShape,
  minGain: number,
  measure: Measure,
): CodedIntegers {
  if (integers.length === 0) return { coder: 0, length: 0, bytes: new Uint8Array(0) };
  const shape = lines(integers.length, rows);
  const timeOf = (coder: number) =>
    coders[coder].startNanoseconds + coders[coder].nanosecondsEach * integers.length;
  const fastestFirst = coders
    .map((_, coder) => coder)
    .sort((a, b) => coders[a].nanosecondsEach - coders[b].nanosecondsEach);
  let best: CodedIntegers = { coder: 0, length: Infinity };
  for (const coder of fastestFirst) {
    const isFirst = best.length === Infinity;
    // The fastest that has codes for these integers is the choice.
    if (!isFirst && minGain >= 1) break;
    const measured = measure(coders[coder], integers, shape);
    const doublings = isFirst ? 0 : Math.max(0, Math.log2(timeOf(coder) / timeOf(best.coder)));
    if (measured.length < (1 - minGain * doublings) * best.length) best = { coder, ...measured };
  }
  return best;
}
