/** Streams of maps, each symbol coded by the table of its context. */
import { numberBytes, writeNumber } from "@bitdiet/stream";
import {
  type Cluster,
  contextTableBits,
  crossEntropyBits,
  mergeContexts,
  putContextTables,
} from "./context-tables.js";
import {
  contextsOf,
  inCodingOrder,
  type MapShape,
  type NeighbourContexts,
  neighbourContexts,
  thresholdsOf,
} from "./contexts.js";
import type { Sparse } from "./frequency-table.js";
import { normalizeCounts } from "./normalize.js";
import { overheadBits } from "./payload.js";
import { fixedBits, type Plan, startHeader } from "./plan.js";
import { indexTable } from "./plan-static.js";
import { MAPS, type Symbols } from "./stream.js";
import { chooseTableLog } from "./table-choice.js";
import { encodeTables } from "./tables.js";

/** All tables together, 16 of 2^11 words, should stay in the second-level cache; more gain about 0.3 %. */
const MAX_MAP_TABLES = 16;
const MAX_MAP_TABLE_LOG = 11;

/** @param histogram of the symbols */
export function planMaps(symbols: Symbols, shape: MapShape, histogram: Sparse): Plan {
  const values = histogram.symbols;
  const contexts = contextsOfMaps(shape, histogram);
  // A cell is a symbol in a context; first they are counted, later each has its slot.
  const cells = cellsOf(contextsOf(symbols, contexts, values[values.length - 1] + 1), symbols, values);
  const clusters = clustersOf(cells, contexts.count, values.length);
  const tableOf = new Uint8Array(contexts.count);
  clusters.forEach((cluster, table) => {
    for (const context of cluster.contexts) tableOf[context] = table;
  });
  const { bits, tables, tableLog } = chooseMapTables(clusters, tableOf, symbols.length, values.length);
  const shapeFields = [shape.height, shape.width, shape.channels, contexts.zero, contexts.thresholds.length];
  const fields = [...shapeFields, ...contexts.thresholds];
  return {
    bits: fixedBits(symbols) + 8 * fields.reduce((sum, field) => sum + numberBytes(field), 0) + bits,
    header: () => {
      const writer = startHeader(MAPS, tableLog, symbols);
      for (const field of fields) writeNumber(writer.bytes, field);
      const dense = tables.map((table) => denseFrequencies(table, values));
      putContextTables(writer, { tableLog, tables: dense, tableOf });
      return writer;
    },
    payload: () => {
      const slotOf = slotsOfCells(tableOf, values.length);
      const ordered = inCodingOrder(cells, shape);
      return {
        count: symbols.length,
        tableLog,
        tables: encodeTables(tables, tableLog),
        source: (slots, from, to) => takeCellSlots(slots, ordered, from, to, slotOf),
      };
    },
  };
}

/** The most frequent symbol is taken for zero: that of a ReLU, or the middle of a signed map. */
function contextsOfMaps(shape: MapShape, { symbols: values, counts }: Sparse): NeighbourContexts {
  let most = 0;
  for (let i = 1; i < counts.length; i++) if (counts[i] > counts[most]) most = i;
  const zero = values[most];
  // 4^4 contexts, or 5^3 with one channel: few enough to merge in milliseconds.
  const classes = shape.channels > 1 ? 4 : 5;
  const magnitudes = new Float64Array(values[values.length - 1] + 1);
  values.forEach((value, i) => {
    magnitudes[Math.abs(value - zero)] += counts[i];
  });
  return neighbourContexts({ ...shape, zero, thresholds: thresholdsOf(magnitudes, classes) });
}

/** Contexts that share a table, from how often each of their cells occurs. */
function clustersOf(cells: Int32Array, contexts: number, width: number): Cluster[] {
  const counts = new Uint32Array(contexts * width);
  for (let i = 0; i < cells.length; i++) counts[cells[i]]++;
  const histograms = Array.from(
    { length: contexts },
    (_, context) => new Float64Array(counts.subarray(context * width, (context + 1) * width)),
  );
  return mergeContexts(histograms, MAX_MAP_TABLE_LOG, MAX_MAP_TABLES);
}

/** The precision at which tables and symbols together take the fewest bits. */
function chooseMapTables(clusters: readonly Cluster[], tableOf: Uint8Array, count: number, width: number) {
  return chooseTableLog(count, width, MAX_MAP_TABLE_LOG, (log) => {
    const tables = clusters.map((cluster) => normalizeCounts(cluster.counts, log));
    const tableBits = (contextTableBits({ tableLog: log, tables, tableOf }) + 7) & -8;
    const symbolBits = clusters.reduce(
      (sum, cluster, i) => sum + crossEntropyBits(cluster.counts, tables[i], log),
      overheadBits(count, log),
    );
    return { bits: tableBits + symbolBits, tables };
  });
}

/** Frequencies by symbol rather than by its place among those that occur. */
function denseFrequencies(table: Uint16Array, values: Uint16Array): Uint16Array {
  const frequencies = new Uint16Array(values[values.length - 1] + 1);
  values.forEach((value, i) => {
    frequencies[value] = table[i];
  });
  return frequencies;
}

/** Slot of each cell: that of its symbol in the table of its context. */
function slotsOfCells(tableOf: Uint8Array, width: number): Int32Array {
  const slotOf = new Int32Array(tableOf.length * width);
  for (let cell = 0, context = 0; context < tableOf.length; context++) {
    for (let i = 0; i < width; i++) slotOf[cell++] = tableOf[context] * width + i;
  }
  return slotOf;
}

/** Context * number of values + index of the value. */
function cellsOf(contexts: Uint16Array, symbols: Symbols, values: Uint16Array): Int32Array {
  const indexOf = indexTable(values);
  const cells = new Int32Array(symbols.length);
  const width = values.length;
  for (let i = 0; i < cells.length; i++) cells[i] = Math.imul(contexts[i], width) + indexOf[symbols[i]];
  return cells;
}

function takeCellSlots(
  slots: Int32Array,
  cells: Int32Array,
  from: number,
  to: number,
  slotOf: Int32Array,
): void {
  for (let i = from; i < to; i++) slots[i - from] = slotOf[cells[i]];
}
