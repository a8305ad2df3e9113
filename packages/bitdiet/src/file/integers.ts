/**
 * Integers of the rows that are kept, by one of the coders. FORMAT.md, "Integers".
 *
 *     const { coder, bytes } = codeIntegers(Int32Array.of(1, 0, -2, 3), { rowLength: 2, kernel: [1, 1] }, 0, written);
 *     await readIntegers(bytes, 4, coder, { rowLength: 2, kernel: [1, 1] });   // the same four
 *
 * A coder's number in the file is its place here and in the list of write-integers.ts: one entry each is all that a new one takes. They
 * are two, in two files, so that what decodes does not carry along what encodes.
 */
import { decodeBytes } from "@bitdiet/ans/decode-bytes";
import { must } from "./errors.js";
import type { DecodeBlocks, DecodeIntegers, RowShape } from "./integer-rows.js";
import { once } from "./once.js";
import type { RowBlock } from "./rows.js";
import { fromSymbols } from "./zigzag.js";

export interface IntegerDecoder {
  name: string;
  /** What an integer, up to its place in the tensor, and a byte of its code take on one core at worst: the bound on work counts them. */
  nanoseconds: number;
  nanosecondsPerByte: number;
  /** Pages fetch a coder when a file names it. */
  load(): Promise<{ decode: DecodeIntegers; blocks?: DecodeBlocks }>;
}

/** The one that steps are coded by, too. */
export const WEIGHTS = 2;

export const decoders: readonly IntegerDecoder[] = [
  {
    name: "cabac",
    nanoseconds: 190,
    nanosecondsPerByte: 400,
    load: /* @__PURE__ */ once(() => import("./decoders/cabac.js")),
  },
  // Bytes of any kind take it anyway.
  { name: "ans", nanoseconds: 80, nanosecondsPerByte: 10, load: async () => ({ decode: decodeBytes }) },
  {
    name: "weights",
    nanoseconds: 130,
    nanosecondsPerByte: 50,
    load: /* @__PURE__ */ once(() => import("./decoders/weights.js")),
  },
];

/** Rows of one integer are coded as one row of them all: both sides see the same. */
export const lines = (count: number, rows: RowShape): RowShape =>
  rows.rowLength === 1 ? { ...rows, rowLength: count } : rows;

/** @throws {CorruptInputError} (or a coder's) unless `bytes` are exactly `count` integers by this coder */
export async function readIntegers(
  bytes: Uint8Array,
  count: number,
  coder: number,
  rows: RowShape,
): Promise<Int32Array | Uint8Array> {
  if (count === 0) must(bytes.length === 0);
  if (count === 0) return new Int32Array(0);
  const { decode } = await decoders[coder].load();
  return decode(bytes, count, lines(count, rows));
}

/** The same block by block, as they are decoded. @throws {CorruptInputError} also while blocks are asked for */
export async function readBlocks(
  bytes: Uint8Array,
  count: number,
  coder: number,
  rows: RowShape,
): Promise<Iterable<RowBlock>> {
  const { blocks } = await decoders[coder].load();
  if (blocks && count > 0) return inRows(blocks(bytes, count, lines(count, rows)), rows);
  const integers = await readIntegers(bytes, count, coder, rows);
  return [{ row: 0, from: 0, columns: rows.rowLength, integers }];
}

/** What `lines` has put into one row. */
function* inRows(blocks: Iterable<RowBlock>, { rowLength }: RowShape): Generator<RowBlock> {
  for (const { row, from, columns, integers } of blocks)
    yield rowLength === 1 ? { row: from, from: 0, columns: 1, integers } : { row, from, columns, integers };
}

/** Integers from either form that decoders give. */
export const integersOf = (decoded: Int32Array | Uint8Array): Int32Array =>
  decoded instanceof Uint8Array ? fromSymbols(decoded) : decoded;
