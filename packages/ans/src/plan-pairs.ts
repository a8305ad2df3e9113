/** Streams of one table, of pairs of bytes: for symbols that depend on the one before. */
import { type Sparse, sparse } from "./frequency-table.js";
import { countBytes } from "./histogram.js";
import type { SlotsOf } from "./payload-encode.js";
import { fixedBits, type Plan } from "./plan.js";
import { planStatic, tableHeader } from "./plan-static.js";
import { PAIRS } from "./stream.js";
import { bestTable } from "./table-choice.js";
import { encodeTables } from "./tables.js";

/** Pairs must take at most this share of the bits of single symbols: they are slower to encode. */
const PAIRS_WORTH = 0.99;
/** Blocks spread over longer inputs tell whether pairs are worth their count. */
const TRIAL_BLOCKS = 32;
const TRIAL_BLOCK = 2048;

/** The symbols themselves where they are few, else blocks of them. */
function sampleOf(symbols: Uint8Array): Uint8Array {
  const length = TRIAL_BLOCKS * TRIAL_BLOCK;
  if (symbols.length <= 2 * length) return symbols;
  const sample = new Uint8Array(length);
  for (let k = 0; k < TRIAL_BLOCKS; k++) {
    const from = Math.floor((k * (symbols.length - TRIAL_BLOCK)) / (TRIAL_BLOCKS - 1));
    sample.set(symbols.subarray(from, from + TRIAL_BLOCK), k * TRIAL_BLOCK);
  }
  return sample;
}

/** The code of pairs, if symbols depend on the one before so much that it is shorter than that of single symbols. */
export function worthwhilePairs(
  symbols: Uint8Array,
  present: Uint16Array,
  singleBits: number,
): Plan | undefined {
  const sample = sampleOf(symbols);
  if (sample !== symbols) {
    const single = planStatic(sample, sparse(countBytes(sample)));
    if (planPairs(sample, present).bits > PAIRS_WORTH * single.bits) return undefined;
  }
  const pairs = planPairs(symbols, present);
  return pairs.bits <= PAIRS_WORTH * singleBits ? pairs : undefined;
}

/** @param present the symbols that occur, at most 32: a pair of their indices is a number below 1,024 */
function planPairs(symbols: Uint8Array, present: Uint16Array): Plan {
  const indexOf = new Uint8Array(256);
  present.forEach((symbol, index) => {
    indexOf[symbol] = index;
  });
  const pairs = countPairs(symbols, present, indexOf);
  const count = Math.ceil(symbols.length / 2);
  const { bits, tables: table, tableLog } = bestTable(pairs, count);
  return {
    bits: fixedBits(symbols) + bits,
    header: () => tableHeader(PAIRS, tableLog, symbols, table),
    payload: () => {
      const slotOf = new Uint16Array(1024);
      table.symbols.forEach((pair, slot) => {
        slotOf[indexOf[pair & 255] | (indexOf[pair >>> 8] << 5)] = slot;
      });
      const source: SlotsOf = (slots, from, to) => {
        const whole = Math.min(to, symbols.length >> 1);
        takePairSlots(slots, symbols, from, whole, indexOf, slotOf);
        // An odd last symbol pairs with 0, which need not occur otherwise.
        if (whole < to) slots[whole - from] = table.symbols.indexOf(symbols[2 * whole]);
      };
      return { count, tableLog, tables: encodeTables([table.counts], tableLog), source };
    },
  };
}

/** Slots of whole pairs. (Not part of a closure: engines would optimize it anew for every stream; and so below.) */
function takePairSlots(
  slots: Int32Array,
  symbols: Uint8Array,
  from: number,
  to: number,
  indexOf: Uint8Array,
  slotOf: Uint16Array,
): void {
  for (let i = from; i < to; i++) {
    slots[(i - from) | 0] = slotOf[indexOf[symbols[2 * i]] | (indexOf[symbols[(2 * i + 1) | 0]] << 5)];
  }
}

/** Histogram of first | second << 8 over symbols (2i, 2i + 1); an odd last one pairs with 0. */
function countPairs(symbols: Uint8Array, present: Uint16Array, indexOf: Uint8Array): Sparse {
  const compact = new Uint32Array(1024);
  const whole = symbols.length & -2;
  for (let i = 0; i < whole; i = (i + 2) | 0) {
    compact[indexOf[symbols[i]] | (indexOf[symbols[(i + 1) | 0]] << 5)]++;
  }
  const dense = new Uint32Array(65536);
  for (let pair = 0; pair < compact.length; pair++) {
    if (compact[pair] > 0) dense[present[pair & 31] | (present[pair >>> 5] << 8)] = compact[pair];
  }
  if (whole < symbols.length) dense[symbols[whole]]++;
  return sparse(dense);
}
