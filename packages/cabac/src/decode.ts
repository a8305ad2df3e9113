/**
 * The inverse of encode.ts, decision by decision: `decodeWeights(encodeWeights(levels), levels.length)` are the levels.
 *
 * Bytes that nobody wrote decode to something, too, until they end: the arrays grow with the levels that were decoded, and the
 * end is looked at after every run of a line.
 */
import type { Walk, WeightContexts } from "./contexts.js";
import {
  AFTER_SIGN,
  asNeighbour,
  columnRate,
  endRun,
  extended,
  FLAGS,
  flagContext,
  LONGEST_RUN,
  learned,
  lengthContext,
  lowBitContext,
  scaleClass,
  signContext,
  startRun,
  startWalk,
  weightContexts,
} from "./contexts.js";
import { CorruptInputError } from "./errors.js";
import type { RangeDecoder } from "./range-coder.js";
import { decodeBit, finishDecoding, isPastEnd, rangeDecoder, TOP } from "./range-coder.js";
import type { WeightOptions } from "./weights.js";
import { checkedOptions } from "./weights.js";

/**
 * The inverse of `encodeWeights`, given the same options.
 * @throws CorruptInputError if the bytes do not end exactly with the last level
 */
export function decodeWeights(bytes: Uint8Array, count: number, options: WeightOptions = {}): Int32Array {
  const { contexts, rowLength, height, width } = checkedOptions(count, options);
  return decodePayload(bytes, count, contexts, startWalk(rowLength, height, width));
}

/**
 * The same with fresh contexts, for decoders that have checked the shape themselves: `decodeWeights` without its checks of arguments,
 * which then stay out of a bundle.
 *
 * @param count levels, a multiple of rowLength
 * @param rowLength a multiple of kernelHeight * kernelWidth; all are above 0
 * @throws CorruptInputError if the bytes do not end exactly with the last level
 */
export function decodeWeightRows(
  bytes: Uint8Array,
  count: number,
  rowLength: number,
  kernelHeight: number,
  kernelWidth: number,
): Int32Array {
  return decodePayload(bytes, count, weightContexts(), startWalk(rowLength, kernelHeight, kernelWidth));
}

/** The same from the start of a tensor whose shape is known to be valid. */
function decodePayload(bytes: Uint8Array, count: number, contexts: WeightContexts, walk: Walk): Int32Array {
  const coder = rangeDecoder(bytes);
  let levels: Int32Array = new Int32Array(Math.min(count, 2 * LONGEST_RUN));
  for (let i = 0; i < count; ) {
    const run = startRun(walk);
    if (i + run > levels.length) levels = extended(levels, Math.min(count, 2 * (i + run)));
    decodeRun(coder, contexts, walk, levels, i, i + run);
    if (isPastEnd(coder)) throw new CorruptInputError("The payload is cut or changed");
    endRun(walk, run);
    i += run;
  }
  finishDecoding(coder);
  return levels;
}

/** The inverse of `encodeRun`, line by line the same. */
function decodeRun(
  coder: RangeDecoder,
  contexts: WeightContexts,
  walk: Walk,
  levels: Int32Array,
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
      const level = isNegative ? -magnitude : magnitude;
      levels[i] = level;
      size = magnitude < FLAGS ? level << 6 : asNeighbour(level);
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
    if (++bits === 32) throw new CorruptInputError("The payload is cut or changed");
  }
  let remainder = 1;
  for (let place = bits - 2; place >= 0; place--) {
    remainder = 2 * remainder + decodeAdaptively(coder, contexts, lowBitContext(bits, place));
  }
  if (remainder > 0x7fffffff - FLAGS + 1) throw new CorruptInputError("The payload is cut or changed");
  return remainder;
}

function decodeAdaptively(coder: RangeDecoder, contexts: WeightContexts, context: number): number {
  const old = contexts[context];
  const bit = decodeBit(coder, old >>> 16);
  contexts[context] = learned(old, bit);
  return bit;
}
