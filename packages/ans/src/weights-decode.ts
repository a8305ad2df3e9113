/**
 * Weights from bytes: `decodeWeights(encodeWeights(integers, shape), integers.length, shape)` are the integers.
 *
 *     profile + 16 * gains · class of the mean · LEB128 bytes of low bits · low bits · payload as in payload.ts
 */
import { corrupt, describe, readNumber } from "@bitdiet/stream";
import {
  columnRate,
  GAINS,
  LANES,
  LOGARITHMS,
  MEAN_CLASSES,
  meanOfClass,
  rowScales,
  TABLE_LOG,
} from "./weights-contexts.js";
import { decodeKernels } from "./weights-decode-kernels.js";
import { decodeMatrix } from "./weights-decode-matrix.js";
import type { Group, WeightDecoder } from "./weights-decoder.js";
import { PROFILES } from "./weights-frozen.js";
import { checkedShape, type Rows, type WeightShape } from "./weights-shape.js";
import { frozenTables } from "./weights-tables.js";

/** Zeros behind the payload: a decoder looks whether it is past the end once a column. */
const PADDING = 64;
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
  if (count === 0 ? bytes.length > 0 : count > bytes.length * WEIGHTS_PER_BYTE) corrupt("weights: length");
  if (count === 0) return new Int32Array(0);
  const decoder = startDecoder(bytes, count, shape);
  decodeRows(decoder, count);
  const { position, end, states, low } = decoder;
  const unread = 8 * (low.bytes.length - PADDING) - low.bit;
  const isDone = position === end && !states.some(Boolean) && unread >= 0 && unread < 8;
  if (!isDone || (unread > 0 && low.bytes[low.bit >>> 3] >>> (low.bit & 7) !== 0)) corrupt("weights: end");
  return decoder.integers.subarray(0, count);
}

function startDecoder(
  bytes: Uint8Array,
  count: number,
  { rowLength, height: kernelHeight, width: kernelWidth }: Rows,
): WeightDecoder {
  const [kind, meanClass] = bytes;
  const profile = kind & 15;
  const isMatrix = kernelHeight * kernelWidth === 1;
  if (!(profile < PROFILES && meanClass < MEAN_CLASSES)) corrupt("weights: header");
  let at = 2;
  const lowBytes = readNumber(() => bytes[at++]);
  const start = at + lowBytes;
  if (!bytes[start]) corrupt("weights: start");
  const payload = new Uint8Array(bytes.length - start + PADDING);
  payload.set(bytes.subarray(start));
  const lows = new Uint8Array(lowBytes + PADDING);
  lows.set(bytes.subarray(at, start));
  const gains = GAINS[kind >> 4];
  const mean = meanOfClass(meanClass);
  const decoder: WeightDecoder = {
    kind,
    rowLength,
    kernelHeight,
    kernelWidth,
    integers: new Int32Array(Math.ceil(count / rowLength / LANES) * LANES * rowLength),
    tables: frozenTables(isMatrix, profile),
    rowScales: rowScales(meanClass, gains),
    columnScales: new Int32Array(rowLength).fill(gains[1] * LOGARITHMS[mean >> 4]),
    states: new Int32Array(LANES),
    rowMeans: new Int32Array(LANES).fill(mean),
    payload,
    position: 32 - Math.clz32(payload[0] & -payload[0]),
    end: 8 * (payload.length - PADDING),
    low: { bytes: lows, bit: 0 },
  };
  const view = new DataView(payload.buffer);
  for (let lane = 0; lane < LANES; lane++, decoder.position += TABLE_LOG) {
    const { position } = decoder;
    decoder.states[lane] = (view.getUint32(position >>> 3, true) >>> (position & 7)) & ((1 << TABLE_LOG) - 1);
  }
  return decoder;
}

/** Columns between two moves of the reader's origin, so that positions stay small integers. */
const STRETCH = 1 << 20;

function decodeRows(decoder: WeightDecoder, count: number): void {
  const { rowLength, kernelHeight, kernelWidth, rowMeans } = decoder;
  const stretch =
    Math.max(1, Math.floor(STRETCH / (kernelHeight * kernelWidth))) * kernelHeight * kernelWidth;
  const decodeFour = decoder.tables.isMatrix ? decodeMatrix : decodeKernels;
  const columnMeans = new Int32Array(rowLength).fill(rowMeans[0]);
  const gain = GAINS[decoder.kind >> 4][1];
  const rows = count / rowLength;
  for (let row = 0, rowStart = rowMeans[0]; row < rows && decoder.position <= decoder.end; row += LANES) {
    const starts = decoder.states.map((state, lane) => {
      if (row + lane < rows) return 0;
      // A lane that reads nothing more has come to its end.
      if (state) corrupt("weights: end");
      return decoder.tables.absent;
    });
    const group: Group = { row, starts, from: 0, to: 0, columnMeans, gain, rate: columnRate(row / LANES) };
    rowMeans.fill(rowStart);
    for (; group.from < rowLength; group.from = group.to) {
      group.to = Math.min(rowLength, group.from + stretch);
      decodeFour(decoder, group);
    }
    rowStart = (rowStart + ((rowMeans[0] + rowMeans[1] + rowMeans[2] + rowMeans[3]) >> 2)) >> 1;
  }
}
