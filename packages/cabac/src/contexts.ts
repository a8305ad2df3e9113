/**
 * What the coder knows about the next weight before it sees it: the neighbours already coded, and adaptive probabilities
 * for the contexts chosen from them. Everything is integer arithmetic, so encoder and decoder agree on every engine.
 *
 * DeepCABAC (Wiedemann et al., arXiv 1907.11900) takes the context from the previous two weights. Trained weights give more:
 *  - rows (output channels) and columns (input channels and kernel positions) each have a scale of their own,
 *  - kernels are smooth: a weight resembles its left and upper neighbours in the kernel, sign included.
 *
 *     neighbours in a 3x3 kernel     . c b     expected value ~ 2a + 2c - b (scaled by 5), here with a = 3, c = 1, b = 0:
 *                                    a ?       expected = 8: a positive sign costs about 0.2 bits, a negative one 2.7
 *
 * A scale class (0 .. 20) is taken from the geometric mean of the local mean magnitude and the column's. Each binary decision
 * has two contexts, (expected value, scale) and (kernel position, a + c, scale), and each context two estimates of the
 * probability, one fast and one slow; the four are averaged. An estimate starts at a rate of about 1/n, then stays at 2^-6 or
 * 2^-8; a context of the second set starts from its partner of the first.
 */

import { LEAST_PROBABILITY } from "./range-coder.js";

/** Flags "magnitude > 0", "> 1", … "> 9" before the remainder goes to an exp-Golomb code. */
export const FLAGS = 10;
const SCALES = 21;
const EXPECTED = 8;
/** Neighbours are taken at no more than this magnitude. */
const MAX_NEIGHBOUR = 4095;

const CELL = SCALES * FLAGS;
const SECOND = 3 * EXPECTED * CELL;
const SIGN = SECOND + 9 * EXPECTED * CELL;
const SECOND_SIGN = SIGN + 10 * SCALES;
const REMAINDER = SECOND_SIGN + 625;
/** Of the low bits of a remainder: nearly uniform, one context for all. */
export const LOW_BITS = REMAINDER + 64 * SCALES;
const CONTEXTS = LOW_BITS + 1;

const ONE = 2 ** 22;
const FAST_SHIFT = 6;
const SLOW_SHIFT = 8;

/** Adaptive probabilities of a 1, in units of 2^-22. Hand the same object to one tensor after the other to carry them over. */
export interface WeightContexts {
  readonly fast: Int32Array;
  readonly slow: Int32Array;
  /** How often each context was used, up to 255. 0: it has no estimate yet. */
  readonly seen: Uint8Array;
}

/** Fresh probabilities: those of a distribution with the mean magnitude of each scale class. */
export function weightContexts(): WeightContexts {
  const fast = new Int32Array(CONTEXTS).fill(ONE / 2);
  const seen = new Uint8Array(CONTEXTS).fill(1);
  seen.fill(0, SECOND, SIGN);
  for (let scale = 0; scale < SCALES; scale++) {
    const mean = meanOfScale(scale);
    const nonZero = Math.floor((ONE * mean) / (mean + 48));
    const more = Math.floor((ONE * mean) / (mean + 128));
    for (let cell = scale * FLAGS; cell < SECOND; cell += CELL) {
      fast.fill(more, cell, cell + FLAGS);
      fast[cell] = nonZero;
    }
  }
  return { fast, slow: fast.slice(), seen };
}

/** Mean magnitude, in units of 1/64, in the middle of a scale class: the inverse of `logarithm` below. */
function meanOfScale(scale: number): number {
  const log = 32 + Math.floor((32 * scale + 16) / 5);
  return (((8 + (log & 7)) << ((log >> 3) - 3)) - 16) >> 2;
}

/** 8 log2(16 + 4 mean), piecewise linear. Mean: 0 .. 64 MAX_NEIGHBOUR, in units of 1/64; result 32 .. 159 */
function logarithm(mean: number): number {
  const value = 16 + 4 * mean;
  const exponent = 31 - Math.clz32(value);
  return 8 * exponent + ((value >>> (exponent - 3)) & 7);
}

/** Where the coder stands in the tensor, what surrounds it, and which contexts follow from that. */
export interface WeightModel {
  readonly contexts: WeightContexts;
  readonly rowLength: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  row: number;
  column: number;
  /** Position in the kernel. */
  x: number;
  y: number;
  /** This row up to `column`, and the row before it. They grow with the first row, not with what a header claims. */
  line: Int16Array;
  above: Int16Array;
  /** Moving means of magnitudes in units of 1/64: of each column, of this row at two speeds, and what a row starts from. */
  columnMeans: Int32Array;
  rowMean: number;
  slowRowMean: number;
  rowStart: number;
  /** Of the next weight: its scale class, the sign that is expected (1: negative), and its contexts. */
  scale: number;
  expectedSign: number;
  first: number;
  second: number;
  firstSign: number;
  secondSign: number;
}

export function weightModel(
  rowLength: number,
  kernelHeight: number,
  kernelWidth: number,
  contexts: WeightContexts,
): WeightModel {
  const columns = Math.min(rowLength, 1024);
  const model: WeightModel = {
    contexts,
    rowLength,
    kernelHeight,
    kernelWidth,
    row: 0,
    column: 0,
    x: 0,
    y: 0,
    line: new Int16Array(columns),
    above: new Int16Array(columns),
    columnMeans: new Int32Array(columns),
    rowMean: 32,
    slowRowMean: 32,
    rowStart: 32,
    scale: 0,
    expectedSign: 0,
    first: 0,
    second: 0,
    firstSign: 0,
    secondSign: 0,
  };
  locate(model);
  return model;
}

const abs = Math.abs;

/** Sets the contexts of the next weight. Without a kernel (1x1) the matrix itself is the plane of the neighbours. */
function locate(model: WeightModel): void {
  const { row, column, x, y, line, rowMean, kernelWidth } = model;
  const isMatrix = kernelWidth * model.kernelHeight === 1;
  const hasLeft = isMatrix ? column > 0 : x > 0;
  const hasUp = isMatrix ? row > 0 : y > 0;
  const hasRight = isMatrix ? column < model.rowLength - 1 : x < kernelWidth - 1;
  const upper = isMatrix ? model.above : line;
  const at = isMatrix ? column : column - kernelWidth;
  let left = 0;
  let up = 0;
  let corner = 0;
  let beyond = 0;
  let weight = 2;
  let sum = 2 * rowMean;
  if (hasLeft) {
    left = line[column - 1];
    sum += 128 * abs(left);
    weight += 2;
    if (isMatrix ? column > 1 : x > 1) {
      beyond = line[column - 2];
      sum += 64 * abs(beyond);
      weight++;
    }
  }
  if (hasUp) {
    up = upper[at];
    sum += 128 * abs(up);
    weight += 2;
    if (hasLeft) {
      corner = upper[at - 1];
      sum += 64 * abs(corner);
      weight++;
    }
    if (hasRight) {
      sum += 64 * abs(upper[at + 1]);
      weight++;
    }
  }
  const columnMean = row > 0 ? model.columnMeans[column] : model.slowRowMean;
  const log = 5 * (logarithm((sum / weight) | 0) + logarithm(columnMean) - 64);
  const scale = log >> 6;
  const expected = 2 * left + 2 * up - corner;
  const size = abs(expected);
  const position = isMatrix
    ? 3 * (left === 0 ? 0 : left * left === 1 ? 1 : 2) + (up === 0 ? 0 : up * up === 1 ? 1 : 2)
    : 3 * (y === 0 ? 0 : y === model.kernelHeight - 1 ? 2 : 1) +
      (x === 0 ? 0 : x === kernelWidth - 1 ? 2 : 1);
  model.scale = scale;
  model.first = (sizeClass(size) * SCALES + scale) * FLAGS;
  model.second =
    SECOND + ((position * EXPECTED + sizeClass(abs(left + up))) * SCALES + ((log + 32) >> 6)) * FLAGS;
  const flip = expected < 0 ? -1 : 1;
  model.expectedSign = expected < 0 ? 1 : 0;
  model.firstSign =
    SIGN + (size < 6 ? size : size < 8 ? 6 : size < 11 ? 7 : size < 16 ? 8 : 9) * SCALES + scale;
  model.secondSign =
    SECOND_SIGN +
    ((clip2(flip * left) * 5 + clip2(flip * up)) * 5 + clip2(flip * corner)) * 5 +
    clip2(flip * beyond);
}

/** 0, 1, 2, 3, 4-5, 6-7, 8-11, 12 and more */
function sizeClass(size: number): number {
  return size < 4 ? size : size < 6 ? 4 : size < 8 ? 5 : size < 12 ? 6 : 7;
}

/** -2 and less, -1, 0, 1, 2 and more, counted from 0 */
function clip2(value: number): number {
  return value < -2 ? 0 : value > 2 ? 4 : value + 2;
}

/** Moves on to the next weight. */
export function advance(model: WeightModel, level: number): void {
  const { row, column } = model;
  const clipped = level < -MAX_NEIGHBOUR ? -MAX_NEIGHBOUR : level > MAX_NEIGHBOUR ? MAX_NEIGHBOUR : level;
  const magnitude = 64 * abs(clipped);
  model.rowMean += (magnitude - model.rowMean) >> 4;
  model.slowRowMean += (magnitude - model.slowRowMean) >> 5;
  if (row === 0) {
    if (column === model.line.length) growRows(model);
    model.columnMeans[column] = (model.slowRowMean + magnitude) >> 1;
  } else {
    const rate = row < 15 ? (256 / (row + 2)) | 0 : 16;
    model.columnMeans[column] += ((magnitude - model.columnMeans[column]) * rate) >> 8;
  }
  model.line[column] = clipped;
  model.column++;
  if (++model.x === model.kernelWidth) {
    model.x = 0;
    if (++model.y === model.kernelHeight) model.y = 0;
  }
  if (model.column === model.rowLength) {
    model.rowStart =
      row === 0 ? model.slowRowMean : model.rowStart + ((model.slowRowMean - model.rowStart) >> 2);
    model.rowMean = model.slowRowMean = model.rowStart;
    const { line } = model;
    model.line = model.above;
    model.above = line;
    model.column = 0;
    model.row++;
  }
  locate(model);
}

function growRows(model: WeightModel): void {
  const columns = Math.min(model.rowLength, 2 * model.line.length);
  const line = new Int16Array(columns);
  line.set(model.line);
  const means = new Int32Array(columns);
  means.set(model.columnMeans);
  model.line = line;
  model.above = new Int16Array(columns);
  model.columnMeans = means;
}

/** Of the first contexts of the flags "> 1" …, given the sign: other ones for the expected sign and for the other sign. */
export function firstAfterSign(model: WeightModel, unexpected: number): number {
  const size = model.firstSign < SIGN + SCALES ? 0 : 1 + unexpected;
  return model.first + size * EXPECTED * CELL;
}

/** The contexts of an exp-Golomb remainder: "has more than n bits", and the second highest bit of n bits. */
export function lengthContext(model: WeightModel, bits: number): number {
  return REMAINDER + 64 * model.scale + bits;
}
export function topBitContext(model: WeightModel, bits: number): number {
  return REMAINDER + 64 * model.scale + 32 + bits;
}

/** The probability of a 1 in units of 2^-16, both contexts averaged; LEAST_PROBABILITY .. 65536 - LEAST_PROBABILITY */
export function probability({ fast, slow, seen }: WeightContexts, first: number, second: number): number {
  const one = fast[first] + slow[first];
  const mean = (one + (seen[second] === 0 ? one : fast[second] + slow[second])) >> 8;
  return mean < LEAST_PROBABILITY
    ? LEAST_PROBABILITY
    : mean > 65536 - LEAST_PROBABILITY
      ? 65536 - LEAST_PROBABILITY
      : mean;
}

/** Both contexts learn from one bit. */
export function adapt(contexts: WeightContexts, first: number, second: number, bit: number): void {
  const { fast, slow, seen } = contexts;
  if (seen[second] === 0) {
    fast[second] = slow[second] = (fast[first] + slow[first]) >> 1;
    seen[second] = 1;
  }
  adaptOne(contexts, first, bit);
  adaptOne(contexts, second, bit);
}

function adaptOne({ fast, slow, seen }: WeightContexts, context: number, bit: number): void {
  const count = seen[context];
  const target = bit ? ONE : 0;
  const shift = 32 - Math.clz32(count + 1);
  fast[context] += (target - fast[context]) >> (shift < FAST_SHIFT ? shift : FAST_SHIFT);
  slow[context] += (target - slow[context]) >> (shift < SLOW_SHIFT ? shift : SLOW_SHIFT);
  if (count < 255) seen[context] = count + 1;
}
