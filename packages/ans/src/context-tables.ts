/**
 * Learning which contexts share a table. Starting from a table a context, the two tables are merged that save most
 * when merged - bits of the merged table less the two tables' bits, against the bits their symbols then cost more -
 * until no merge saves anything (and at most 64 are left): so every table that stays pays for itself.
 *
 *     two contexts of 5 symbols each with like histograms share a table; of 5,000 with unlike ones, they do not
 */
import { corrupt, writeNumber } from "@bitdiet/stream";
import { tableLogOf } from "./ans-code.js";
import type { HeaderReader, HeaderWriter } from "./bit-io.js";
import { alignBits, headerWriter, putBits, takeNumber } from "./bit-io.js";
import { checkSymbol } from "./check.js";
import { type Contexts, contextsOf, MAX_CONTEXTS } from "./contexts.js";
import { frequencyTableBits, putFrequencies, sparse } from "./frequency-table.js";
import { log2 } from "./log2.js";
import { MAX_ALPHABET, MAX_TABLE_LOG, normalizeCounts } from "./normalize.js";
import { indexWidth, MAX_TABLES, takeContextTables } from "./take-context-tables.js";

/** Frequency tables and which context uses which. */
export interface ContextTables {
  tableLog: number;
  /** Frequencies over one alphabet, each table's sum 2^tableLog. At most 64 tables. */
  tables: Uint16Array[];
  /** The table of each context. */
  tableOf: Uint8Array;
}

/** @throws {RangeError} or TypeError when tables and contexts do not make a code */
export function checkContextTables({ tableLog, tables, tableOf }: ContextTables, contexts: Contexts): void {
  if (tables.length < 1 || tables.length > MAX_TABLES) {
    throw new RangeError(`tables: expected 1..${MAX_TABLES} tables, got ${tables.length}`);
  }
  tables.forEach((table, i) => {
    const found = tableLogOf(table, `tables[${i}]`);
    if (found !== tableLog)
      throw new RangeError(`tables[${i}]: expected a sum of 2^${tableLog}, got 2^${found}`);
    if (table.length !== tables[0].length) {
      throw new RangeError(
        `tables[${i}]: expected ${tables[0].length} symbols as tables[0] has, got ${table.length}`,
      );
    }
  });
  if (!(Number.isInteger(contexts.count) && contexts.count >= 1 && contexts.count <= MAX_CONTEXTS)) {
    throw new RangeError(`contexts.count: expected 1..${MAX_CONTEXTS}, got ${contexts.count}`);
  }
  if (tableOf.length !== contexts.count) {
    throw new RangeError(
      `tableOf: expected one entry for each of ${contexts.count} contexts, got ${tableOf.length}`,
    );
  }
  const wrong = tableOf.findIndex((table) => table >= tables.length);
  if (wrong >= 0) {
    throw new RangeError(`tableOf[${wrong}]: expected 0..${tables.length - 1}, got ${tableOf[wrong]}`);
  }
}

/** Histograms of the symbols in each context: counts[context * alphabet + symbol]. */
export function contextHistograms(
  symbols: ArrayLike<number>,
  contexts: Contexts,
  alphabet: number,
): Float64Array[] {
  const histograms = Array.from({ length: contexts.count }, () => new Float64Array(alphabet));
  const all = contextsOf(symbols, contexts, alphabet);
  for (let i = 0; i < all.length; i++) histograms[all[i]][symbols[i]]++;
  return histograms;
}

export interface Cluster {
  counts: Float64Array;
  total: number;
  bits: number;
  contexts: number[];
}

/**
 * Bits of symbols with these counts, a + b or only a, at their entropy, and of their table, nearly: length change and
 * mantissa a symbol (see frequency-table.ts). A merge is priced so before it is made.
 */
function clusterBits(a: Float64Array, b: Float64Array | undefined, total: number, tableLog: number): number {
  const logOfTotal = log2(total);
  const scale = tableLog - logOfTotal;
  let bits = total * logOfTotal;
  let last = 0;
  for (let i = 0; i < a.length; i++) {
    const count = b === undefined ? a[i] : a[i] + b[i];
    if (count > 0) {
      const log = log2(count);
      bits += 2 - count * log + Math.max(0, scale + log);
    } else if (last > 0) {
      bits += 4;
    }
    last = count;
  }
  return bits;
}

function clusterOf(counts: Float64Array, contexts: number[], tableLog: number): Cluster {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i];
  return { counts, total, contexts, bits: clusterBits(counts, undefined, total, tableLog) };
}

const mergedBits = (a: Cluster, b: Cluster, tableLog: number): number =>
  clusterBits(a.counts, b.counts, a.total + b.total, tableLog);

function merged(a: Cluster, b: Cluster, tableLog: number): Cluster {
  return clusterOf(
    a.counts.map((count, i) => count + b.counts[i]),
    [...a.contexts, ...b.contexts],
    tableLog,
  );
}

/**
 * How many tables the pairwise search starts from, at least and at most; rarer contexts first join the table that takes
 * them best. Between these, one for each so many symbols: the search should not take longer than coding.
 */
const LEAST_SEARCHED = 32;
const MOST_SEARCHED = 128;
const SYMBOLS_A_TABLE = 1024;

/** Merges contexts with symbols in them; returns the clusters in the order of their first contexts. */
export function mergeContexts(
  histograms: readonly Float64Array[],
  tableLog: number,
  maxTables = MAX_TABLES,
): Cluster[] {
  const clusters = histograms
    .map((counts, context) => clusterOf(counts, [context], tableLog))
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.total - a.total || a.contexts[0] - b.contexts[0]);
  const symbols = clusters.reduce((sum, { total }) => sum + total, 0);
  const searched = Math.min(MOST_SEARCHED, Math.max(LEAST_SEARCHED, Math.floor(symbols / SYMBOLS_A_TABLE)));
  const active = clusters.slice(0, searched);
  for (const small of clusters.slice(searched)) {
    let best = 0;
    let bestExtra = Number.POSITIVE_INFINITY;
    active.forEach((cluster, i) => {
      const extra = mergedBits(cluster, small, tableLog) - cluster.bits;
      if (extra < bestExtra) [best, bestExtra] = [i, extra];
    });
    active[best] = merged(active[best], small, tableLog);
  }
  // saving[i][j], i > j, is kept up to date; a merge changes one row and one column.
  const savingOf = (i: number, j: number): number =>
    active[i].bits + active[j].bits - mergedBits(active[i], active[j], tableLog);
  const saving = active.map((_, i) => Float64Array.from({ length: i }, (_, j) => savingOf(i, j)));
  while (active.length > 1) {
    let [first, second, best] = [0, 0, active.length > maxTables ? Number.NEGATIVE_INFINITY : 0];
    for (let i = 1; i < active.length; i++) {
      for (let j = 0; j < i; j++) if (saving[i][j] > best) [first, second, best] = [j, i, saving[i][j]];
    }
    if (first === second) break;
    active[first] = merged(active[first], active[second], tableLog);
    const last = active.length - 1;
    active[second] = active[last];
    for (let j = 0; j < last; j++) {
      if (j < second) saving[second][j] = saving[last][j];
      else if (j > second) saving[j][second] = saving[last][j];
    }
    active.pop();
    saving.pop();
    for (let j = 0; j < active.length; j++) {
      if (j < first) saving[first][j] = savingOf(first, j);
      else if (j > first) saving[j][first] = savingOf(j, first);
    }
  }
  for (const cluster of active) cluster.contexts.sort((a, b) => a - b);
  return active.sort((a, b) => a.contexts[0] - b.contexts[0]);
}

/**
 * Learns tables from training symbols, to be used as a fixed code on other symbols: every symbol of the alphabet
 * keeps a place in every table (Krichevsky-Trofimov: half a count each), so that anything can be coded.
 *
 * @param symbols training symbols, each 0 .. alphabetSize - 1; for neighbour contexts whole maps
 * @param alphabetSize 1 .. 4,096
 * @param tableLog 1 .. 14; 12 unless given
 */
export function learnContextTables(
  symbols: ArrayLike<number>,
  contexts: Contexts,
  { alphabetSize, tableLog = 12 }: { alphabetSize: number; tableLog?: number },
): ContextTables {
  if (!(Number.isInteger(alphabetSize) && alphabetSize >= 1 && alphabetSize <= MAX_ALPHABET)) {
    throw new RangeError(`alphabetSize: expected an integer 1..${MAX_ALPHABET}, got ${alphabetSize}`);
  }
  for (let i = 0; i < symbols.length; i++) checkSymbol(symbols[i], i, alphabetSize);
  const histograms = contextHistograms(symbols, contexts, alphabetSize);
  const clusters = mergeContexts(histograms, tableLog);
  const all = new Float64Array(alphabetSize);
  for (let i = 0; i < symbols.length; i++) all[symbols[i]]++;
  if (clusters.length === 0) clusters.push(clusterOf(all, [], tableLog));
  const tables = clusters.map(({ counts }) =>
    normalizeCounts(
      counts.map((count) => 2 * count + 1),
      tableLog,
    ),
  );
  // A context that training never met takes the table that codes the whole training data best.
  const costs = tables.map((table) =>
    all.reduce((sum, count, symbol) => sum - count * log2(table[symbol]), 0),
  );
  const tableOf = new Uint8Array(contexts.count).fill(costs.indexOf(Math.min(...costs)));
  clusters.forEach((cluster, table) => {
    for (const context of cluster.contexts) tableOf[context] = table;
  });
  return { tableLog, tables, tableOf };
}

/** Bits that `counts` cost when coded with `table`. */
export function crossEntropyBits(
  counts: ArrayLike<number>,
  table: ArrayLike<number>,
  tableLog: number,
): number {
  let bits = 0;
  for (let i = 0; i < counts.length; i++) if (counts[i] > 0) bits += counts[i] * (tableLog - log2(table[i]));
  return bits;
}

/** Number of tables - 1 (8 bits), the table of each context (as many bits as the greatest needs), the tables. */
export function putContextTables(writer: HeaderWriter, { tableLog, tables, tableOf }: ContextTables): void {
  putBits(writer, tables.length - 1, 8);
  for (const table of tableOf) putBits(writer, table, indexWidth(tables.length));
  for (const table of tables) putFrequencies(writer, sparse(table), tableLog);
  alignBits(writer);
}

/** Bits of putContextTables. */
export function contextTableBits({ tableLog, tables, tableOf }: ContextTables): number {
  const bits = tables.reduce((sum, table) => sum + frequencyTableBits(sparse(table), tableLog), 0);
  return 8 + tableOf.length * indexWidth(tables.length) + bits;
}

/** Tables as bytes, to be shipped beside payloads: what a fixed context code costs in all. */
export function encodeContextTables(tables: ContextTables): Uint8Array {
  checkContextTables(tables, { count: tables.tableOf.length, contextOf: () => 0 });
  const writer = headerWriter();
  writeNumber(writer.bytes, tables.tableLog);
  writeNumber(writer.bytes, tables.tables[0].length);
  writeNumber(writer.bytes, tables.tableOf.length);
  putContextTables(writer, tables);
  return Uint8Array.from(writer.bytes);
}

/** The inverse of encodeContextTables. @throws {CorruptInputError} unless the bytes are exactly such tables */
export function decodeContextTables(bytes: Uint8Array): ContextTables {
  const reader: HeaderReader = { bytes, bit: 0 };
  const tableLog = takeNumber(reader);
  if (tableLog < 1 || tableLog > MAX_TABLE_LOG) corrupt(`tables: table log ${tableLog}`);
  const alphabet = takeNumber(reader);
  if (alphabet < 1 || alphabet > 65536) corrupt(`tables: an alphabet of ${alphabet} symbols`);
  const contexts = takeNumber(reader);
  if (contexts < 1 || contexts > MAX_CONTEXTS) corrupt(`tables: ${contexts} contexts`);
  const { tables, tableOf } = takeContextTables(reader, contexts, tableLog, alphabet);
  if (reader.bit !== bytes.length * 8) corrupt("tables: bytes left over");
  return {
    tableLog,
    tableOf,
    tables: tables.map(({ symbols, counts }) => {
      const table = new Uint16Array(alphabet);
      symbols.forEach((symbol, i) => {
        table[symbol] = counts[i];
      });
      return table;
    }),
  };
}
