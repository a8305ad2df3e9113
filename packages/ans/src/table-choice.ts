/**
 * How large a table is worth it: a larger one fits the histogram better, but takes longer to store and to build.
 *
 *     bestTable(sparse([900, 90, 10]), 1000)  // { tableLog: 9, tables: frequencies that sum to 512, bits: ... }
 */
import { crossEntropyBits } from "./context-tables.js";
import { frequencyTableBits, type Sparse } from "./frequency-table.js";
import { MAX_TABLE_LOG, MIN_TABLE_LOG, mostTableLog, normalizeCounts } from "./normalize.js";
import { overheadBits } from "./payload.js";

/** A shorter table may cost this much of the size: it is built faster and stays in the fastest cache. */
const WORTH = 1.0012;

/** The least table log, 9 .. longest, that comes near the shortest stream, and the tables at it. */
export function chooseTableLog<Tables>(
  count: number,
  present: number,
  longest: number,
  evaluate: (tableLog: number) => { bits: number; tables: Tables },
): { bits: number; tables: Tables; tableLog: number } {
  const least = Math.min(MAX_TABLE_LOG, Math.max(MIN_TABLE_LOG, 33 - Math.clz32(present - 1)));
  const most = Math.max(least, Math.min(longest, mostTableLog(count)));
  const all = [];
  for (let tableLog = least; tableLog <= most; tableLog++) all.push({ ...evaluate(tableLog), tableLog });
  const shortest = all.reduce((bits, { bits: next }) => Math.min(bits, next), Number.POSITIVE_INFINITY);
  return all.find(({ bits }) => bits <= WORTH * shortest)!;
}

/** Size and frequencies of the best static table for a histogram of `count` coded symbols. */
export function bestTable({ symbols, counts }: Sparse, count: number) {
  return chooseTableLog(count, symbols.length, MAX_TABLE_LOG, (tableLog) => {
    const table = { symbols, counts: normalizeCounts(counts, tableLog) };
    const tableBits = (frequencyTableBits(table, tableLog) + 7) & -8;
    const bits = tableBits + overheadBits(count, tableLog) + crossEntropyBits(counts, table.counts, tableLog);
    return { bits, tables: table };
  });
}
