/**
 * Weights from bytes: `decodeWeights(encodeWeights(integers, shape), integers.length, shape)` are the integers.
 *
 *     profile + 16 * gains · class of the mean · LEB128 bytes of low bits · low bits · payload as in payload.ts
 */
import { corrupt, describe, readNumber } from "@bitdiet/stream";
import { bitsAt, type CodedWeights, type WeightBlock } from "./weights-coded.js";
import { GAINS, LANES, MEAN_CLASSES, TABLE_LOG } from "./weights-contexts.js";
import { decodeByWasm } from "./weights-decode-by-wasm.js";
import { decodePlainly } from "./weights-decode-plainly.js";
import { PROFILES } from "./weights-frozen.js";
import { checkedShape, type Rows, type WeightShape } from "./weights-shape.js";

/** A lane takes at least one bit in 1,023 weights, so this bounds what bytes can stand for. */
const WEIGHTS_PER_BYTE = 8192;

/**
 * The inverse of `encodeWeights`, given the same shape.
 *
 * @param count number of weights; the bytes do not say
 * @throws {RangeError} if the shape is none of `count` weights
 * @throws {CorruptInputError} unless the bytes are exactly those of `count` weights of that shape
 */
export function decodeWeights(bytes: Uint8Array, count: number, shape: WeightShape = {}): Int32Array {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
  return decodeWeightRows(bytes, count, checkedShape(count, shape));
}

/**
 * Weights of `encodeWeights`, for decoders that have checked the shape themselves: the checks of arguments stay out of their bundle.
 *
 * @param shape rows of whole kernels, `count` being a multiple of the row length; not checked
 * @throws {CorruptInputError} unless the bytes are exactly those of `count` weights of that shape
 */
export function decodeWeightRows(bytes: Uint8Array, count: number, shape: Rows): Int32Array {
  const blocks = weightBlocks(bytes, count, shape);
  const { rowLength } = shape;
  const decoded = new Int32Array(count);
  for (const { row, from, columns, integers } of blocks) {
    if (columns === rowLength) decoded.set(integers, row * rowLength);
    else
      for (
        let at = 0, start = row * rowLength + from;
        at < integers.length;
        at += columns, start += rowLength
      )
        decoded.set(integers.subarray(at, at + columns), start);
  }
  return decoded;
}

/**
 * The same weights block by block, as they are decoded: for what does more with them, or pauses.
 *
 * @throws {CorruptInputError} as `decodeWeightRows`, some of it only behind the last block
 */
export function weightBlocks(
  bytes: Uint8Array,
  count: number,
  shape: Rows,
): Generator<WeightBlock, void, undefined> {
  if (count === 0 ? bytes.length > 0 : count > bytes.length * WEIGHTS_PER_BYTE) corrupt("weights: length");
  return blocksOf(count === 0 ? undefined : readStart(bytes, count, shape));
}

function* blocksOf(coded: CodedWeights | undefined): Generator<WeightBlock, void, undefined> {
  if (!coded) return;
  const { payload, low } = coded;
  const { states, position, lowPosition } = yield* decodeByWasm(coded) ?? decodePlainly(coded);
  const unread = 8 * low.length - lowPosition;
  const isDone = position === 8 * payload.length && !states.some(Boolean) && unread >= 0 && unread < 8;
  if (!isDone || (unread > 0 && low[lowPosition >>> 3] >>> (lowPosition & 7) !== 0)) corrupt("weights: end");
}

/** What comes before the payload. */
export function readStart(bytes: Uint8Array, count: number, shape: Rows): CodedWeights {
  const kind = bytes[0];
  const meanClass = bytes[1];
  const profile = kind & 15;
  if (!(profile < PROFILES && meanClass < MEAN_CLASSES)) corrupt("weights: header");
  let at = 2;
  const lowBytes = readNumber(() => bytes[at++]);
  const low = bytes.subarray(at, at + lowBytes);
  const payload = bytes.subarray(at + lowBytes);
  if (!payload[0]) corrupt("weights: start");
  let position = 32 - Math.clz32(payload[0] & -payload[0]);
  const states = new Int32Array(LANES);
  for (let lane = 0; lane < LANES; lane++, position += TABLE_LOG)
    states[lane] = bitsAt(payload, position) & ((1 << TABLE_LOG) - 1);
  const isMatrix = shape.height * shape.width === 1;
  return {
    shape,
    count,
    isMatrix,
    profile,
    meanClass,
    gains: GAINS[kind >> 4],
    states,
    position,
    payload,
    low,
  };
}
