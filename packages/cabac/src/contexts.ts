/**
 * What the coder knows about the next weight before it sees it: the neighbours already coded, and adaptive probabilities
 * for the contexts chosen from them. Everything is integer arithmetic, so encoder and decoder agree on every engine.
 *
 * DeepCABAC (Wiedemann et al., arXiv 1907.11900) takes the context from the previous two weights. Trained weights give more:
 *  - rows (output channels) and columns (input channels and kernel positions) each have a scale of their own,
 *  - kernels are smooth: a weight resembles its left and upper neighbours in the kernel, sign included.
 *
 *     neighbours in a 3x3 kernel:    b c d     the value expected at ? is about (2a + 2c - b) / 5; with a = 3, c = 1, b = 0
 *                                    a ?       a positive sign is soon much cheaper than a negative one
 *
 * A scale class (0 .. 17) is taken from the geometric mean of the local mean magnitude and the column's. Each binary decision
 * has one context, from the expected value and the scale, and each context one adaptive estimate of the probability, whose
 * rate falls from 1/3 to 1/257.
 */
import { MIN_PROBABILITY } from "./range-coder.js";

/** Flags "magnitude > 0", "> 1", … "> 9" before the remainder goes to an exp-Golomb code. */
export const FLAGS = 10;
const SCALES = 18;
/** Neighbours are taken at no more than this magnitude. */
const MAX_NEIGHBOUR = 1023;

const CELL = SCALES * FLAGS;
/** Added to a flag's context if the sign is the expected one; twice if it is the other one. */
export const AFTER_SIGN = 8 * CELL;
const SIGN = 3 * AFTER_SIGN;
const LENGTH = SIGN + 10 * SCALES;
const LOW_BIT = LENGTH + 32 * SCALES;
const CONTEXTS = LOW_BIT + 32 * 32;

/** Uses after which an estimate keeps its rate, 1/257. */
const LIMIT = 255;
const RATES = new Int32Array(1024).map((_, uses) => Math.floor(8192 / (uses + 2)));
/** Estimates stay between these, in units of 2^-22, so that no decision is ever impossible. */
const MIN_ESTIMATE = 64 * MIN_PROBABILITY + 4;
const MAX_ESTIMATE = 2 ** 22 - MIN_ESTIMATE;

/**
 * One adaptive estimate a context: the probability of a 1 in units of 2^-22, times 2^10, plus how often it was used.
 * Coding changes them: hand the same object to one tensor after the other to carry over what was learned.
 */
export type WeightContexts = Int32Array;

/** Fresh estimates. */
export function weightContexts(): WeightContexts {
  return FRESH.slice();
}
const FRESH = typicalEstimates();

/** Those of a distribution with the mean magnitude of each scale class. */
function typicalEstimates(): WeightContexts {
  const contexts = new Int32Array(CONTEXTS).fill(estimate(2 ** 21));
  for (let scale = 0; scale < SCALES; scale++) {
    const mean = meanOfScale(scale);
    const nonZero = estimate(Math.floor((2 ** 22 * mean) / (mean + 48)));
    const more = estimate(Math.floor((2 ** 22 * mean) / (mean + 128)));
    for (let cell = scale * FLAGS; cell < SIGN; cell += CELL) {
      contexts.fill(more, cell, cell + FLAGS);
      contexts[cell] = nonZero;
    }
  }
  return contexts;
}

/** Whether the coder may rely on them: a probability out of range would leave it an empty interval. */
export function areContexts(contexts: unknown): boolean {
  if (!(contexts instanceof Int32Array) || contexts.length !== CONTEXTS) return false;
  return contexts.every(
    (context) => context >>> 16 >= MIN_PROBABILITY && context >>> 16 <= 65536 - MIN_PROBABILITY,
  );
}

/** Used once, so that the first bit moves it by a third. */
function estimate(probability: number): number {
  return probability * 1024 + 1;
}

/** The estimate after one more bit. */
export function learned(old: number, bit: number): number {
  const uses = old & 1023;
  const error = ((bit ? MAX_ESTIMATE : MIN_ESTIMATE) - (old >>> 10)) >> 3;
  return (old + (Math.imul(error, RATES[uses]) & -1024) + ((uses - LIMIT) >>> 31)) | 0;
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

/** The scale class by eight times the local mean and by the column's mean, in units of 1/64. */
export function scaleClass(local: number, columnMean: number): number {
  return (5 * (logarithm(local >> 3) + logarithm(columnMean) - 64)) >> 6;
}

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

/** The context of the flag "> 0"; that of "> k" is k further (and see AFTER_SIGN). */
export function flagContext(expected: number, scale: number): number {
  return (SIZE_CLASS[Math.abs(expected) >> 6] * SCALES + scale) * FLAGS;
}
/** The context of the decision whether the sign is other than expected. */
export function signContext(expected: number, scale: number): number {
  return SIGN + SIGN_CLASS[Math.abs(expected) >> 6] * SCALES + scale;
}
/** The context of an exp-Golomb remainder's decision "longer than this many bits". */
export function lengthContext(scale: number, bits: number): number {
  return LENGTH + 32 * scale + bits;
}
/** The context of a bit below the highest, `place` 0 being the lowest, of a remainder of so many bits. */
export function lowBitContext(bits: number, place: number): number {
  return LOW_BIT + 32 * bits + place;
}

/** An integer as its neighbours see it: clipped, in units of 1/64. */
export function asNeighbour(integer: number): number {
  return 64 * Math.max(-MAX_NEIGHBOUR, Math.min(MAX_NEIGHBOUR, integer));
}

/**
 * Where the coder stands in the tensor. A plane is what neighbours are looked up in: a kernel, or without kernels (1x1) the
 * matrix. The coder walks its lines in runs, during which it keeps all that changes in local variables.
 */
export interface Walk {
  readonly rowLength: number;
  readonly planeHeight: number;
  readonly planeWidth: number;
  row: number;
  column: number;
  /** Position in the plane. */
  x: number;
  y: number;
  /** Integers of the plane: of this line before x, from there on of the line before. Units of 1/64, as all that follows. */
  line: Int32Array;
  /** Moving means of magnitudes: of each column, of this row, and what a row starts from. */
  columnMeans: Int32Array;
  rowMean: number;
  rowStart: number;
  /** The neighbours of the next weight; the magnitude of an absent one is the mean of the row. */
  left: number;
  leftSize: number;
  corner: number;
  cornerSize: number;
}

export function startWalk(rowLength: number, kernelHeight: number, kernelWidth: number): Walk {
  const isMatrix = kernelHeight * kernelWidth === 1;
  return {
    rowLength,
    planeHeight: isMatrix ? Infinity : kernelHeight,
    planeWidth: isMatrix ? rowLength : kernelWidth,
    row: 0,
    column: 0,
    x: 0,
    y: 0,
    line: new Int32Array(0),
    columnMeans: new Int32Array(0),
    rowMean: 32,
    rowStart: 32,
    left: 0,
    leftSize: 0,
    corner: 0,
    cornerSize: 0,
  };
}

/** Weights in the longest run. */
export const MAX_RUN = 256;

/**
 * Prepares a run, and makes the rows longer where the first one needs it: they grow with what is coded, not with what a
 * header claims.
 * @returns its length: up to the end of the line, 1 .. MAX_RUN
 */
export function startRun(walk: Walk): number {
  const { x, y, column, planeWidth, rowMean } = walk;
  const length = Math.min(planeWidth - x, MAX_RUN);
  if (x + length >= walk.line.length) walk.line = extended(walk.line, 2 * (x + length) + 1);
  if (column + length > walk.columnMeans.length) {
    walk.columnMeans = extended(walk.columnMeans, 2 * (column + length));
  }
  if (x === 0) {
    walk.left = walk.corner = 0;
    walk.leftSize = rowMean;
    walk.cornerSize = y > 0 ? rowMean : 0;
    if (y > 0) walk.line[planeWidth] = rowMean;
  }
  return length;
}

/** Moves on behind a run whose means and integers are already stored. */
export function endRun(walk: Walk, length: number): void {
  walk.x += length;
  walk.column += length;
  if (walk.x === walk.planeWidth) {
    walk.x = 0;
    if (++walk.y === walk.planeHeight) walk.y = 0;
  }
  if (walk.column === walk.rowLength) {
    const { row, rowMean, rowStart } = walk;
    walk.rowMean = walk.rowStart = row === 0 ? rowMean : rowStart + ((rowMean - rowStart) >> 2);
    walk.column = 0;
    walk.row++;
  }
}

/** How fast the mean of a column moves, in units of 1/256. */
export function columnRate(row: number): number {
  return Math.max(16, (256 / (row + 2)) | 0);
}

/** A longer array, beginning with the values of the shorter one. */
export function extended(shorter: Int32Array, length: number): Int32Array {
  const longer = new Int32Array(length);
  longer.set(shorter);
  return longer;
}
