/** Rows of kernels. A neighbour is one number, 2^16 times its magnitude in units of 1/64 plus its value, so that one sum adds up both. */
import { areRare, rareValues } from "./rare";
import { MEANS, NOTHING } from "../src/weights-memory";
import { asNeighbours, logarithms, takeWords } from "./words";

/** Bytes of a table, as a power of two: 2^10 words. */
const TABLE = 12;
const CLASSES = 3;

/** 126 more than the class of an expected value's magnitude: classes start at 0, 1, 2, 3, 5, 9, 17 and 33. */
// @ts-ignore: decorator
@inline
function expectedClasses(sizes: v128): v128 {
  // The exponent of 2 size - 1; that is negative of 0.
  const odd = i32x4.sub(i32x4.shl(sizes, 1), i32x4.splat(1));
  const exponents = i32x4.shr_s(f32x4.convert_i32x4_s(odd), 23);
  return i32x4.min_s(i32x4.max_s(exponents, i32x4.splat(126)), i32x4.splat(133));
}

export function decodeKernels(
  columns: i32, height: i32, width: i32, present: v128, words: usize, limits: usize, base: i32, rowGain: i32,
  payload: usize, low: usize, columnScales: usize, line: usize, values: usize,
): void {
  const first = i32x4.splat(<i32>words - (126 << TABLE));
  const nothing = i32x4.splat(NOTHING);
  const bases = i32x4.splat(base);
  const gains = i32x4.splat(rowGain);
  const lineEnd = line + (<usize>width << 4);
  const end = columnScales + (<usize>columns << 2);
  let means = v128.load(MEANS);
  for (let y = 0; columnScales < end; y = y + 1 == height ? 0 : y + 1) {
    // What is absent has the row's mean.
    let left = i32x4.shl(i32x4.shr_s(means, 4), 16);
    let corner = left;
    if (y == 0) for (let at = line; at < lineEnd; at += 16) v128.store(at, left);
    v128.store(lineEnd, left);
    let up = v128.load(line);
    for (let at = line; at < lineEnd; at += 16, columnScales += 4, values += 16) {
      const right = v128.load(at, 16);
      const twice = i32x4.shl(i32x4.add(left, up), 1);
      const expected = i32x4.shr_s(i32x4.shl(i32x4.sub(twice, corner), 16), 16);
      const around = i32x4.shr_s(
        i32x4.add(i32x4.add(twice, corner), i32x4.add(right, i32x4.splat(0x8000))), 16);
      const local = i32x4.shr_s(i32x4.add(around, i32x4.shr_s(means, 3)), 3);
      const sums = i32x4.add(
        i32x4.add(i32x4.mul(logarithms(local), gains), bases), v128.load_splat<i32>(columnScales));
      // Biased by 126.
      const tables = i32x4.add(
        i32x4.shl(i32x4.shr_s(sums, 9), CLASSES), expectedClasses(i32x4.abs(expected)));
      const symbols = i32x4.shr_s(takeWords(
        v128.bitselect(i32x4.add(first, i32x4.shl(tables, TABLE)), nothing, present), payload), 20);
      const flips = i32x4.shr_s(expected, 31);
      let value = i32x4.sub(v128.xor(symbols, flips), flips);
      if (areRare(symbols)) {
        value = rareValues(symbols, i32x4.sub(tables, i32x4.splat(126)), low, limits, CLASSES + 1);
        value = i32x4.sub(v128.xor(value, flips), flips);
        v128.store(values, value);
        value = asNeighbours(value);
      } else v128.store(values, value);
      const sizes = i32x4.abs(value);
      corner = up;
      up = right;
      left = i32x4.add(i32x4.shl(sizes, 22), value);
      v128.store(at, left);
      means = i32x4.add(means, i32x4.shr_s(i32x4.sub(i32x4.shl(sizes, 10), means), 4));
    }
  }
  v128.store(MEANS, means);
}
