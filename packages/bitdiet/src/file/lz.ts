/**
 * Bytes by what is repeated in them: literals and matches (Ziv and Lempel 1977), each decision a bit that a range coder codes by what
 * came before (as Pavlov's LZMA does). For names, graphs, topologies and tables.
 *
 *     alignment, 0 .. 3 · bits by the range coder, to the end; of which: 0 and a literal, or 1 and a match, until all bytes are there
 */
import { encodeBytes } from "@bitdiet/ans";
import {
  decodeBit,
  encodeBit,
  finishDecoding,
  finishEncoding,
  rangeDecoder,
  rangeEncoder,
} from "@bitdiet/cabac";
import { must } from "./errors.js";
import { lzModel } from "./lz-model.js";
import { type Match, parsed } from "./lz-parse.js";
import { join } from "./numbers.js";

/** Literals, and fours of matches, that a coded byte may stand for: what is decoded takes time in proportion to what was coded. */
const MAX_PER_BYTE = 32;
const MATCH_WORK = 4;

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

/** Longer bytes are parsed only if a sample of them shows that it pays. */
const MAX_UNSAMPLED = 2 ** 17;
const SAMPLE = 2 ** 15;
/** Bytes of an element that are tried: 1 and 4, as powers of two. */
const ALIGNMENTS = [0, 2];

/** @returns undefined where the bytes are too few or too many for it to pay */
export function encodeLz(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 16 || bytes.length >= 2 ** 31) return undefined;
  if (bytes.length > MAX_UNSAMPLED) {
    const middle = ((bytes.length - SAMPLE) >> 4) << 3;
    const sample = bytes.subarray(middle, middle + SAMPLE);
    if (!((shortest(sample)?.length ?? Infinity) < 0.97 * encodeBytes(sample).length)) return undefined;
  }
  return shortest(bytes);
}

function shortest(bytes: Uint8Array): Uint8Array | undefined {
  const matches = parsed(bytes);
  const work = bytes.length + matches.reduce((sum, { length }) => sum + MATCH_WORK - length, 0);
  const coded = ALIGNMENTS.map((alignment) => written(bytes, matches, alignment));
  const best = coded.reduce((a, b) => (b.length < a.length ? b : a));
  return work <= MAX_PER_BYTE * best.length ? best : undefined;
}

function written(bytes: Uint8Array, matches: readonly Match[], alignment: number): Uint8Array {
  const coder = rangeEncoder();
  const model = lzModel(alignment, bytes, (probability, bit) => {
    encodeBit(coder, probability, bit);
    return bit;
  });
  let at = 0;
  const literalsTo = (end: number): void => {
    for (; at < end; at++) {
      model.isMatch(at, 0);
      model.literal(at, bytes[at]);
    }
  };
  for (const match of matches) {
    literalsTo(match.start);
    model.isMatch(at, 1);
    model.match(at, match);
    at += match.length;
  }
  literalsTo(bytes.length);
  return join([[alignment], finishEncoding(coder)]);
}
