/**
 * tANS with a table a context, over one state range: a symbol's table follows from symbols before it, its state
 * only from the bits, so states can stay interleaved. The payload is that of payload.ts.
 *
 *     const contexts = neighbourContexts({ height: 32, width: 32, channels: 16 });
 *     const code = contextAnsCode(learnContextTables(training, contexts, { alphabetSize: 16 }), contexts);
 */
import type { AnsCode } from "./ans-code.js";
import { checkBytes, checkCount, checkSymbol } from "./check.js";
import { type ContextTables, checkContextTables } from "./context-tables.js";
import {
  type CallerContexts,
  type Contexts,
  checkedContext,
  checkMaps,
  contextsOf,
  inCodingOrder,
} from "./contexts.js";
import { decodeMaps } from "./neighbour-decoder.js";
import { stateCount } from "./payload.js";
import { type DecodeStretch, decodePayload } from "./payload-decode.js";
import { encodePayload, payloadBits, type SlotsOf } from "./payload-encode.js";
import { contextDecodeTable, type DecodeTable, type EncodeTables, encodeTables } from "./tables.js";

function callerDecoder(
  table: DecodeTable,
  tables: ContextTables,
  values: Uint16Array,
  contexts: CallerContexts,
  count: number,
): DecodeStretch<Uint8Array | Uint16Array> {
  const mask = stateCount(count) - 1;
  const starts = Int32Array.from(tables.tableOf, (index) => index << tables.tableLog);
  return (reader, out, from, to) => {
    const { view, states, end } = reader;
    let { position } = reader;
    for (let i = from; i < to && position <= end; i++) {
      const entry = table[starts[checkedContext(contexts, out, i)] + states[i & mask]];
      const word = view.getInt32(position >>> 3, true) >>> (position & 7);
      states[i & mask] = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
      position = (position + (entry & 31)) | 0;
      out[i] = values[entry >>> 20];
    }
    reader.position = position;
  };
}

/** The symbols that any of the tables has, and the tables over these symbols alone. */
function compactTables(tables: readonly ArrayLike<number>[]): {
  values: Uint16Array;
  compact: Uint16Array[];
} {
  const present: number[] = [];
  for (let symbol = 0; symbol < tables[0].length; symbol++) {
    if (tables.some((table) => table[symbol] > 0)) present.push(symbol);
  }
  if (present.length > 4096)
    throw new RangeError(`tables: expected at most 4096 symbols in all, got ${present.length}`);
  return {
    values: Uint16Array.from(present),
    compact: tables.map((table) => Uint16Array.from(present, (symbol) => table[symbol])),
  };
}

/**
 * A fixed code: tables and contexts known to both sides, no header.
 *
 * @param tables from learnContextTables, or any frequencies of one alphabet that each sum to 2^tableLog
 * @param contexts from neighbourContexts, or a caller's own: { count, contextOf(symbols, index) }
 * @returns encode, decode and encodedBits as ansCode has them; for neighbour contexts of whole maps only
 * @throws {RangeError} when tables and contexts do not fit each other
 */
export function contextAnsCode(tables: ContextTables, contexts: Contexts): AnsCode {
  checkContextTables(tables, contexts);
  const { tableLog, tableOf } = tables;
  const alphabet = tables.tables[0].length;
  const { values, compact } = compactTables(tables.tables);
  const indexOf = new Int32Array(alphabet).fill(-1);
  values.forEach((symbol, index) => {
    indexOf[symbol] = index;
  });
  let encoder: EncodeTables | undefined;
  let decoder: DecodeTable | undefined;

  /** The slot of each symbol, in the order of coding. */
  const orderedSlots = (symbols: ArrayLike<number>): SlotsOf => {
    for (let i = 0; i < symbols.length; i++) checkSymbol(symbols[i], i, alphabet);
    const all = contextsOf(symbols, contexts, alphabet);
    const natural = new Int32Array(symbols.length);
    for (let i = 0; i < symbols.length; i++) {
      const table = tableOf[all[i]];
      const index = indexOf[symbols[i]];
      if (index < 0 || compact[table][index] === 0) {
        throw new RangeError(
          `symbols[${i}]: expected a symbol of frequency > 0 in its context, got ${symbols[i]}`,
        );
      }
      natural[i] = table * values.length + index;
    }
    const ordered = "contextOf" in contexts ? natural : inCodingOrder(natural, contexts);
    return (slots, from, to) => slots.set(ordered.subarray(from, to));
  };

  return {
    encode(symbols) {
      encoder ??= encodeTables(compact, tableLog);
      return encodePayload(symbols.length, tableLog, encoder, orderedSlots(symbols));
    },
    decode(bytes, count) {
      checkBytes(bytes);
      checkCount(count);
      decoder ??= contextDecodeTable(compact, tableLog);
      const allocate = (length: number): Uint8Array | Uint16Array =>
        alphabet <= 256 ? new Uint8Array(length) : new Uint16Array(length);
      if ("contextOf" in contexts) {
        const decode = callerDecoder(decoder, tables, values, contexts, count);
        return decodePayload(bytes, count, tableLog, allocate, decode);
      }
      checkMaps(count, contexts);
      return decodeMaps(bytes, count, decoder, tables, values, contexts, allocate);
    },
    encodedBits(symbols) {
      encoder ??= encodeTables(compact, tableLog);
      return payloadBits(symbols.length, tableLog, encoder, orderedSlots(symbols));
    },
  };
}
