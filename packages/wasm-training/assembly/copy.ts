/**
 * Runs of floats copied, added and repeated. E.g. a slice [64, 2, 8] -> [64, 1, 8] is 64 runs of 8 floats, 16 apart.
 * Calls of memory.copy leave the module, which costs more than a short run takes.
 */

// @ts-ignore: decorator
@inline
export function copyRun(target: usize, source: usize, floats: i32): void {
  if (floats >= 128) {
    memory.copy(target, source, <usize>floats * 4);
    return;
  }
  let i: i32 = 0;
  for (; i + 4 <= floats; i += 4) {
    v128.store(target, v128.load(source));
    target += 16;
    source += 16;
  }
  for (; i < floats; i++) {
    f32.store(target, f32.load(source));
    target += 4;
    source += 4;
  }
}

/** target[floats] += source[floats]. */
// @ts-ignore: decorator
@inline
export function addRun(target: usize, source: usize, floats: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= floats; i += 4) {
    v128.store(target, f32x4.add(v128.load(target), v128.load(source)));
    target += 16;
    source += 16;
  }
  for (; i < floats; i++) {
    f32.store(target, f32.load(target) + f32.load(source));
    target += 4;
    source += 4;
  }
}

/** `count` runs of `floats` floats, `pitch` floats apart in the source, one after another in the target. */
export function copyRuns(source: usize, target: usize, count: i32, floats: i32, pitch: i32): void {
  for (let i: i32 = 0; i < count; i++) {
    copyRun(target, source, floats);
    source += <usize>pitch * 4;
    target += <usize>floats * 4;
  }
}

/** Rows of x [outer][rows][rowSize] by index: out [outer][indices][rowSize]. The indices are in range. */
export function gatherRows(x: usize, indices: usize, outer: i32, rows: i32, count: i32, rowSize: i32, out: usize): void {
  for (let o: i32 = 0; o < outer; o++) {
    for (let i: i32 = 0; i < count; i++) {
      copyRun(out, x + <usize>i32.load(indices + <usize>i * 4) * <usize>rowSize * 4, rowSize);
      out += <usize>rowSize * 4;
    }
    x += <usize>rows * <usize>rowSize * 4;
  }
}

/** Each of `outer` blocks of `floats` floats `times` times: out [outer][times][floats]. */
export function repeatBlocks(x: usize, out: usize, outer: i32, floats: i32, times: i32): void {
  for (let o: i32 = 0; o < outer; o++) {
    for (let i: i32 = 0; i < times; i++) {
      copyRun(out, x, floats);
      out += <usize>floats * 4;
    }
    x += <usize>floats * 4;
  }
}
