/**
 * Decompression of the streams of compressMap.
 *
 *     decompressMap(compressMap(map, { height: 32, width: 32, channels: 16 }))  // the map's symbols
 */
import { corrupt } from "@bitdiet/stream";
import { type HeaderReader, takeNumber } from "./bit-io.js";
import { MAX_THRESHOLDS, type NeighbourContexts, neighbourContexts } from "./contexts.js";
import { readStream, type TakeMaps } from "./decompress.js";
import { decodeMaps } from "./neighbour-decoder.js";
import { MAX_ALPHABET } from "./normalize.js";
import type { Symbols } from "./stream.js";
import { contextDecodeTable } from "./tables.js";
import { takeContextTables } from "./take-context-tables.js";

/**
 * Recovers the symbols of compressMap and of compress. As decompress otherwise; apart from it, because its code is as
 * large again.
 *
 * @throws {CorruptInputError} when the bytes are not exactly one whole stream, or it claims more than maxLength symbols
 */
export function decompressMap(bytes: Uint8Array, options: { maxLength?: number } = {}): Symbols {
  return readStream(bytes, options, takeMaps);
}

const takeMaps: TakeMaps = ({ reader, count, tableLog, limit, allocate }) => {
  const contexts = takeContexts(reader, count);
  const { tables, tableOf } = takeContextTables(reader, contexts.count, tableLog, limit);
  const values = Uint16Array.from(new Set(tables.flatMap(({ symbols }) => Array.from(symbols)))).sort();
  if (values.length > MAX_ALPHABET) corrupt(`tables: more than ${MAX_ALPHABET} symbols`);
  return (payload) => {
    const indexOf = new Map(Array.from(values, (value, index) => [value, index]));
    const compact = tables.map(({ symbols, counts }) => {
      const frequencies = new Uint16Array(values.length);
      symbols.forEach((symbol, i) => {
        frequencies[indexOf.get(symbol)!] = counts[i];
      });
      return frequencies;
    });
    const table = contextDecodeTable(compact, tableLog);
    return decodeMaps(payload, count, table, { tableLog, tableOf }, values, contexts, allocate);
  };
};

/** Height, width, channels, zero, the number of thresholds, the thresholds. */
function takeContexts(reader: HeaderReader, count: number): NeighbourContexts {
  const [height, width, channels, zero, classes] = Array.from({ length: 5 }, () => takeNumber(reader));
  if (!(height * width * channels > 0 && count % (height * width * channels) === 0)) {
    corrupt(`header: ${count} symbols are not whole maps of ${height} x ${width} x ${channels}`);
  }
  if (classes > MAX_THRESHOLDS) corrupt(`header: ${classes} thresholds`);
  const thresholds = Array.from({ length: classes }, () => takeNumber(reader));
  try {
    return neighbourContexts({ height, width, channels, zero, thresholds });
  } catch (error) {
    return corrupt(`header: ${(error as Error).message}`);
  }
}
