/**
 * Bytes to literals and matches: the other side of lz.ts.
 *
 *     encodeLz(new TextEncoder().encode("abcabcabcabcabcabc"));   // 6 bytes
 */
import { encodeBytes } from "@bitdiet/ans";
import { encodeBit, finishEncoding, rangeEncoder } from "@bitdiet/cabac";
import { MATCH_WORK, MAX_PER_BYTE } from "./lz.js";
import { lzModel } from "./lz-model.js";
import { type Match, parsed } from "./lz-parse.js";
import { join } from "./numbers.js";

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
