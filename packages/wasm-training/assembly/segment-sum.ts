/**
 * Sum of the rows that share a segment: out [segments][rowSize], the gradient of a gather (an embedding's).
 * E.g. the rows 1, 2, 4 with the ids 0, 2, 0 and three segments: 5, 0, 2. Ids outside [0, segments) are dropped.
 */
import { addRun } from "./copy";

export function segmentSum(x: usize, ids: usize, rows: i32, rowSize: i32, segments: i32, out: usize): void {
  memory.fill(out, 0, <usize>segments * <usize>rowSize * 4);
  for (let row: i32 = 0; row < rows; row++) {
    const id = i32.load(ids + <usize>row * 4);
    if (id < 0 || id >= segments) continue;
    addRun(out + <usize>id * <usize>rowSize * 4, x + <usize>row * <usize>rowSize * 4, rowSize);
  }
}
