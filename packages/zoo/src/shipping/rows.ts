// Quantized activations of a Transformer as bytes and back: rows of channels, one row a token, each channel with the tANS
// table that fits it. Channels with like histograms share a table, so that tables stay small (see learnContextTables).
// Example: of 128 channels of LayerNorm's output most have one table, the few with outliers another.
import { contextAnsCode, encodeContextTables, learnContextTables } from "@bitdiet/ans";
import { countSymbols, shannonEntropy } from "@bitdiet/huffman";

/** What one activation cost over all texts. */
export interface CodedRows {
  name: string;
  values: number;
  /** How often each level occurs. */
  counts: number[];
  /** Order-0 Shannon entropy of the levels, bits per value; codes that know channels get below it. */
  levelEntropy: number;
  /** As written, in bytes. */
  payloadBytes: number;
  /** The code's tables, learned on training data, in bytes. */
  tableBytes: number;
}

/** A code that counts what passes. */
export interface RowCoder {
  /** Writes whole rows and reads them back. @returns as decoded */
  pass(symbols: Uint8Array): Uint8Array;
  total(): CodedRows;
}

/** The decoder's table of 4,096 entries stays in the first-level cache. */
const TABLE_LOG = 12;

/**
 * Learns an activation's code. Every symbol of the alphabet can be coded, also those that training lacks.
 *
 * @param training symbols of whole rows
 * @param channels symbols a row, at most 4,096
 * @param alphabetSize symbols are 0 .. alphabetSize - 1, at most 256
 */
export function learnRowCoder(
  name: string,
  training: Uint8Array,
  channels: number,
  alphabetSize: number,
): RowCoder {
  const contexts = { count: channels, contextOf: (_: ArrayLike<number>, index: number) => index % channels };
  const tables = learnContextTables(training, contexts, { alphabetSize, tableLog: TABLE_LOG });
  const code = contextAnsCode(tables, contexts);
  const counts = new Float64Array(alphabetSize);
  let payloadBytes = 0;
  return {
    pass(symbols) {
      const bytes = code.encode(symbols);
      countSymbols(symbols, alphabetSize).forEach((count, symbol) => {
        counts[symbol] += count;
      });
      payloadBytes += bytes.length;
      return code.decode(bytes, symbols.length) as Uint8Array;
    },
    total: () => ({
      name,
      values: counts.reduce((sum, count) => sum + count, 0),
      counts: [...counts],
      levelEntropy: shannonEntropy(counts),
      payloadBytes,
      tableBytes: encodeContextTables(tables).length,
    }),
  };
}
