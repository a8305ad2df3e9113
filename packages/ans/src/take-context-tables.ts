/**
 * Reading the tables of a context code, apart from their learning so that a decoder's bundle stays small.
 *
 *     number of tables - 1 (8 bits) | table of each context | tables as in frequency-table.ts | zeros to a full byte
 */
import { corrupt } from "@bitdiet/stream";
import { type HeaderReader, takeAlignment, takeBits } from "./bit-io.js";
import { takeFrequencies } from "./frequency-table.js";

/** Bounds what a decoder allocates for tables: 64 of 2^14 words are 4 MiB. */
export const MAX_TABLES = 64;

/** Bits of a table's number. */
export const indexWidth = (tables: number): number => 32 - Math.clz32(tables - 1);

/** Tables as they are read: each has only its own symbols. */
export function takeContextTables(reader: HeaderReader, contexts: number, tableLog: number, limit: number) {
  const count = takeBits(reader, 8) + 1;
  if (count > MAX_TABLES) corrupt(`tables: ${count} tables`);
  const tableOf = new Uint8Array(contexts);
  for (let context = 0; context < contexts; context++) {
    tableOf[context] = takeBits(reader, indexWidth(count));
    if (tableOf[context] >= count) corrupt(`tables: table ${tableOf[context]} of ${count}`);
  }
  const tables = Array.from({ length: count }, () => takeFrequencies(reader, tableLog, limit));
  takeAlignment(reader);
  return { tables, tableOf };
}
