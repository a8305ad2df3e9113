/** Streams of one table, of single symbols. */
import { alignBits, type HeaderWriter } from "./bit-io.js";
import { denseBytes, putFrequencies, type Sparse } from "./frequency-table.js";
import type { SlotsOf } from "./payload-encode.js";
import { fixedBits, type Plan, startHeader } from "./plan.js";
import { STATIC, type Symbols } from "./stream.js";
import { bestTable } from "./table-choice.js";
import { encodeTables } from "./tables.js";

/** Header of the kinds that have one table. */
export function tableHeader(kind: number, tableLog: number, symbols: Symbols, table: Sparse): HeaderWriter {
  const writer = startHeader(kind, tableLog, symbols);
  putFrequencies(writer, table, tableLog);
  alignBits(writer);
  return writer;
}

export function planStatic(symbols: Symbols, histogram: Sparse): Plan {
  const count = symbols.length;
  const { bits, tables: table, tableLog } = bestTable(histogram, count);
  return {
    bits: fixedBits(symbols) + bits,
    header: () => tableHeader(STATIC, tableLog, symbols, table),
    payload: () => {
      if (symbols instanceof Uint8Array) {
        return { count, tableLog, tables: encodeTables([denseBytes(table)], tableLog), source: symbols };
      }
      const indexOf = indexTable(table.symbols);
      const source: SlotsOf = (slots, from, to) => {
        for (let i = from; i < to; i++) slots[i - from] = indexOf[symbols[i]];
      };
      return { count, tableLog, tables: encodeTables([table.counts], tableLog), source };
    },
  };
}

/** The place of each 16-bit symbol among those that occur. */
export function indexTable(present: Uint16Array): Uint16Array {
  const indexOf = new Uint16Array(present[present.length - 1] + 1);
  for (let i = 0; i < present.length; i++) indexOf[present[i]] = i;
  return indexOf;
}
