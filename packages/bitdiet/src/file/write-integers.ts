/**
 * Integers to bytes by the coder that is worth it: the other side of integers.ts, whose list has the same coders in the same places.
 *
 *     codeIntegers(Int32Array.of(1, 0, -2, 3), { rowLength: 2, kernel: [1, 1] }, 0, written);   // { coder: 0, length: 3, bytes }
 */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import type { RowShape } from "./integer-rows.js";
import { lines } from "./integers.js";
import { byteSymbols } from "./zigzag.js";

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

export const coders: readonly IntegerCoder[] = [
  {
    name: "cabac",
    // Its code: pages load it for the sake of such tensors alone.
    startNanoseconds: 4e6,
    nanosecondsEach: 120,
    encode: cabac.encodeWeights,
    estimateBits: cabac.estimateBits,
  },
  {
    name: "ans",
    startNanoseconds: 2e4,
    nanosecondsEach: 5,
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
    startNanoseconds: 3e4,
    nanosecondsEach: 9,
    encode: (integers, rows) => (areBelow30Bits(integers) ? ans.encodeWeights(integers, rows) : undefined),
    estimateBits: (integers, rows) =>
      areBelow30Bits(integers) ? ans.encodedWeightBits(integers, rows) : Infinity,
  },
];

const areBelow30Bits = (integers: Int32Array): boolean =>
  integers.every((integer) => Math.abs(integer) < 2 ** 30);

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
