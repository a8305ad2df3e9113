/**
 * What both ends know about the next weight before it is coded: how large its surroundings are, and which value its neighbours in the
 * kernel make likely. All of it is integer arithmetic, the same on every engine.
 *
 * Rows (output channels) are coded in groups of four, column by column, so that a decoder works on four independent rows at once.
 * Magnitudes are taken at no more than 63. Means are in units of 1/1024, what is looked up in units of 1/64.
 *
 *     neighbours in a kernel:   c u r     local mean: (2 row mean + 2 |l| + 2 |u| + |c| + |r|) / 8, absent ones as large as the row's mean
 *                               l ?       expected value: 2 l + 2 u - c, absent ones 0
 *     in a matrix (1 x 1):    k l ?       local mean: (4 row mean + 2 |l| + 2 |k|) / 8
 *
 *     scale = tensor's mean^(8 - row - column) * local mean^row * column's mean^column, its exponents in eighths: see GAINS
 */

/** Rows coded in turn. */
export const LANES = 4;
/** Tables of all contexts are 2^10 slots long. */
export const TABLE_LOG = 10;
/** Neighbours are taken at no more than this magnitude; also the largest value with a symbol of its own. */
export const MAX_SYMBOL = 63;
/** A value as its neighbours see it. */
export const asNeighbour = (value: number): number => Math.max(-MAX_SYMBOL, Math.min(MAX_SYMBOL, value));
/** Symbol of value zero; symbol 0 is the escape. */
export const ZERO_SYMBOL = 64;
export const SYMBOLS = 128;

/** Octaves of scale that have tables, from 1/64 on; a value of a larger scale leaves its low bits to another stream. */
export const OCTAVES = 10;
/** Classes an octave of scale: of a matrix, whose tables depend on nothing else, and of kernels. */
export const MATRIX_SHIFT = 8;
export const KERNEL_SHIFT = 9;
/** Classes of the expected value's magnitude, which start at 0 1 2 3 5 9 17 33. */
export const EXPECTED_CLASSES = 8;

/** How much the means of row and column count, in eighths; the tensor's mean has the rest. */
export const GAINS: readonly (readonly [row: number, column: number])[] = [
  [0, 0], [0, 2], [0, 4], [0, 6], [0, 8], [1, 1], [2, 2], [2, 4],
  [2, 6], [4, 2], [4, 4], [6, 2], [6, 0], [4, 0], [8, 0], [1, 5],
]; // biome-ignore format: a table

/** 128 log2(mean + 1), piecewise linear, of a mean of 0 .. 4095 units of 1/64. */
export const LOGARITHMS = /* @__PURE__ */ logarithms();

function logarithms(): Uint16Array {
  return Uint16Array.from({ length: 4096 }, (_, mean) => {
    const octave = 31 - Math.clz32(mean + 1);
    return 128 * octave + (((mean + 1 - (1 << octave)) << 7) >> octave);
  });
}

/** Class of an expected value's magnitude, 0 .. 5 * 63. */
export const EXPECTED_CLASS = /* @__PURE__ */ classesFrom(1, 2, 3, 5, 9, 17, 33);

function classesFrom(...starts: number[]): Uint8Array {
  const table = new Uint8Array(512);
  for (const start of starts) for (let i = start; i < table.length; i++) table[i]++;
  return table;
}

/** Quarters of octaves from 1/64 on, as which a tensor's mean magnitude is stored. */
export const MEAN_CLASSES = 48;

/** A stored mean, in units of 1/1024. */
export function meanOfClass(meanClass: number): number {
  return [16, 19, 23, 27][meanClass & 3] << (meanClass >> 2);
}

/** How far a column's mean moves with a group of rows, in units of 1/64. */
export function columnRate(group: number): number {
  return group < 4 ? [64, 32, 21, 16][group] : 16;
}

/** Scale, times 1024 an octave, but for the column's part; by the local mean. */
export function rowScales(meanClass: number, [row, column]: readonly [number, number]): Int32Array {
  const base = (8 - row - column) * LOGARITHMS[meanOfClass(meanClass) >> 4];
  const scales = new Int32Array(LOGARITHMS.length);
  for (let i = 0; i < scales.length; i++) scales[i] = base + row * LOGARITHMS[i];
  return scales;
}
