/**
 * The inverse of encode-bytes.ts, in a bundle of half the size of decompress: one kind of stream, and no checksum.
 *
 *     decodeBytes(encodeBytes(Uint8Array.of(3, 1, 4, 1, 5)), 5)  // Uint8Array [3, 1, 4, 1, 5]
 */
import { corrupt } from "@bitdiet/stream";
import { type HeaderReader, takeAlignment, takeBits } from "./bit-io.js";
import { checkBytes, checkCount } from "./check.js";
import { denseBytes, type Sparse, takeFrequencies } from "./frequency-table.js";
import { MIN_TABLE_LOG, mostTableLog } from "./normalize.js";
import { bytesDecoder, decodePayload } from "./payload-decode.js";
import { fillDecodeTable } from "./tables.js";

/**
 * Recovers the bytes of encodeBytes. Memory grows as they come out, but a few bytes can stand for any number of equal ones: bound
 * `count` first where it comes from outside.
 *
 * @param count how many bytes were encoded; the code does not say
 * @throws {CorruptInputError} when `coded` does not end exactly with the last of them. Without a checksum, altered bytes may pass
 */
export function decodeBytes(coded: Uint8Array, count: number): Uint8Array {
  checkBytes(coded);
  checkCount(count);
  if (count === 0 && coded.length === 0) return new Uint8Array(0);
  const reader: HeaderReader = { bytes: coded, bit: 0 };
  const tableLog = takeBits(reader, 4);
  // A larger table than the bytes are worth takes longer to build than they do.
  if (tableLog < MIN_TABLE_LOG || tableLog > mostTableLog(count)) corrupt("header: number");
  const table = takeFrequencies(reader, tableLog, 256);
  takeAlignment(reader);
  return decodeStatic(coded.subarray(reader.bit / 8), count, tableLog, table);
}

/** Bytes of one table. @throws {CorruptInputError} when the payload is not exactly that of `count` of them */
export function decodeStatic(
  payload: Uint8Array,
  count: number,
  tableLog: number,
  table: Sparse,
): Uint8Array {
  const decodeTable = new Int32Array(1 << tableLog);
  fillDecodeTable(decodeTable, 0, denseBytes(table), tableLog);
  const stretch = bytesDecoder(decodeTable, count);
  return decodePayload(payload, count, tableLog, (length) => new Uint8Array(length), stretch);
}
