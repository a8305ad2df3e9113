/**
 * What integers cost before they are written: for choosing among codings, and for rate-distortion-optimised rounding, where each
 * weight takes the integer with the least error + lambda * bits (Wiedemann et al., arXiv 1907.11900, equation 11).
 *
 *     const model = weightRateModel({ rowLength: 576, kernel: [3, 3] });
 *     model.bits(0), model.bits(1)    // 0.58 and 2.83 bits at the start; later what the weights have taught
 *     model.update(1);                // the first weight becomes a 1
 */
import type { WeightContexts } from "./contexts.js";
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
import type { Integers, WeightShape } from "./weights.js";
import { checkedContexts, checkedIntegers, checkedShape } from "./weights.js";

/** The cost of integers at the position that a coder would have reached. */
export interface WeightRateModel {
  /** Bits that this integer would cost here, at least 0.0005. Changes nothing. -(2^31 - 1) .. 2^31 - 1, not checked */
  bits(integer: number): number;
  /** Takes this integer for the weight at the position, learns from it and moves on. */
  update(integer: number): void;
}

/**
 * Model at the start of a tensor with rows of this length, in the state of an encoder before its first weight.
 *
 * @param contexts adaptive probabilities to start from, which `update` teaches; fresh ones by default
 * @throws {RangeError} if the rows are no whole kernels
 */
export function weightRateModel(
  shape: WeightShape & { rowLength: number },
  contexts?: WeightContexts,
): WeightRateModel {
  return rateModel(shape.rowLength, shape, checkedContexts(contexts));
}

/**
 * Bits that `encodeWeights` would write, without writing them: within 0.1 % and one byte of its output. Given contexts
 * learn as they would from encoding.
 *
 * @throws {RangeError} if an integer is -2^31 or the shape does not divide the integers
 */
export function estimateBits(integers: Integers, shape: WeightShape = {}, contexts?: WeightContexts): number {
  const model = rateModel(integers.length, shape, checkedContexts(contexts));
  let bits = 0;
  for (const integer of checkedIntegers(integers)) {
    bits += model.bits(integer);
    model.update(integer);
  }
  return bits;
}

function rateModel(count: number, shape: WeightShape, contexts: WeightContexts): WeightRateModel {
  const { rowLength, height, width } = checkedShape(count, shape);
  const walk = startWalk(rowLength, height, width);
  /** The decisions that spell one integer, at most 72: their contexts and their outcomes. */
  const places = new Int32Array(72);
  const outcomes = new Uint8Array(72);
  let decisions = 0;
  let expected = 0;
  let scale = 0;
  let columnMean = 0;
  locate();

  /** The same neighbourhood as in `encodeRun`. */
  function locate(): void {
    startRun(walk);
    const { x, y, line, rowMean, left, leftSize, cornerSize } = walk;
    const up = y > 0 ? line[x] : 0;
    const right = y > 0 ? line[x + 1] : 0;
    columnMean = walk.row === 0 ? rowMean : walk.columnMeans[walk.column];
    const around = 2 * (leftSize + Math.abs(up)) + cornerSize + Math.abs(right);
    scale = scaleClass(around + (y > 0 ? 2 : 6) * rowMean, columnMean);
    expected = 2 * (left + up) - walk.corner;
  }

  function decide(place: number, outcome: boolean): void {
    places[decisions] = place;
    outcomes[decisions++] = outcome ? 1 : 0;
  }

  function spell(integer: number): void {
    decisions = 0;
    const magnitude = Math.abs(integer);
    let flag = flagContext(expected, scale);
    decide(flag, integer !== 0);
    if (integer === 0) return;
    const isUnexpected = (integer ^ expected) < 0;
    decide(signContext(expected, scale), isUnexpected);
    if (expected !== 0) flag += isUnexpected ? AFTER_SIGN : 2 * AFTER_SIGN;
    for (let k = 1; k < FLAGS && k <= magnitude; k++) decide(flag + k, magnitude > k);
    if (magnitude < FLAGS) return;
    const remainder = magnitude - FLAGS + 1;
    const length = 32 - Math.clz32(remainder);
    for (let bits = 1; bits <= length; bits++) decide(lengthContext(scale, bits), bits < length);
    for (let place = length - 2; place >= 0; place--) {
      decide(lowBitContext(length, place), ((remainder >>> place) & 1) === 1);
    }
  }

  return {
    /** One logarithm per integer. The product stays normal: at most 72 decisions of at least 2^-11.5 each. */
    bits(integer) {
      spell(integer);
      let product = 1;
      for (let j = 0; j < decisions; j++) {
        const p = contexts[places[j]] >>> 16;
        product *= (outcomes[j] ? p : 65536 - p) / 65536;
      }
      return -Math.log2(product);
    },
    update(integer) {
      spell(integer);
      for (let j = 0; j < decisions; j++) contexts[places[j]] = learned(contexts[places[j]], outcomes[j]);
      const { x, y, line, columnMeans, column } = walk;
      const size = asNeighbour(integer);
      walk.corner = y > 0 ? line[x] : 0;
      walk.cornerSize = Math.abs(walk.corner);
      line[x] = walk.left = size;
      walk.leftSize = Math.abs(size);
      columnMeans[column] = columnMean + (((walk.leftSize - columnMean) * columnRate(walk.row)) >> 8);
      walk.rowMean += (walk.leftSize - walk.rowMean) >> 4;
      endRun(walk, 1);
      locate();
    },
  };
}
