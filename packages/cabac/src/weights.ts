/**
 * Signed integers as binary decisions, as in DeepCABAC (Wiedemann et al., arXiv 1907.11900, section III): is it zero? its
 * sign, is the magnitude above 1, above 2, … above 9?, and what remains as an exp-Golomb number.
 *
 *     -3 = not zero · negative · above 1 · above 2 · not above 3                    5 decisions
 *     14 = not zero · positive · above 1 … above 9 · remainder 4 = 100b: longer than 1, than 2, not than 3 bits · 0 · 0
 *
 * Every decision has its contexts (contexts.ts) and goes through the range coder with the probability that they give.
 */
import type { WeightContexts, WeightModel } from "./contexts.js";
import {
  advance,
  CONTEXTS,
  expectedSign,
  extended,
  FAST_LIMIT,
  FLAGS,
  firstAfterSign,
  firstSignContext,
  inherited,
  learned,
  lengthContext,
  lowBitContext,
  meanProbability,
  SLOW_LIMIT,
  secondSignContext,
  weightContexts,
  weightModel,
} from "./contexts.js";
import { CorruptInputError } from "./errors.js";
import type { RangeDecoder, RangeEncoder } from "./range-coder.js";
import {
  finishDecoding,
  finishEncoding,
  isPastEnd,
  moveUp,
  rangeDecoder,
  rangeEncoder,
  TOP,
  writeTopByte,
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

/** The decisions that spell one level: their two contexts and their outcomes. */
export interface Decisions {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly bit: Uint8Array;
}

export function decisions(): Decisions {
  return { first: new Int32Array(80), second: new Int32Array(80), bit: new Uint8Array(80) };
}

/** Spells the level at the model's position. @returns the count of decisions, 1 .. 2 + 9 + 62 */
export function spell(model: WeightModel, level: number, { first, second, bit }: Decisions): number {
  first[0] = model.first;
  second[0] = model.second;
  if (level === 0) {
    bit[0] = 0;
    return 1;
  }
  bit[0] = 1;
  const unexpected = (level < 0 ? 1 : 0) ^ expectedSign(model);
  first[1] = firstSignContext(model);
  second[1] = secondSignContext(model);
  bit[1] = unexpected;
  const magnitude = Math.abs(level);
  const flags = firstAfterSign(model, unexpected);
  let n = 2;
  for (let k = 1; k < FLAGS; k++, n++) {
    first[n] = flags + k;
    second[n] = model.second + k;
    bit[n] = magnitude > k ? 1 : 0;
    if (magnitude <= k) return n + 1;
  }
  const remainder = magnitude - FLAGS + 1;
  const length = 32 - Math.clz32(remainder);
  for (let bits = 1; bits <= length; bits++, n++) {
    first[n] = second[n] = lengthContext(model, bits);
    bit[n] = bits < length ? 1 : 0;
  }
  for (let place = length - 2; place >= 0; place--, n++) {
    first[n] = second[n] = lowBitContext(length, place);
    bit[n] = (remainder >>> place) & 1;
  }
  return n;
}

/** Writes the first n decisions. The loop of `encodeBit` written out: `range` stays in a register, which gives 10 %. */
function encodeDecisions(
  coder: RangeEncoder,
  contexts: WeightContexts,
  spelling: Decisions,
  n: number,
): void {
  const { first, second, bit } = spelling;
  let range = coder.range >>> 0;
  for (let j = 0; j < n; j++) {
    const a = first[j];
    const b = second[j];
    const one = contexts[a];
    const two = contexts[b] || inherited(one);
    const bound = Math.imul(range >>> 16, meanProbability(one, two)) >>> 0;
    if (bit[j]) range = bound;
    else {
      moveUp(coder, bound);
      range = (range - bound) >>> 0;
    }
    contexts[a] = learned(one, bit[j], FAST_LIMIT);
    contexts[b] = learned(two, bit[j], SLOW_LIMIT);
    while (range < TOP) {
      writeTopByte(coder);
      range = (range << 8) >>> 0;
    }
  }
  coder.range = range | 0;
}

/** The inverse of `spell`: one loop over the decisions, with `decodeBit` written out as above. */
function decodeLevel(coder: RangeDecoder, model: WeightModel): number {
  const { contexts } = model;
  const { bytes } = coder;
  let { position } = coder;
  let range = coder.range >>> 0;
  let offset = coder.offset >>> 0;
  let a = model.first;
  let b = model.second;
  let sign = 0;
  let magnitude = 0;
  let length = 1;
  let remainder = 0;
  let place = 0;
  for (;;) {
    const one = contexts[a];
    const two = contexts[b] || inherited(one);
    const bound = Math.imul(range >>> 16, meanProbability(one, two)) >>> 0;
    let bit = 1;
    if (offset < bound) range = bound;
    else {
      bit = 0;
      offset = (offset - bound) >>> 0;
      range = (range - bound) >>> 0;
    }
    contexts[a] = learned(one, bit, FAST_LIMIT);
    contexts[b] = learned(two, bit, SLOW_LIMIT);
    while (range < TOP) {
      offset = ((offset << 8) | (position < bytes.length ? bytes[position] : 0)) >>> 0;
      position++;
      range = (range << 8) >>> 0;
    }
    if (magnitude === 0) {
      if (!bit) break;
      magnitude = 1;
      a = firstSignContext(model);
      b = secondSignContext(model);
    } else if (sign === 0) {
      sign = bit ^ expectedSign(model) ? -1 : 1;
      a = firstAfterSign(model, bit) + 1;
      b = model.second + 1;
    } else if (magnitude < FLAGS) {
      if (!bit) break;
      magnitude++;
      a++;
      b++;
      if (magnitude === FLAGS) a = b = lengthContext(model, 1);
    } else if (remainder === 0) {
      if (bit) a = b = lengthContext(model, ++length);
      else {
        remainder = 1;
        place = length - 1;
      }
      if (length === 32) throw new CorruptInputError("The payload is cut or changed");
    } else {
      remainder = 2 * remainder + bit;
      place--;
    }
    if (remainder > 0) {
      if (place === 0) break;
      a = b = lowBitContext(length, place - 1);
    }
  }
  coder.position = position;
  coder.offset = offset | 0;
  coder.range = range | 0;
  if (remainder > 0) magnitude += remainder - 1;
  if (magnitude > 0x7fffffff) throw new CorruptInputError("The payload is cut or changed");
  return sign * magnitude;
}

/**
 * Codes a tensor of quantized weights row by row: the payload alone, without any header or checksum.
 * The decoder must know the count, the shape and the contexts.
 *
 * @param levels -(2^31 - 1) .. 2^31 - 1, small ones being cheap
 * @returns the bytes, 0 for no levels
 * @throws RangeError if a level is -2^31 or the shape does not divide the levels
 */
export function encodeWeights(levels: Levels, options: WeightOptions = {}): Uint8Array {
  const model = modelOf(levels.length, options);
  const values = checkedLevels(levels);
  const coder = rangeEncoder();
  const { contexts } = model;
  const spelling = decisions();
  for (let i = 0; i < values.length; i++) {
    encodeDecisions(coder, contexts, spelling, spell(model, values[i], spelling));
    advance(model, values[i]);
  }
  return finishEncoding(coder);
}

/**
 * The inverse of `encodeWeights`, given the same options.
 * @throws CorruptInputError if the bytes do not end exactly with the last level
 */
export function decodeWeights(bytes: Uint8Array, count: number, options: WeightOptions = {}): Int32Array {
  return decodePayload(bytes, count, modelOf(count, options));
}

/** The same for a model at the start of a tensor that is known to be valid. */
export function decodePayload(bytes: Uint8Array, count: number, model: WeightModel): Int32Array {
  const coder = rangeDecoder(bytes);
  let levels = new Int32Array(Math.min(count, 4096));
  for (let i = 0; i < count; i++) {
    if (i === levels.length) levels = extended(levels, new Int32Array(Math.min(count, 2 * i)));
    const level = decodeLevel(coder, model);
    if (isPastEnd(coder)) throw new CorruptInputError("The payload is cut or changed");
    levels[i] = level;
    advance(model, level);
  }
  finishDecoding(coder);
  return levels;
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

/** A model at the start of a tensor. @throws RangeError if the shape is none of `count` weights */
export function modelOf(count: number, options: WeightOptions): WeightModel {
  const { kernel = [1, 1], contexts = weightContexts() } = options;
  const [height, width] = kernel;
  const rowLength = options.rowLength ?? (count || height * width);
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`count: expected a whole number, got ${count}`);
  }
  if (contexts.length !== CONTEXTS) throw new TypeError("contexts: expected those of weightContexts()");
  if (!(Number.isInteger(rowLength) && rowLength > 0 && count % rowLength === 0)) {
    throw new RangeError(`rowLength: expected a divisor of ${count} weights, got ${rowLength}`);
  }
  const isKernel = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  if (!isKernel || rowLength % (height * width) !== 0) {
    throw new RangeError(`kernel: expected whole kernels in ${rowLength} weights a row, got [${kernel}]`);
  }
  return weightModel(rowLength, height, width, contexts);
}
