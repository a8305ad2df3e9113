/** A group's values from columns to rows, and what columns learn from them, four at a time. */
import { asNeighbours, logarithms } from "./words";

/** What `logarithms` adds. */
const BIAS = 127 * 128;

/** Columns come four values each; rows are one behind the other, and none is written past its end. The other arrays are, to a multiple of four. */
export function settleColumns(
  columns: i32, rate: i32, gain: i32, values: usize, columnMeans: usize, columnScales: usize, rows: usize,
): void {
  const stride = <usize>columns << 2;
  for (let j = 0; j < columns; j += 4) {
    const p = v128.load(values);
    const q = v128.load(values, 16);
    const r = v128.load(values, 32);
    const s = v128.load(values, 48);
    const pqLow = v128.shuffle<i32>(p, q, 0, 4, 1, 5);
    const pqHigh = v128.shuffle<i32>(p, q, 2, 6, 3, 7);
    const rsLow = v128.shuffle<i32>(r, s, 0, 4, 1, 5);
    const rsHigh = v128.shuffle<i32>(r, s, 2, 6, 3, 7);
    const a = v128.shuffle<i32>(pqLow, rsLow, 0, 1, 4, 5);
    const b = v128.shuffle<i32>(pqLow, rsLow, 2, 3, 6, 7);
    const c = v128.shuffle<i32>(pqHigh, rsHigh, 0, 1, 4, 5);
    const d = v128.shuffle<i32>(pqHigh, rsHigh, 2, 3, 6, 7);
    if (j + 4 <= columns) {
      v128.store(rows, a);
      v128.store(rows + stride, b);
      v128.store(rows + 2 * stride, c);
      v128.store(rows + 3 * stride, d);
    } else {
      for (let k: usize = 0; k < <usize>(columns - j); k++) {
        for (let lane: usize = 0; lane < 4; lane++)
          store<i32>(rows + lane * stride + 4 * k, load<i32>(values + 16 * k + 4 * lane));
      }
    }
    const sums = i32x4.add(
      i32x4.add(i32x4.abs(asNeighbours(a)), i32x4.abs(asNeighbours(b))),
      i32x4.add(i32x4.abs(asNeighbours(c)), i32x4.abs(asNeighbours(d))));
    let means = v128.load(columnMeans);
    const moves = i32x4.mul(i32x4.sub(i32x4.shl(sums, 8), means), i32x4.splat(rate));
    means = i32x4.add(means, i32x4.shr_s(moves, 6));
    v128.store(columnMeans, means);
    const logs = i32x4.sub(logarithms(i32x4.shr_s(means, 4)), i32x4.splat(BIAS));
    v128.store(columnScales, i32x4.mul(logs, i32x4.splat(gain)));
    values += 64;
    columnMeans += 16;
    columnScales += 16;
    rows += 16;
  }
}
