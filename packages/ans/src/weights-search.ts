/**
 * How to code a tensor: its mean, how much the means of rows and columns tell, and which profile of tables fits, found by what a sample
 * of the weights would cost.
 */
import {
  asNeighbour,
  EXPECTED_CLASS,
  EXPECTED_CLASSES,
  GAINS,
  KERNEL_SHIFT,
  LANES,
  LOGARITHMS,
  MATRIX_SHIFT,
  MAX_SYMBOL,
  MEAN_CLASSES,
  meanOfClass,
  OCTAVES,
  rowScales,
  SYMBOLS,
  ZERO_SYMBOL,
} from "./weights-contexts.js";
import { encodingTables } from "./weights-encode-tables.js";
import { PROFILES } from "./weights-frozen.js";
import { ownTable } from "./weights-tables.js";
import { startWalk, walkGroup } from "./weights-walk.js";

export interface Parameters {
  meanClass: number;
  /** Index of GAINS. */
  gains: number;
  profile: number;
  /** The scale's parts by the local mean and by the column's. */
  scalesOf(): { rows: Int32Array; columns: Int32Array };
}

/** Weights that are walked over, and how many of these are tried. */
const WALKED = 1 << 18;
const TRIED = 1 << 14;

/** Octaves that a scale's sum is beyond the last one with tables. */
export function beyondOf(isMatrix: boolean, sum: number): number {
  return Math.max(0, (sum >> (isMatrix ? MATRIX_SHIFT + 2 : KERNEL_SHIFT + 1)) + 1 - OCTAVES);
}

/** The table of a scale's sum and an expected value. */
export function tableOf(isMatrix: boolean, sum: number, expected: number, beyond: number): number {
  const table = isMatrix
    ? sum >> MATRIX_SHIFT
    : EXPECTED_CLASSES * (sum >> KERNEL_SHIFT) + EXPECTED_CLASS[Math.abs(expected)];
  return beyond === 0 ? table : ownTable(isMatrix, table, beyond);
}

export function bestParameters(
  integers: Int32Array,
  rowLength: number,
  kernel: readonly [number, number],
): Parameters {
  const meanClass = meanClassOf(integers);
  const isMatrix = kernel[0] * kernel[1] === 1;
  const sample = sampleOf(integers, rowLength, kernel, meanClass);
  let least = Infinity;
  let best = { gains: 0, profile: 0 };
  GAINS.forEach((_, gains) => {
    const { places, rest } = symbolsOf(sample, isMatrix, scalesOf(meanClass, gains));
    for (let profile = 0; profile < PROFILES; profile++) {
      const { costs } = encodingTables(isMatrix, profile);
      let bits = rest;
      for (let i = 0; i < places.length; i++) bits += costs[places[i]];
      if (bits < least) {
        least = bits;
        best = { gains, profile };
      }
    }
  });
  return { meanClass, ...best, scalesOf: () => scalesOf(meanClass, best.gains) };
}

function scalesOf(meanClass: number, gains: number): { rows: Int32Array; columns: Int32Array } {
  const columns = new Int32Array(LOGARITHMS.length);
  for (let i = 0; i < columns.length; i++) columns[i] = GAINS[gains][1] * LOGARITHMS[i];
  return { rows: rowScales(meanClass, GAINS[gains]), columns };
}

/** The stored mean that is nearest, by ratio, to that of the magnitudes as neighbours see them. */
function meanClassOf(integers: Int32Array): number {
  let sum = 0;
  for (const value of integers) sum += Math.abs(asNeighbour(value));
  const mean = (1024 * sum) / integers.length;
  let meanClass = 0;
  // Up to the geometric mean of a class and the next.
  while (meanClass < MEAN_CLASSES - 1 && mean * mean > meanOfClass(meanClass) * meanOfClass(meanClass + 1)) {
    meanClass++;
  }
  return meanClass;
}

interface Sample {
  local: Uint16Array;
  column: Uint16Array;
  expected: Int16Array;
  /** As the expected value's sign turns it. */
  turned: Int32Array;
}

function sampleOf(
  integers: Int32Array,
  rowLength: number,
  kernel: readonly [number, number],
  meanClass: number,
): Sample {
  const walk = startWalk(rowLength, kernel, meanClass);
  const walked = Math.min(integers.length, Math.max(LANES * rowLength, WALKED));
  const stride = Math.max(1, Math.floor(walked / TRIED)) | 1;
  const length = Math.ceil(walked / stride);
  const sample: Sample = {
    local: new Uint16Array(length),
    column: new Uint16Array(length),
    expected: new Int16Array(length),
    turned: new Int32Array(length),
  };
  let taken = 0;
  for (let start = 0, next = 0; next < walked; start += LANES * rowLength) {
    const rows = Math.min(LANES, (integers.length - start) / rowLength);
    walkGroup(walk, integers, start, rows);
    for (; next < Math.min(walked, start + rows * rowLength); next += stride) {
      const at = next - start;
      const j = Math.floor(at / rows);
      const value = integers[start + (at % rows) * rowLength + j];
      sample.local[taken] = walk.local[at];
      sample.column[taken] = walk.columns[j];
      sample.expected[taken] = walk.expected[at];
      sample.turned[taken++] = walk.expected[at] < 0 ? -value : value;
    }
  }
  return sample;
}

/** Where the symbols of a sample lie in costs, and bits that no table changes. */
function symbolsOf(
  { local, column, expected, turned }: Sample,
  isMatrix: boolean,
  scales: { rows: Int32Array; columns: Int32Array },
): { places: Int32Array; rest: number } {
  let rest = 0;
  const places = new Int32Array(turned.length);
  for (let i = 0; i < places.length; i++) {
    const sum = scales.rows[local[i]] + scales.columns[column[i]];
    const beyond = beyondOf(isMatrix, sum);
    const inSymbol = turned[i] >> beyond;
    rest += beyond;
    places[i] =
      tableOf(isMatrix, sum, expected[i], beyond) * SYMBOLS +
      (Math.abs(inSymbol) > MAX_SYMBOL ? 0 : inSymbol + ZERO_SYMBOL);
  }
  return { places, rest };
}
