/**
 * Signed integers as binary decisions, as in DeepCABAC (Wiedemann et al., arXiv 1907.11900, section III): is it zero? its
 * sign, is the magnitude above 1, above 2, … above 9?, and what remains as an exp-Golomb number.
 *
 *     -3 = not zero · negative · above 1 · above 2 · not above 3                    5 decisions
 *     14 = not zero · positive · above 1 … above 9 · remainder 4 = 100b: longer than 1, than 2, not than 3 bits · 0 · 0
 *
 * Every decision has its contexts (contexts.ts) and goes through the range coder with the probability that they give.
 */
import type { Walk, WeightContexts } from "./contexts.js";
import {
  AFTER_SIGN,
  areContexts,
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
import type { RangeDecoder, RangeEncoder } from "./range-coder.js";
import {
  carry,
  decodeBit,
  encodeBit,
  finishDecoding,
  finishEncoding,
  isPastEnd,
  rangeDecoder,
  rangeEncoder,
  reserve,
  TOP,
} from "./range-coder.js";

export type Levels = Int8Array | Int16Array | Int32Array;

export interface WeightShape {
  /** Weights in one row (one output channel); all rows are equally long. Default: one row. */
  rowLength?: number;
  /** Height and width of the kernels that rows consist of, e.g. [3, 3] for OIHW convolutions. Default: [1, 1]. */
  kernel?: readonly [number, number];
}

export interface WeightOptions extends WeightShape {
  /** Adaptive probabilities to start from and to leave the learned ones in. Default: fresh ones, `weightContexts()`. */
  contexts?: WeightContexts;
}

/** No level takes more: 72 decisions of at most 11.5 bits. */
const MOST_BYTES_A_LEVEL = 112;

/**
 * Codes a tensor of quantized weights row by row: the payload alone, without any header or checksum.
 * The decoder must know the count, the shape and the contexts.
 *
 * @param levels -(2^31 - 1) .. 2^31 - 1, small ones being cheap
 * @returns the bytes, 0 for no levels
 * @throws RangeError if a level is -2^31 or the shape does not divide the levels
 */
export function encodeWeights(levels: Levels, options: WeightOptions = {}): Uint8Array {
  const { contexts, rowLength, height, width } = checkedOptions(levels.length, options);
  const values = checkedLevels(levels);
  const walk = startWalk(rowLength, height, width);
  const coder = rangeEncoder();
  for (let i = 0; i < values.length; ) {
    const run = startRun(walk);
    reserve(coder, run * MOST_BYTES_A_LEVEL);
    encodeRun(coder, contexts, walk, values, i, i + run);
    endRun(walk, run);
    i += run;
  }
  return finishEncoding(coder);
}

/**
 * Codes levels[from .. to) along a line of the plane. `encodeBit` is written out for the kinds of decisions that nearly all
 * levels consist of, and all that changes is in local variables: that doubles the speed.
 */
function encodeRun(
  coder: RangeEncoder,
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
  let { length, low } = coder;
  let range = coder.range >>> 0;
  for (let i = from; i < to; i++, x++, column++) {
    const right = hasUpper ? line[x + 1] : 0;
    const rightSize = Math.abs(right);
    const columnMean = isFirstRow ? rowMean : columnMeans[column];
    const around = 2 * (leftSize + upSize) + cornerSize + rightSize;
    const scale = scaleClass(around + (hasUpper ? 2 : 6) * rowMean, columnMean);
    const expected = 2 * (left + up) - corner;
    const level = levels[i];
    const magnitude = Math.abs(level);
    let size = level << 6;
    let at = flagContext(expected, scale);
    let old = contexts[at];
    let bound = Math.imul(range >>> 16, old >>> 16) >>> 0;
    if (level === 0) {
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
      if ((level ^ expected) < 0) {
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
          size = asNeighbour(level);
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

function encodeRemainder(
  coder: RangeEncoder,
  contexts: WeightContexts,
  scale: number,
  remainder: number,
): void {
  const bits = 32 - Math.clz32(remainder);
  const code = (context: number, bit: number) => {
    encodeBit(coder, contexts[context] >>> 16, bit);
    contexts[context] = learned(contexts[context], bit);
  };
  for (let n = 1; n <= bits; n++) code(lengthContext(scale, n), n < bits ? 1 : 0);
  for (let place = bits - 2; place >= 0; place--) code(lowBitContext(bits, place), (remainder >>> place) & 1);
}

/**
 * The inverse of `encodeWeights`, given the same options.
 * @throws CorruptInputError if the bytes do not end exactly with the last level
 */
export function decodeWeights(bytes: Uint8Array, count: number, options: WeightOptions = {}): Int32Array {
  const { contexts, rowLength, height, width } = checkedOptions(count, options);
  return decodePayload(bytes, count, contexts, startWalk(rowLength, height, width));
}

/** The same from the start of a tensor whose shape is known to be valid. */
export function decodePayload(
  bytes: Uint8Array,
  count: number,
  contexts: WeightContexts,
  walk: Walk,
): Int32Array {
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

function decodeRemainder(coder: RangeDecoder, contexts: WeightContexts, scale: number): number {
  const decode = (context: number) => {
    const bit = decodeBit(coder, contexts[context] >>> 16);
    contexts[context] = learned(contexts[context], bit);
    return bit;
  };
  let bits = 1;
  while (decode(lengthContext(scale, bits))) {
    if (++bits === 32) throw new CorruptInputError("The payload is cut or changed");
  }
  let remainder = 1;
  for (let place = bits - 2; place >= 0; place--)
    remainder = 2 * remainder + decode(lowBitContext(bits, place));
  if (remainder > 0x7fffffff - FLAGS + 1) throw new CorruptInputError("The payload is cut or changed");
  return remainder;
}

/** The levels as 32-bit integers. */
export function checkedLevels(levels: Levels): Int32Array {
  if (levels instanceof Int8Array || levels instanceof Int16Array) return new Int32Array(levels);
  if (!(levels instanceof Int32Array)) {
    throw new TypeError(`levels: expected an Int8Array, Int16Array or Int32Array, got ${typeof levels}`);
  }
  const least = levels.indexOf(-(2 ** 31));
  if (least >= 0)
    throw new RangeError(`levels: expected -(2^31 - 1) to 2^31 - 1, got -2^31 at index ${least}`);
  return levels;
}

/** @throws RangeError if the shape is none of `count` weights */
export function checkedOptions(count: number, options: WeightOptions) {
  const { kernel = [1, 1], contexts = weightContexts() } = options;
  const [height, width] = kernel;
  const rowLength = options.rowLength ?? (count || height * width);
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`count: expected a whole number, got ${count}`);
  }
  if (options.contexts !== undefined && !areContexts(contexts))
    throw new TypeError("contexts: expected those of weightContexts()");
  if (!(Number.isInteger(rowLength) && rowLength > 0 && count % rowLength === 0)) {
    throw new RangeError(`rowLength: expected a divisor of ${count} weights, got ${rowLength}`);
  }
  const isKernel = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  if (!isKernel || rowLength % (height * width) !== 0) {
    throw new RangeError(`kernel: expected whole kernels in ${rowLength} weights a row, got [${kernel}]`);
  }
  return { contexts, rowLength, height, width };
}
