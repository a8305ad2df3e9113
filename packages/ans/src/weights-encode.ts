/**
 * Weights to bytes, see weights-decode.ts for their order.
 *
 *     encodeWeights(Int32Array.of(0, 1, -1, 0, 0, 2, -3, 0), { rowLength: 4 })   // 11 bytes
 */
import { describe, writeNumber } from "@bitdiet/stream";
import { encodePayload, payloadBits, type SlotsOf } from "./payload-encode.js";
import type { EncodeTables } from "./tables.js";
import { LANES, MAX_SYMBOL, SYMBOLS, TABLE_LOG, ZERO_SYMBOL } from "./weights-contexts.js";
import { encodingTables } from "./weights-encode-tables.js";
import { bestParameters, beyondOf, type Parameters, tableOf } from "./weights-search.js";
import { checkedShape, type WeightShape } from "./weights-shape.js";
import { startWalk, walkGroup } from "./weights-walk.js";

/** Integers from -(2^30 - 1) to 2^30 - 1. */
const MAX_INTEGER = 2 ** 30 - 1;

/**
 * The bytes of integers in rows; their number and shape are for the caller to keep.
 *
 * @param integers each -(2^30 - 1) .. 2^30 - 1
 * @throws {RangeError} for other integers, or if the shape is none of theirs
 */
export function encodeWeights(integers: Int32Array, shape: WeightShape = {}): Uint8Array {
  const plan = planOf(integers, shape);
  if (plan === undefined) return new Uint8Array(0);
  return encodePayload(plan.count, TABLE_LOG, plan.tables, plan.source, plan.start, LANES);
}

/** 8 * encodeWeights(integers, shape).length, without the writing. */
export function encodedWeightBits(integers: Int32Array, shape: WeightShape = {}): number {
  const plan = planOf(integers, shape);
  if (plan === undefined) return 0;
  return 8 * plan.start.length + payloadBits(plan.count, TABLE_LOG, plan.tables, plan.source, LANES);
}

interface Plan {
  /** What comes before the payload. */
  start: Uint8Array<ArrayBuffer>;
  /** Of weights, and of what stands for those of rows that the last group lacks. */
  count: number;
  tables: EncodeTables;
  source: SlotsOf;
}

function planOf(integers: Int32Array, shape: WeightShape): Plan | undefined {
  if (!(integers instanceof Int32Array))
    throw new TypeError(`integers: expected an Int32Array, got ${describe(integers)}`);
  const { rowLength, height, width } = checkedShape(integers.length, shape);
  const wide = integers.findIndex((value) => value > MAX_INTEGER || value < -MAX_INTEGER);
  if (wide >= 0)
    throw new RangeError(
      `integers: expected -(2^30 - 1) to 2^30 - 1, got ${integers[wide]} at index ${wide}`,
    );
  if (integers.length === 0) return undefined;
  const parameters = bestParameters(integers, rowLength, [height, width]);
  const { slots, low } = codeRows(integers, rowLength, [height, width], parameters);
  const start = [parameters.profile + 16 * parameters.gains, parameters.meanClass];
  writeNumber(start, low.length);
  return {
    start: Uint8Array.from([...start, ...low]),
    count: slots.length,
    tables: encodingTables(height * width === 1, parameters.profile).tables,
    source: (block, from, to) => block.set(slots.subarray(from, to)),
  };
}

/** Bits that belong to no symbol. */
interface LowWriter {
  bytes: number[];
  used: number;
}

function putLowBits(low: LowWriter, value: number, width: number): void {
  for (let i = 0; i < width; i++, low.used++) {
    if ((low.used & 7) === 0) low.bytes.push(0);
    low.bytes[low.used >>> 3] |= ((value >>> i) & 1) << (low.used & 7);
  }
}

/** See takeExcess. */
function putExcess(low: LowWriter, excess: number): void {
  const width = 31 - Math.clz32(excess + 8);
  putLowBits(low, (1 << (width - 3)) - 1, width - 2);
  putLowBits(low, excess + 8 - (1 << width), width);
}

/**
 * The slot of every weight in its coding order, see EncodeTables, and what does not fit symbols. A last group's missing rows have the
 * symbol that is certain, of no bits.
 */
function codeRows(
  integers: Int32Array,
  rowLength: number,
  kernel: readonly [number, number],
  parameters: Parameters,
): { slots: Uint16Array; low: readonly number[] } {
  const isMatrix = kernel[0] * kernel[1] === 1;
  const groups = Math.ceil(integers.length / rowLength / LANES);
  const slots = new Uint16Array(groups * LANES * rowLength);
  const low: LowWriter = { bytes: [], used: 0 };
  const walk = startWalk(rowLength, kernel, parameters.meanClass);
  const { frequencies, limits, certain } = encodingTables(isMatrix, parameters.profile);
  const scales = parameters.scalesOf();
  let index = 0;
  for (let start = 0; start < integers.length; start += LANES * rowLength) {
    const rows = Math.min(LANES, (integers.length - start) / rowLength);
    walkGroup(walk, integers, start, rows);
    for (let j = 0, at = 0; j < rowLength; j++) {
      const columnScale = scales.columns[walk.columns[j]];
      for (let k = 0; k < rows; k++, at++, index++) {
        const value = integers[start + k * rowLength + j];
        const expected = walk.expected[at];
        const sum = scales.rows[walk.local[at]] + columnScale;
        const beyond = beyondOf(isMatrix, sum);
        const table = tableOf(isMatrix, sum, expected, beyond);
        const turned = expected < 0 ? -value : value;
        const inSymbol = turned >> beyond;
        const symbol = Math.abs(inSymbol) > MAX_SYMBOL ? 0 : inSymbol + ZERO_SYMBOL;
        if (symbol > 0 && frequencies[table][symbol] > 0) slots[index] = table * SYMBOLS + symbol;
        else {
          slots[index] = table * SYMBOLS;
          putLowBits(low, inSymbol < 0 ? 1 : 0, 1);
          putExcess(low, Math.abs(inSymbol) - limits[table] - 1);
        }
        putLowBits(low, turned, beyond);
      }
      for (let k = rows; k < LANES; k++) slots[index++] = certain;
    }
  }
  return { slots, low: low.bytes };
}
