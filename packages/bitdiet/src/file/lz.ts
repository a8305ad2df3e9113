/**
 * Bytes by what is repeated in them: literals and matches (Ziv and Lempel 1977), each decision a bit that a range coder codes by what
 * came before (as Pavlov's LZMA does). For names, graphs, topologies and tables.
 *
 *     alignment, 0 .. 3 · bits by the range coder, to the end; of which: 0 and a literal, or 1 and a match, until all bytes are there
 */
import { decodeBit, finishDecoding, rangeDecoder } from "@bitdiet/cabac/range-coder";
import { must } from "./errors.js";
import { lzModel } from "./lz-model.js";

/** Literals, and fours of matches, that a coded byte may stand for: what is decoded takes time in proportion to what was coded. */
export const MAX_PER_BYTE = 32;
export const MATCH_WORK = 4;

/** @throws {CorruptInputError} unless `coded` is exactly what stands for some `size` bytes */
export function decodeLz(coded: Uint8Array, size: number): Uint8Array {
  const [alignment] = coded;
  must(alignment <= 3);
  const coder = rangeDecoder(coded.subarray(1));
  const bytes = new Uint8Array(size);
  const model = lzModel(alignment, bytes, (probability) => decodeBit(coder, probability));
  let work = MAX_PER_BYTE * coded.length;
  for (let at = 0; at < size; ) {
    const isMatch = model.isMatch(at, 0);
    work -= isMatch ? MATCH_WORK : 1;
    must(work >= 0);
    if (!isMatch) {
      bytes[at] = model.literal(at, 0);
      at++;
      continue;
    }
    const { length, distance } = model.match(at, { length: 0, place: 0 });
    must(distance <= at && length <= size - at);
    if (distance >= length && length > 32) bytes.copyWithin(at, at - distance, at - distance + length);
    else for (let k = at; k < at + length; k++) bytes[k] = bytes[k - distance];
    at += length;
  }
  finishDecoding(coder);
  return bytes;
}
