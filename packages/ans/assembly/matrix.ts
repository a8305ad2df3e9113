/** Rows of a matrix. */
import { areRare, rareValues } from "./rare";
import { LEFT, MEANS, NOTHING, SECOND } from "../src/weights-memory";
import { asNeighbours, logarithms, takeWords } from "./words";

/** Bytes of a table, as a power of two: 2^10 words. */
const TABLE = 12;
const OCTAVE = 2;

export function decodeMatrix(
  columns: i32, present: v128, words: usize, limits: usize, base: i32, rowGain: i32,
  payload: usize, low: usize, columnScales: usize, values: usize,
): void {
  const first = i32x4.splat(<i32>words);
  const nothing = i32x4.splat(NOTHING);
  const bases = i32x4.splat(base);
  const gains = i32x4.splat(rowGain);
  const end = columnScales + (<usize>columns << 2);
  let means = v128.load(MEANS);
  let left = v128.load(LEFT);
  let second = v128.load(SECOND);
  for (; columnScales < end; columnScales += 4, values += 16) {
    const around = i32x4.shl(i32x4.add(left, second), 1);
    const local = i32x4.shr_s(i32x4.add(around, i32x4.shr_s(means, 2)), 3);
    const sums = i32x4.add(
      i32x4.add(i32x4.mul(logarithms(local), gains), bases), v128.load_splat<i32>(columnScales));
    const tables = i32x4.shr_s(sums, 8);
    let value = i32x4.shr_s(takeWords(
      v128.bitselect(i32x4.add(first, i32x4.shl(tables, TABLE)), nothing, present), payload), 20);
    if (areRare(value)) {
      value = rareValues(value, tables, low, limits, OCTAVE);
      v128.store(values, value);
      value = asNeighbours(value);
    } else v128.store(values, value);
    const sizes = i32x4.abs(value);
    second = left;
    left = i32x4.shl(sizes, 6);
    means = i32x4.add(means, i32x4.shr_s(i32x4.sub(i32x4.shl(sizes, 10), means), 4));
  }
  v128.store(MEANS, means);
  v128.store(LEFT, left);
  v128.store(SECOND, second);
}
