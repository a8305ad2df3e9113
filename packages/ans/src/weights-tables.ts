/**
 * Decoding tables of the frozen frequencies, one set a kind and profile: 49 or 200 tables of 2^10 words.
 *
 * A word is as in tables.ts, but for the symbol, which is the signed value it stands for. Values that need more bits from elsewhere have
 * RARE added: the escape, and all of scales beyond the last octave, whose tables are those of the octave and class before.
 */
import { fillDecodeTable } from "./tables.js";
import { EXPECTED_CLASSES, OCTAVES, TABLE_LOG, ZERO_SYMBOL } from "./weights-contexts.js";
import { byProfile, frozenTable } from "./weights-frozen.js";

/** No value is as large. */
export const RARE = 512;
/** What the escape's word says. */
export const ESCAPE = RARE - ZERO_SYMBOL;
/** Octaves of scale up to that of the largest mean, 63. */
const ALL_OCTAVES = 12;

/** The table that one of a scale `beyond` octaves after the last stands for: as many octaves and classes before. */
export function ownTable(isMatrix: boolean, table: number, beyond: number): number {
  if (isMatrix) return table - 4 * beyond;
  const expected = table % EXPECTED_CLASSES;
  return table - 2 * EXPECTED_CLASSES * beyond - Math.min(beyond, expected);
}

export interface FrozenTables {
  words: Int32Array;
  /** The largest magnitude without an escape, of each table with `OCTAVES` octaves. */
  limits: Uint8Array;
}

/** Tables an octave of scale. */
const octaveOf = (isMatrix: boolean) => (isMatrix ? 4 : 2 * EXPECTED_CLASSES);

/** Numbers of words and of limits. */
export function sizeOfTables(isMatrix: boolean): { words: number; limits: number } {
  const octave = octaveOf(isMatrix);
  return {
    words: (ALL_OCTAVES * octave + (isMatrix ? 1 : EXPECTED_CLASSES)) << TABLE_LOG,
    limits: OCTAVES * octave,
  };
}

export const frozenTables = /* @__PURE__ */ byProfile((isMatrix, profile): FrozenTables => {
  const { words, limits } = sizeOfTables(isMatrix);
  const tables = { words: new Int32Array(words), limits: new Uint8Array(limits) };
  fillTables(tables, isMatrix, profile);
  return tables;
});

/** @param tables as large as `sizeOfTables` says */
export function fillTables({ words, limits }: FrozenTables, isMatrix: boolean, profile: number): void {
  const classes = isMatrix ? 1 : EXPECTED_CLASSES;
  const octave = octaveOf(isMatrix);
  for (let table = 0; table < limits.length; table++) {
    const { frequencies, limit } = frozenTable(
      isMatrix,
      profile,
      Math.floor(table / classes),
      table % classes,
    );
    limits[table] = limit;
    fillDecodeTable(words, table << TABLE_LOG, frequencies, TABLE_LOG);
  }
  const end = limits.length << TABLE_LOG;
  for (let at = 0; at < end; at++) {
    const isEscape = words[at] >>> 20 === 0;
    words[at] += ((isEscape ? ESCAPE : -ZERO_SYMBOL) << 20) | 0;
  }
  for (let table = limits.length; table << TABLE_LOG < words.length; table++) {
    // A scale an octave larger, a class of expected values further.
    const from = (table - octave - (table % classes > 0 ? 1 : 0)) << TABLE_LOG;
    for (let slot = 0; slot < 1 << TABLE_LOG; slot++) {
      const word = words[from + slot];
      words[(table << TABLE_LOG) + slot] = word >> 20 >= ESCAPE ? word : (word + (RARE << 20)) | 0;
    }
  }
}
