/**
 * A stream to be: its size by histograms alone, which is enough to choose by, and what writes it.
 *
 *     planPlain(symbols, STORED, bytesOf(symbols)).bits
 */
import { numberBytes, writeNumber } from "@bitdiet/stream";
import { type HeaderWriter, headerWriter } from "./bit-io.js";
import type { SlotsOf } from "./payload-encode.js";
import { MAGIC, type Symbols, WIDE } from "./stream.js";
import type { EncodeTables } from "./tables.js";

/** A payload to be: what encodePayload takes. */
export interface Coded {
  count: number;
  tableLog: number;
  tables: EncodeTables;
  source: Uint8Array | SlotsOf;
}

/** A stream to be. */
export interface Plan {
  /** Its size by the histogram alone, which is enough to choose by. */
  bits: number;
  header: () => HeaderWriter;
  payload: () => Uint8Array | Coded;
}

export function startHeader(kind: number, tableLog: number, symbols: Symbols): HeaderWriter {
  const writer = headerWriter();
  writer.bytes.push(MAGIC, kind | (symbols instanceof Uint16Array ? WIDE : 0) | (tableLog << 4));
  writeNumber(writer.bytes, symbols.length);
  return writer;
}

/** Bits of magic, kind, count and checksum. */
export const fixedBits = (symbols: Symbols): number => 8 * (6 + numberBytes(symbols.length));

export function planPlain(symbols: Symbols, kind: number, payload: Uint8Array): Plan {
  return {
    bits: fixedBits(symbols) + 8 * payload.length,
    header: () => startHeader(kind, 0, symbols),
    payload: () => payload,
  };
}
