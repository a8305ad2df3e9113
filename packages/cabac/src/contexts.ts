/**
 * What the coder knows about the next weight before it sees it: the neighbours already coded, and adaptive probabilities
 * for the contexts chosen from them. Everything is integer arithmetic, so encoder and decoder agree on every engine.
 *
 * DeepCABAC (Wiedemann et al., arXiv 1907.11900) takes the context from the previous two weights. Trained weights give more:
 *  - rows (output channels) and columns (input channels and kernel positions) each have a scale of their own,
 *  - kernels are smooth: a weight resembles its left and upper neighbours in the kernel, sign included.
 *
 *     neighbours in a 3x3 kernel:    . c b     the value expected at ? is about (2a + 2c - b) / 5; with a = 3, c = 1, b = 0
 *                                    a ?       a positive sign is soon much cheaper than a negative one
 *
 * A scale class (0 .. 20) is taken from the geometric mean of the local mean magnitude and the column's. Each binary decision
 * has two contexts, one of (expected value, scale) and one of (kernel position, a + c, scale), each with an adaptive estimate
 * of the probability: the first adapts faster (its rate falls like 1/n to 1/129), the second slower (to 1/257) and starts
 * from the first. The coder uses their mean.
 */
import { LEAST_PROBABILITY } from "./range-coder.js";

/** Flags "magnitude > 0", "> 1", … "> 9" before the remainder goes to an exp-Golomb code. */
export const FLAGS = 10;
const SCALES = 21;
const EXPECTED = 8;
/** Neighbours are taken at no more than this magnitude. */
const MAX_NEIGHBOUR = 1023;

const CELL = SCALES * FLAGS;
const SECOND = 3 * EXPECTED * CELL;
const SIGN = SECOND + 9 * EXPECTED * CELL;
const SECOND_SIGN = SIGN + 10 * SCALES;
const LENGTH = SECOND_SIGN + 625;
const LOW_BIT = LENGTH + 32 * SCALES;
export const CONTEXTS = LOW_BIT + 32 * 32;

/** Uses after which an estimate keeps its rate, 1/129 and 1/257. */
export const FAST_LIMIT = 127;
export const SLOW_LIMIT = 255;
const FIRST_USE = 1;
const HALF = 2 ** 31 + FIRST_USE;
const RATES = new Int32Array(1024).map((_, uses) => Math.floor(4096 / (uses + 2)));

/**
 * One adaptive estimate a context: the probability of a 1 in units of 2^-22, times 2^10, plus how often it was used.
 * Hand the same object to one tensor after the other to carry over what was learned. 0: no estimate yet.
 */
export type WeightContexts = Int32Array;

/** Fresh estimates: those of a distribution with the mean magnitude of each scale class. */
export function weightContexts(): WeightContexts {
  const contexts = new Int32Array(CONTEXTS).fill(HALF);
  contexts.fill(0, SECOND, SIGN).fill(0, SECOND_SIGN, LENGTH);
  for (let scale = 0; scale < SCALES; scale++) {
    const mean = meanOfScale(scale);
    const nonZero = FIRST_USE + 1024 * Math.floor((2 ** 22 * mean) / (mean + 48));
    const more = FIRST_USE + 1024 * Math.floor((2 ** 22 * mean) / (mean + 128));
    for (let cell = scale * FLAGS; cell < SECOND; cell += CELL) {
      contexts.fill(more, cell, cell + FLAGS);
      contexts[cell] = nonZero;
    }
  }
  return contexts;
}

/** Mean magnitude, in units of 1/64, in the middle of a scale class: the inverse of `logarithm` below. */
function meanOfScale(scale: number): number {
  const log = 32 + Math.floor((32 * scale + 16) / 5);
  return (((8 + (log & 7)) << ((log >> 3) - 3)) - 16) >> 2;
}

/** 8 log2(16 + 4 mean), piecewise linear. Mean: 0 .. 64 MAX_NEIGHBOUR, in units of 1/64; result 32 .. 143 */
function logarithm(mean: number): number {
  const value = 16 + 4 * mean;
  const exponent = 31 - Math.clz32(value);
  return 8 * exponent + ((value >>> (exponent - 3)) & 7);
}

/** Where the coder stands in the tensor, what surrounds it, and which contexts follow from that. */
export interface WeightModel {
  readonly contexts: WeightContexts;
  readonly rowLength: number;
  /** Without a kernel: the neighbours are those in the matrix. */
  readonly isMatrix: boolean;
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
  columnRate: number;
  rowMean: number;
  slowRowMean: number;
  rowStart: number;
  /** Of the next weight: its scale class, the sign that is expected (1: negative), and its contexts. */
  scale: number;
  expected: number;
  /** Four neighbours clipped to -2 .. 2, as the digits of a number in base 5. */
  around: number;
  first: number;
  second: number;
}

export function weightModel(
  rowLength: number,
  kernelHeight: number,
  kernelWidth: number,
  contexts: WeightContexts,
): WeightModel {
  const isMatrix = kernelHeight * kernelWidth === 1;
  const columns = Math.min(rowLength, 1024);
  const model: WeightModel = {
    contexts,
    rowLength,
    isMatrix,
    kernelHeight: isMatrix ? 2 ** 30 : kernelHeight,
    kernelWidth: isMatrix ? rowLength : kernelWidth,
    row: 0,
    column: 0,
    x: 0,
    y: 0,
    line: new Int16Array(columns),
    above: new Int16Array(columns),
    columnMeans: new Int32Array(columns),
    columnRate: 128,
    rowMean: 32,
    slowRowMean: 32,
    rowStart: 32,
    scale: 0,
    expected: 0,
    around: 0,
    first: 0,
    second: 0,
  };
  locate(model);
  return model;
}

const abs = Math.abs;

/**
 * The class of each number from 0 to 5 MAX_NEIGHBOUR, given where classes 1, 2, … start. A table instead of comparisons,
 * because no processor could predict their outcomes.
 */
function classes(...starts: number[]): Uint8Array {
  const table = new Uint8Array(5 * MAX_NEIGHBOUR + 1);
  starts.forEach((start, i) => void table.fill(i + 1, start));
  return table;
}
const SIZE_CLASS = classes(1, 2, 3, 4, 6, 8, 12);
const SIGN_CLASS = classes(1, 2, 3, 4, 5, 6, 8, 11, 16);
/** Of value + MAX_NEIGHBOUR: -2 and less, -1, 0, 1, 2 and more. */
const CLIPPED = classes(MAX_NEIGHBOUR - 1, MAX_NEIGHBOUR, MAX_NEIGHBOUR + 1, MAX_NEIGHBOUR + 2);

/**
 * Sets the contexts of the next weight. Without a kernel (1x1) the matrix itself is the plane of the neighbours. The local
 * mean weighs left and up by 2, the other three neighbours and the row's mean by 1; the row's mean stands for what is absent.
 */
function locate(model: WeightModel): void {
  const { row, column, x, y, line, rowMean, kernelWidth } = model;
  const isMatrix = model.isMatrix;
  const hasLeft = x > 0;
  const upper = isMatrix ? model.above : line;
  const at = isMatrix ? column : column - kernelWidth;
  let left = 0;
  let up = 0;
  let corner = 0;
  let beyond = 0;
  let sum = rowMean;
  if (hasLeft) {
    left = line[column - 1];
    sum += 128 * abs(left);
    if (x > 1) {
      beyond = line[column - 2];
      sum += 64 * abs(beyond);
    } else sum += rowMean;
  } else sum += 3 * rowMean;
  if (y > 0) {
    up = upper[at];
    sum += 128 * abs(up);
    if (hasLeft) {
      corner = upper[at - 1];
      sum += 64 * abs(corner);
    } else sum += rowMean;
    if (x < kernelWidth - 1) sum += 64 * abs(upper[at + 1]);
    else sum += rowMean;
  } else sum += 4 * rowMean;
  const columnMean = row > 0 ? model.columnMeans[column] : model.slowRowMean;
  const log = 5 * (logarithm(sum >> 3) + logarithm(columnMean) - 64);
  const scale = log >> 6;
  const expected = 2 * (left + up) - corner;
  const clippedLeft = CLIPPED[left + MAX_NEIGHBOUR];
  const clippedUp = CLIPPED[up + MAX_NEIGHBOUR];
  const position = isMatrix
    ? 3 * abs(clippedLeft - 2) + abs(clippedUp - 2)
    : 3 * (y === 0 ? 0 : y === model.kernelHeight - 1 ? 2 : 1) +
      (x === 0 ? 0 : x === kernelWidth - 1 ? 2 : 1);
  model.around =
    125 * clippedLeft +
    25 * clippedUp +
    5 * CLIPPED[corner + MAX_NEIGHBOUR] +
    CLIPPED[beyond + MAX_NEIGHBOUR];
  model.scale = scale;
  model.expected = expected;
  model.first = (SIZE_CLASS[abs(expected)] * SCALES + scale) * FLAGS;
  model.second =
    SECOND + ((position * EXPECTED + SIZE_CLASS[abs(left + up)]) * SCALES + ((log + 32) >> 6)) * FLAGS;
}

/** The two contexts of the sign "is unexpected": by the expected value and the scale, and by the signs of four neighbours. */
export function firstSignContext({ expected, scale }: WeightModel): number {
  return SIGN + SIGN_CLASS[abs(expected)] * SCALES + scale;
}
export function secondSignContext({ expected, around }: WeightModel): number {
  return SECOND_SIGN + (expected < 0 ? 624 - around : around);
}

/** 1 where the neighbours speak for a negative weight. */
export function expectedSign(model: WeightModel): number {
  return model.expected >>> 31;
}

/** Moves on to the next weight. */
export function advance(model: WeightModel, level: number): void {
  const { row, column } = model;
  const clipped = Math.max(-MAX_NEIGHBOUR, Math.min(MAX_NEIGHBOUR, level));
  const magnitude = 64 * abs(clipped);
  model.rowMean += (magnitude - model.rowMean) >> 4;
  model.slowRowMean += (magnitude - model.slowRowMean) >> 5;
  if (row === 0) {
    if (column === model.line.length) growRows(model);
    model.columnMeans[column] = (model.slowRowMean + magnitude) >> 1;
  } else {
    model.columnMeans[column] += ((magnitude - model.columnMeans[column]) * model.columnRate) >> 8;
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
    model.columnRate = Math.max(16, (256 / (model.row + 2)) | 0);
  }
  locate(model);
}

function growRows(model: WeightModel): void {
  const columns = Math.min(model.rowLength, 2 * model.line.length);
  model.line = extended(model.line, new Int16Array(columns));
  model.above = new Int16Array(columns);
  model.columnMeans = extended(model.columnMeans, new Int32Array(columns));
}

/** The longer array, beginning with the values of the shorter one. */
export function extended<T extends Int16Array | Int32Array>(shorter: T, longer: T): T {
  longer.set(shorter);
  return longer;
}

/** Of the first contexts of the flags "> 1" …, given the sign: other ones for the expected sign and for the other sign. */
export function firstAfterSign(model: WeightModel, unexpected: number): number {
  return model.expected === 0 ? model.first : model.first + (1 + unexpected) * EXPECTED * CELL;
}

/** The context of an exp-Golomb remainder's decision "longer than this many bits". */
export function lengthContext(model: WeightModel, bits: number): number {
  return LENGTH + 32 * model.scale + bits;
}
/** The context of a bit below the highest, `place` 0 being the lowest, of a remainder of so many bits. */
export function lowBitContext(bits: number, place: number): number {
  return LOW_BIT + 32 * bits + place;
}

/** The estimate that a second context starts with: that of its partner, as if from two uses. */
export function inherited(first: number): number {
  return (first & -1024) | 2;
}

/** The probability of a 1 by two estimates, in units of 2^-16; LEAST_PROBABILITY .. 65536 - LEAST_PROBABILITY */
export function meanProbability(first: number, second: number): number {
  const mean = ((first >>> 10) + (second >>> 10)) >> 7;
  return Math.max(LEAST_PROBABILITY, Math.min(65536 - LEAST_PROBABILITY, mean));
}

/** The estimate after one more bit. `limit`: the uses after which its rate stays the same */
export function learned(estimate: number, bit: number, limit: number): number {
  const uses = estimate & 1023;
  const error = ((bit << 22) - (estimate >>> 10)) >> 3;
  return (((estimate + ((Math.imul(error, RATES[uses]) >> 9) << 10)) | 0) + ((uses - limit) >>> 31)) | 0;
}
