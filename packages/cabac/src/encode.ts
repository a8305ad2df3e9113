/**
 * Signed integers as binary decisions, as in DeepCABAC (Wiedemann et al., arXiv 1907.11900, section III): is it zero? its
 * sign, is the magnitude above 1, above 2, … above 9?, and what remains as an exp-Golomb number.
 *
 *     -3 = not zero · negative · above 1 · above 2 · not above 3                    5 decisions
 *     14 = not zero · positive · above 1 … above 9 · remainder 4 = 100b: longer than 1, than 2, not than 3 bits · 0 · 0
 *
 * Every decision has its context (contexts.ts) and goes through the range coder with the probability that it gives.
 */
import type { Walk, WeightContexts } from "./contexts.js";
import {
  AFTER_SIGN,
  asNeighbour,
  columnRate,
  endRun,
  FLAGS,
  flagContext,
  learned,
  lengthContext,
  lowBitContext,
  scaleClass,
  signContext,
  startRun,
  startWalk,
} from "./contexts.js";
import type { RangeEncoder } from "./range-coder.js";
import { carry, encodeBit, finishEncoding, rangeEncoder, reserve, TOP } from "./range-coder.js";
import type { Integers, WeightShape } from "./weights.js";
import { checkedContexts, checkedIntegers, checkedShape } from "./weights.js";

/** No integer takes more: 72 decisions of at most 11.5 bits. */
const MAX_BYTES_PER_INTEGER = 112;

/**
 * Codes a tensor of quantized weights row by row: the payload alone, without any header or checksum.
 * The decoder must know the count, the shape and the contexts.
 *
 * @param integers -(2^31 - 1) .. 2^31 - 1, small ones being cheap
 * @param contexts adaptive probabilities to start from, which learn from these integers; fresh ones by default
 * @returns the bytes, 0 for no integers
 * @throws {RangeError} if an integer is -2^31 or the shape does not divide the integers
 */
export function encodeWeights(
  integers: Integers,
  shape: WeightShape = {},
  contexts?: WeightContexts,
): Uint8Array {
  const { rowLength, height, width } = checkedShape(integers.length, shape);
  const learning = checkedContexts(contexts);
  const values = checkedIntegers(integers);
  const walk = startWalk(rowLength, height, width);
  const coder = rangeEncoder();
  for (let i = 0; i < values.length; ) {
    const run = startRun(walk);
    reserve(coder, run * MAX_BYTES_PER_INTEGER);
    encodeRun(coder, learning, walk, values, i, i + run);
    endRun(walk, run);
    i += run;
  }
  return finishEncoding(coder);
}

/**
 * Codes integers[from .. to) along a line of the plane. `encodeBit` is written out for the kinds of decisions that nearly all
 * integers consist of, and all that changes is in local variables: that doubles the speed.
 */
function encodeRun(
  coder: RangeEncoder,
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
  let { length, low } = coder;
  let range = coder.range >>> 0;
  for (let i = from; i < to; i++, x++, column++) {
    const right = hasUpper ? line[x + 1] : 0;
    const rightSize = Math.abs(right);
    const columnMean = isFirstRow ? rowMean : columnMeans[column];
    const around = 2 * (leftSize + upSize) + cornerSize + rightSize;
    const scale = scaleClass(around + (hasUpper ? 2 : 6) * rowMean, columnMean);
    const expected = 2 * (left + up) - corner;
    const integer = integers[i];
    const magnitude = Math.abs(integer);
    let size = integer << 6;
    let at = flagContext(expected, scale);
    let old = contexts[at];
    let bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
    if (integer === 0) {
      contexts[at] = learned(old, 0);
      low = (low + bound) | 0;
      if (low >>> 0 < bound) carry(bytes, length);
      range = (range - bound) >>> 0;
    } else {
      contexts[at] = learned(old, 1);
      range = bound;
      while (range < TOP) {
        bytes[length++] = low >>> 24;
        low <<= 8;
        range = (range << 8) >>> 0;
      }
      const sign = signContext(expected, scale);
      old = contexts[sign];
      bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
      if ((integer ^ expected) < 0) {
        contexts[sign] = learned(old, 1);
        range = bound;
        if (expected !== 0) at += AFTER_SIGN;
      } else {
        contexts[sign] = learned(old, 0);
        low = (low + bound) | 0;
        if (low >>> 0 < bound) carry(bytes, length);
        range = (range - bound) >>> 0;
        if (expected !== 0) at += 2 * AFTER_SIGN;
      }
      for (let k = 1; ; k++) {
        while (range < TOP) {
          bytes[length++] = low >>> 24;
          low <<= 8;
          range = (range << 8) >>> 0;
        }
        if (k === FLAGS) {
          coder.length = length;
          coder.low = low;
          coder.range = range | 0;
          encodeRemainder(coder, contexts, scale, magnitude - FLAGS + 1);
          ({ length, low } = coder);
          range = coder.range >>> 0;
          size = asNeighbour(integer);
          break;
        }
        old = contexts[++at];
        bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
        if (magnitude > k) {
          contexts[at] = learned(old, 1);
          range = bound;
        } else {
          contexts[at] = learned(old, 0);
          low = (low + bound) | 0;
          if (low >>> 0 < bound) carry(bytes, length);
          range = (range - bound) >>> 0;
          break;
        }
      }
    }
    while (range < TOP) {
      bytes[length++] = low >>> 24;
      low <<= 8;
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
  coder.length = length;
  coder.low = low;
  coder.range = range | 0;
  walk.rowMean = rowMean;
  walk.left = left;
  walk.leftSize = leftSize;
  walk.corner = corner;
  walk.cornerSize = cornerSize;
}

/** An exp-Golomb code of a number from 1 on: how many bits it has, and those below the highest. */
function encodeRemainder(
  coder: RangeEncoder,
  contexts: WeightContexts,
  scale: number,
  remainder: number,
): void {
  const bits = 32 - Math.clz32(remainder);
  for (let n = 1; n <= bits; n++)
    encodeAdaptively(coder, contexts, lengthContext(scale, n), n < bits ? 1 : 0);
  for (let place = bits - 2; place >= 0; place--) {
    encodeAdaptively(coder, contexts, lowBitContext(bits, place), (remainder >>> place) & 1);
  }
}

function encodeAdaptively(coder: RangeEncoder, contexts: WeightContexts, context: number, bit: number): void {
  const old = contexts[context];
  encodeBit(coder, old >>> 16, bit);
  contexts[context] = learned(old, bit);
}
