/**
 * Groups of four rows of weights, a row a lane: FORMAT.md, "Weights", says what happens, src/weights-decode-plainly.ts does it in plain
 * TypeScript. The caller sees to it that windows of bits are long enough, and zeros behind the end.
 */
import { decodeKernels } from "./kernels";
import { settleColumns } from "./columns";
import { decodeMatrix } from "./matrix";
import { LEFT, MEANS, ROW_START, SECOND } from "../src/weights-memory";

/** See columnRate of src/weights-contexts.ts. */
// @ts-ignore: decorator
@inline
function columnRate(group: i32): i32 {
  return group == 0 ? 64 : group == 1 ? 32 : group == 2 ? 21 : 16;
}

/**
 * `groups` groups from number `group` on, of these `columns` columns: all of them, or where one does not `begin` or `end` the rest
 * comes by other calls. The last has `lanes` rows.
 */
export function decodeGroups(
  group: i32, groups: i32, lanes: i32, begins: bool, ends: bool, columns: i32, height: i32, width: i32,
  words: usize, limits: usize, base: i32, rowGain: i32, columnGain: i32,
  payload: usize, low: usize, columnMeans: usize, columnScales: usize, line: usize, values: usize, rows: usize,
): void {
  for (let i = 0; i < groups; i++) {
    const present = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(i + 1 < groups ? 4 : lanes));
    if (begins) {
      const means = i32x4.splat(load<i32>(ROW_START));
      v128.store(MEANS, means);
      v128.store(LEFT, i32x4.shr_s(means, 4));
      v128.store(SECOND, i32x4.shr_s(means, 4));
    }
    if (height * width == 1) decodeMatrix(columns, present, words, limits, base, rowGain, payload, low, columnScales, values);
    else decodeKernels(columns, height, width, present, words, limits, base, rowGain, payload, low, columnScales, line, values);
    settleColumns(columns, columnRate(group + i), columnGain, values, columnMeans, columnScales, rows);
    if (ends) {
      const sum = load<i32>(MEANS) + load<i32>(MEANS + 4) + load<i32>(MEANS + 8) + load<i32>(MEANS + 12);
      store<i32>(ROW_START, (load<i32>(ROW_START) + (sum >> 2)) >> 1);
    }
    rows += <usize>columns << 4;
  }
}
