/**
 * Compression to self-describing streams.
 *
 *     compress(Uint8Array.of(7, 7, 7, 7, 7))  // 8 bytes, see stream.ts
 *
 * The size of each kind of stream follows from histograms alone; the smallest is written.
 */
import { describe, numberBytes, writeNumber } from "@bitdiet/stream";
import { alignBits, type HeaderWriter, headerWriter } from "./bit-io.js";
import {
  type Cluster,
  contextTableBits,
  crossEntropyBits,
  mergeContexts,
  putContextTables,
} from "./context-tables.js";
import {
  checkMaps,
  contextsOf,
  inCodingOrder,
  type MapShape,
  type NeighbourContexts,
  neighbourContexts,
  thresholdsOf,
} from "./contexts.js";
import { denseBytes, putFrequencies, type Sparse, sparse } from "./frequency-table.js";
import { countBytes } from "./histogram.js";
import { MAX_ALPHABET, normalizeCounts } from "./normalize.js";
import { encodePayload, overheadBits, payloadBits, type SlotsOf } from "./payload.js";
import {
  bytesOf,
  CONSTANT,
  checksum,
  MAGIC,
  MAPS,
  PAIRS,
  STATIC,
  STORED,
  type Symbols,
  WIDE,
} from "./stream.js";
import { bestTable, chooseTableLog } from "./table-choice.js";
import { type EncodeTables, encodeTables } from "./tables.js";

/** Pairs of up to 32 different symbols may be shorter, in inputs that their table is short beside. */
const MIN_PAIRED = 1 << 15;
const MAX_PAIRED = 32;
/** Pairs must take at most this share of the bits of single symbols: they are slower to encode. */
const PAIRS_WORTH = 0.99;
/** Blocks spread over longer inputs tell whether pairs are worth their count. */
const TRIAL_BLOCKS = 32;
const TRIAL_BLOCK = 2048;

/** All tables together, 16 of 2^11 words, should stay in the second-level cache; more gain about 0.3 %. */
const MAX_MAP_TABLES = 16;
const MAX_MAP_TABLE_LOG = 11;

/** A payload to be: what encodePayload takes. */
interface Coded {
  count: number;
  tableLog: number;
  tables: EncodeTables;
  source: Uint8Array | SlotsOf;
}

/** A stream to be. */
interface Plan {
  /** Its size by the histogram alone, which is enough to choose by. */
  bits: number;
  header: () => HeaderWriter;
  payload: () => Uint8Array | Coded;
}

function startHeader(kind: number, tableLog: number, symbols: Symbols): HeaderWriter {
  const writer = headerWriter();
  writer.bytes.push(MAGIC, kind | (symbols instanceof Uint16Array ? WIDE : 0) | (tableLog << 4));
  writeNumber(writer.bytes, symbols.length);
  return writer;
}

/** Header, checksum and payload. */
function write(symbols: Symbols, { header, payload }: Plan): Uint8Array {
  const fields = Uint8Array.from(header().bytes);
  const start = new Uint8Array(fields.length + 4);
  start.set(fields);
  new DataView(start.buffer).setUint32(fields.length, checksum(fields, symbols), true);
  const coded = payload();
  if (!(coded instanceof Uint8Array)) {
    return encodePayload(coded.count, coded.tableLog, coded.tables, coded.source, start);
  }
  const bytes = new Uint8Array(start.length + coded.length);
  bytes.set(start);
  bytes.set(coded, start.length);
  return bytes;
}

/** Bits of magic, kind, count and checksum. */
const fixedBits = (symbols: Symbols): number => 8 * (6 + numberBytes(symbols.length));

function planPlain(symbols: Symbols, kind: number, payload: Uint8Array): Plan {
  return {
    bits: fixedBits(symbols) + 8 * payload.length,
    header: () => startHeader(kind, 0, symbols),
    payload: () => payload,
  };
}

/** Header of the kinds that have one table. */
function tableHeader(kind: number, tableLog: number, symbols: Symbols, table: Sparse): HeaderWriter {
  const writer = startHeader(kind, tableLog, symbols);
  putFrequencies(writer, table, tableLog);
  alignBits(writer);
  return writer;
}

function planStatic(symbols: Symbols, histogram: Sparse): Plan {
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
function indexTable(present: Uint16Array): Uint16Array {
  const indexOf = new Uint16Array(present[present.length - 1] + 1);
  for (let i = 0; i < present.length; i++) indexOf[present[i]] = i;
  return indexOf;
}

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
function worthwhilePairs(symbols: Uint8Array, present: Uint16Array, singleBits: number): Plan | undefined {
  const sample = sampleOf(symbols);
  if (sample !== symbols) {
    const single = planStatic(sample, countSymbols(sample));
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

function countSymbols(symbols: Symbols): Sparse {
  if (symbols instanceof Uint8Array) return sparse(countBytes(symbols));
  const counts = new Uint32Array(65536);
  for (let i = 0; i < symbols.length; i++) counts[symbols[i]]++;
  return sparse(counts);
}

function checkSymbols(symbols: unknown): asserts symbols is Symbols {
  if (!(symbols instanceof Uint8Array || symbols instanceof Uint16Array)) {
    throw new TypeError(`symbols: expected a Uint8Array or a Uint16Array, got ${describe(symbols)}`);
  }
}

/** Maps, each symbol coded by the table of its context. */
function planMaps(symbols: Symbols, shape: MapShape, histogram: Sparse): Plan {
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

function plan(symbols: Symbols, shape?: MapShape): Plan {
  checkSymbols(symbols);
  if (shape !== undefined) {
    neighbourContexts(shape);
    checkMaps(symbols.length, shape);
  }
  const histogram = countSymbols(symbols);
  const present = histogram.symbols.length;
  if (present === 1) return planPlain(symbols, CONSTANT, bytesOf(symbols.slice(0, 1)));
  let best = planPlain(symbols, STORED, bytesOf(symbols));
  if (present === 0 || present > MAX_ALPHABET) return best;
  const single = planStatic(symbols, histogram);
  const coded: Plan[] = [single];
  if (symbols instanceof Uint8Array && symbols.length >= MIN_PAIRED && present <= MAX_PAIRED) {
    coded[0] = worthwhilePairs(symbols, histogram.symbols, single.bits) ?? single;
  }
  if (shape !== undefined) coded.push(planMaps(symbols, shape, histogram));
  for (const candidate of coded) if (candidate.bits < best.bits) best = candidate;
  return best;
}

/**
 * Compresses symbols with a static code of single symbols, or of pairs where these are shorter by 1 % or more; symbols that
 * no code shortens are stored.
 *
 * @param symbols bytes or 16-bit words; at most 4,096 different ones are coded, more are stored
 * @returns a stream for decompress
 * @throws {TypeError}
 */
export function compress(symbols: Symbols): Uint8Array {
  return write(symbols, plan(symbols));
}

/**
 * As compress, with contexts from the neighbours left, above and in the channel before; tables and thresholds are
 * learned from the symbols and stored. Where contexts do not pay, the stream is that of compress.
 *
 * @param symbols one or more maps of height x width x channels, one behind the other
 * @returns a stream for decompressMap
 * @throws {TypeError}, or RangeError when the symbols are not whole maps
 */
export function compressMap(symbols: Symbols, shape: MapShape): Uint8Array {
  return write(symbols, plan(symbols, shape));
}

/**
 * Size in bits of compress(symbols), or with a shape of compressMap(symbols, shape), exactly, without writing it: the kind
 * and its tables are chosen from histograms, and the states walk over the symbols.
 */
export function compressedBits(symbols: Symbols, shape?: MapShape): number {
  const { header, payload } = plan(symbols, shape);
  const coded = payload();
  const rest =
    coded instanceof Uint8Array
      ? 8 * coded.length
      : payloadBits(coded.count, coded.tableLog, coded.tables, coded.source);
  return 8 * (header().bytes.length + 4) + rest;
}
