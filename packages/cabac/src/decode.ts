/**
 * The inverse of encode.ts, decision by decision: `decodeWeights(encodeWeights(integers), integers.length)` are the integers.
 *
 * Bytes that nobody wrote decode to something, too, until they end: the arrays grow with the integers that were decoded, and the
 * end is looked at after every run of a line.
 */
import { corrupt } from "@bitdiet/stream";
import type { Walk, WeightContexts } from "./contexts.js";
import {
  AFTER_SIGN,
  asNeighbour,
  columnRate,
  endRun,
  extended,
  FLAGS,
  flagContext,
  learned,
  lengthContext,
  lowBitContext,
  MAX_RUN,
  scaleClass,
  signContext,
  startRun,
  startWalk,
  weightContexts,
} from "./contexts.js";
import type { RangeDecoder } from "./range-coder.js";
import { decodeBit, finishDecoding, isPastEnd, rangeDecoder, TOP } from "./range-coder.js";
import type { Rows, WeightShape } from "./weights.js";
import { checkedContexts, checkedShape } from "./weights.js";

/**
 * Integers of `encodeWeights`, given the same shape and contexts. Memory and time grow with the bytes, not with `count`.
 *
 * @param count how many integers were encoded; the bytes do not say
 * @param contexts adaptive probabilities that the encoder started from, which learn what it learned; fresh ones by default
 * @throws {CorruptInputError} if the bytes do not end exactly with the last integer
 * @throws {RangeError} if the shape is none of `count` weights
 */
export function decodeWeights(
  bytes: Uint8Array,
  count: number,
  shape: WeightShape = {},
  contexts?: WeightContexts,
): Int32Array {
  return decodePayload(bytes, count, checkedShape(count, shape), checkedContexts(contexts));
}

/**
 * Integers of `encodeWeights` with fresh contexts, for decoders that have checked the shape themselves: the checks of
 * arguments stay out of their bundle.
 *
 * @param shape rows of whole kernels, `count` being a multiple of the row length; not checked
 * @throws {CorruptInputError} if the bytes do not end exactly with the last integer
 */
export function decodeWeightRows(bytes: Uint8Array, count: number, shape: Rows): Int32Array {
  return decodePayload(bytes, count, shape, weightContexts());
}

/** No integer costs less than 0.00052 bits, so this many is the most that a byte can stand for. */
const MAX_PER_BYTE = 16384;

function decodePayload(
  bytes: Uint8Array,
  count: number,
  { rowLength, height, width }: Rows,
  contexts: WeightContexts,
): Int32Array {
  // Up to four zero bytes that the encoder left out may follow.
  if (count > (bytes.length + 4) * MAX_PER_BYTE) corrupt("payload: end");
  const walk = startWalk(rowLength, height, width);
  const coder = rangeDecoder(bytes);
  let integers: Int32Array = new Int32Array(Math.min(count, 2 * MAX_RUN));
  for (let i = 0; i < count; ) {
    const run = startRun(walk);
    if (i + run > integers.length) integers = extended(integers, Math.min(count, 2 * (i + run)));
    decodeRun(coder, contexts, walk, integers, i, i + run);
    if (isPastEnd(coder)) corrupt("payload: end");
    endRun(walk, run);
    i += run;
  }
  finishDecoding(coder);
  return integers;
}

/** The inverse of `encodeRun`, line by line the same. */
function decodeRun(
  coder: RangeDecoder,
  contexts: WeightContexts,
  walk: Walk,
  integers: Int32Array,
  from: number,
  to: number,
): void {
  const { line, columnMeans } = walk;
  const isFirstRow = walk.row === 0;
  const hasUpper = walk.y > 0;
  const rate = columnRate(walk.row);
  let { x, column, rowMean, left, leftSize, corner, cornerSize } = walk;
  let up = hasUpper ? line[x] : 0;
  let upSize = Math.abs(up);
  const { bytes } = coder;
  let { position } = coder;
  let offset = coder.offset >>> 0;
  let range = coder.range >>> 0;
  for (let i = from; i < to; i++, x++, column++) {
    const right = hasUpper ? line[x + 1] : 0;
    const rightSize = Math.abs(right);
    const columnMean = isFirstRow ? rowMean : columnMeans[column];
    const around = 2 * (leftSize + upSize) + cornerSize + rightSize;
    const scale = scaleClass(around + (hasUpper ? 2 : 6) * rowMean, columnMean);
    const expected = 2 * (left + up) - corner;
    let size = 0;
    let at = flagContext(expected, scale);
    let old = contexts[at];
    let bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
    if (offset >= bound) {
      contexts[at] = learned(old, 0);
      offset = (offset - bound) >>> 0;
      range = (range - bound) >>> 0;
    } else {
      contexts[at] = learned(old, 1);
      range = bound;
      while (range < TOP) {
        offset = ((offset << 8) | (position < bytes.length ? bytes[position] : 0)) >>> 0;
        position++;
        range = (range << 8) >>> 0;
      }
      const sign = signContext(expected, scale);
      let isNegative = expected < 0;
      old = contexts[sign];
      bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
      if (offset < bound) {
        contexts[sign] = learned(old, 1);
        range = bound;
        isNegative = !isNegative;
        if (expected !== 0) at += AFTER_SIGN;
      } else {
        contexts[sign] = learned(old, 0);
        offset = (offset - bound) >>> 0;
        range = (range - bound) >>> 0;
        if (expected !== 0) at += 2 * AFTER_SIGN;
      }
      let magnitude = 1;
      for (;;) {
        while (range < TOP) {
          offset = ((offset << 8) | (position < bytes.length ? bytes[position] : 0)) >>> 0;
          position++;
          range = (range << 8) >>> 0;
        }
        if (magnitude === FLAGS) {
          coder.position = position;
          coder.offset = offset | 0;
          coder.range = range | 0;
          magnitude += decodeRemainder(coder, contexts, scale) - 1;
          position = coder.position;
          offset = coder.offset >>> 0;
          range = coder.range >>> 0;
          break;
        }
        old = contexts[++at];
        bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
        if (offset < bound) {
          contexts[at] = learned(old, 1);
          range = bound;
          magnitude++;
        } else {
          contexts[at] = learned(old, 0);
          offset = (offset - bound) >>> 0;
          range = (range - bound) >>> 0;
          break;
        }
      }
      const integer = isNegative ? -magnitude : magnitude;
      integers[i] = integer;
      size = magnitude < FLAGS ? integer << 6 : asNeighbour(integer);
    }
    while (range < TOP) {
      offset = ((offset << 8) | (position < bytes.length ? bytes[position] : 0)) >>> 0;
      position++;
      range = (range << 8) >>> 0;
    }
    line[x] = size;
    corner = up;
    cornerSize = upSize;
    up = right;
    upSize = rightSize;
    left = size;
    leftSize = Math.abs(size);
    columnMeans[column] = columnMean + (((leftSize - columnMean) * rate) >> 8);
    rowMean += (leftSize - rowMean) >> 4;
  }
  coder.position = position;
  coder.offset = offset | 0;
  coder.range = range | 0;
  walk.rowMean = rowMean;
  walk.left = left;
  walk.leftSize = leftSize;
  walk.corner = corner;
  walk.cornerSize = cornerSize;
}

/** The inverse of `encodeRemainder`. */
function decodeRemainder(coder: RangeDecoder, contexts: WeightContexts, scale: number): number {
  let bits = 1;
  while (decodeAdaptively(coder, contexts, lengthContext(scale, bits))) {
    if (++bits === 32) corrupt("payload: end");
  }
  let remainder = 1;
  for (let place = bits - 2; place >= 0; place--) {
    remainder = 2 * remainder + decodeAdaptively(coder, contexts, lowBitContext(bits, place));
  }
  if (remainder > 0x7fffffff - FLAGS + 1) corrupt("payload: end");
  return remainder;
}

function decodeAdaptively(coder: RangeDecoder, contexts: WeightContexts, context: number): number {
  const old = contexts[context];
  const bit = decodeBit(coder, old >>> 16);
  contexts[context] = learned(old, bit);
  return bit;
}
