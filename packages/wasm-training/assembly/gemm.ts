/**
 * Matrix product of packed panels: the one inner loop that convolutions and matMul share.
 *
 * C (rows × columns) is computed in tiles of 4 × 8, held in eight vector registers. What a tile needs is packed so
 * that every load has a constant offset from one pointer:
 *
 *   left,  a panel of 4 rows:    blocks of 4 rows × 4 steps of the inner dimension, 64 bytes each; within a block
 *                                row by row ("byRow") or step by step, whichever needs no shuffling while packing
 *   right, a panel of 8 columns: [inner][8]
 *
 * The inner dimension and the edges are padded with zeros. E.g. a 5 × 6 by 6 × 10 product is two left panels, two
 * right panels and an inner dimension of 8.
 *
 * Layout after Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
 */

/**
 * The tiles of left panels × right panels: out (=, or += with `accumulate`) left · right.
 * `sizeof<Row>()` and `sizeof<Step>()` are the bytes from row to row and from step to step in a left block (load
 * offsets must be constants of the compiler): 16 and 4, or 4 and 16.
 * @param quads inner dimension / 4
 * @param stride bytes from one row of out to the next; out has 4 · leftPanels rows and 8 · rightPanels columns
 */
// @ts-ignore: decorator
@inline
function tiles<Row, Step>(
  left: usize, right: usize, out: usize, leftPanels: usize, rightPanels: usize, quads: usize, stride: usize,
  accumulate: bool,
): void {
  for (let j: usize = 0; j < rightPanels; j++) {
    const panel = right + j * quads * 128;
    let a = left;
    let row0 = out + j * 32;
    for (let i: usize = 0; i < leftPanels; i++) {
      const row1 = row0 + stride;
      const row2 = row1 + stride;
      const row3 = row2 + stride;
      let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
      if (accumulate) {
        c00 = v128.load(row0); c01 = v128.load(row0, 16);
        c10 = v128.load(row1); c11 = v128.load(row1, 16);
        c20 = v128.load(row2); c21 = v128.load(row2, 16);
        c30 = v128.load(row3); c31 = v128.load(row3, 16);
      }
      let b = panel;
      for (let q = quads; q != 0; q--) {
        let b0: v128, b1: v128, s: v128;
        b0 = v128.load(b, 0); b1 = v128.load(b, 16);
        s = v128.load32_splat(a, 0); c00 = f32x4.add(c00, f32x4.mul(s, b0)); c01 = f32x4.add(c01, f32x4.mul(s, b1));
        s = v128.load32_splat(a, sizeof<Row>()); c10 = f32x4.add(c10, f32x4.mul(s, b0)); c11 = f32x4.add(c11, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 2 * sizeof<Row>()); c20 = f32x4.add(c20, f32x4.mul(s, b0)); c21 = f32x4.add(c21, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 3 * sizeof<Row>()); c30 = f32x4.add(c30, f32x4.mul(s, b0)); c31 = f32x4.add(c31, f32x4.mul(s, b1));
        b0 = v128.load(b, 32); b1 = v128.load(b, 48);
        s = v128.load32_splat(a, sizeof<Step>()); c00 = f32x4.add(c00, f32x4.mul(s, b0)); c01 = f32x4.add(c01, f32x4.mul(s, b1));
        s = v128.load32_splat(a, sizeof<Step>() + sizeof<Row>()); c10 = f32x4.add(c10, f32x4.mul(s, b0)); c11 = f32x4.add(c11, f32x4.mul(s, b1));
        s = v128.load32_splat(a, sizeof<Step>() + 2 * sizeof<Row>()); c20 = f32x4.add(c20, f32x4.mul(s, b0)); c21 = f32x4.add(c21, f32x4.mul(s, b1));
        s = v128.load32_splat(a, sizeof<Step>() + 3 * sizeof<Row>()); c30 = f32x4.add(c30, f32x4.mul(s, b0)); c31 = f32x4.add(c31, f32x4.mul(s, b1));
        b0 = v128.load(b, 64); b1 = v128.load(b, 80);
        s = v128.load32_splat(a, 2 * sizeof<Step>()); c00 = f32x4.add(c00, f32x4.mul(s, b0)); c01 = f32x4.add(c01, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 2 * sizeof<Step>() + sizeof<Row>()); c10 = f32x4.add(c10, f32x4.mul(s, b0)); c11 = f32x4.add(c11, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 2 * sizeof<Step>() + 2 * sizeof<Row>()); c20 = f32x4.add(c20, f32x4.mul(s, b0)); c21 = f32x4.add(c21, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 2 * sizeof<Step>() + 3 * sizeof<Row>()); c30 = f32x4.add(c30, f32x4.mul(s, b0)); c31 = f32x4.add(c31, f32x4.mul(s, b1));
        b0 = v128.load(b, 96); b1 = v128.load(b, 112);
        s = v128.load32_splat(a, 3 * sizeof<Step>()); c00 = f32x4.add(c00, f32x4.mul(s, b0)); c01 = f32x4.add(c01, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 3 * sizeof<Step>() + sizeof<Row>()); c10 = f32x4.add(c10, f32x4.mul(s, b0)); c11 = f32x4.add(c11, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 3 * sizeof<Step>() + 2 * sizeof<Row>()); c20 = f32x4.add(c20, f32x4.mul(s, b0)); c21 = f32x4.add(c21, f32x4.mul(s, b1));
        s = v128.load32_splat(a, 3 * sizeof<Step>() + 3 * sizeof<Row>()); c30 = f32x4.add(c30, f32x4.mul(s, b0)); c31 = f32x4.add(c31, f32x4.mul(s, b1));
        a += 64;
        b += 128;
      }
      v128.store(row0, c00); v128.store(row0, c01, 16);
      v128.store(row1, c10); v128.store(row1, c11, 16);
      v128.store(row2, c20); v128.store(row2, c21, 16);
      v128.store(row3, c30); v128.store(row3, c31, 16);
      row0 = row3 + stride;
    }
  }
}

/** Left panels stored row by row: the inner dimension runs along memory in both operands' sources. */
export function tilesByRow(
  left: usize, right: usize, out: usize, leftPanels: usize, rightPanels: usize, quads: usize, stride: usize,
  accumulate: bool,
): void {
  tiles<v128, f32>(left, right, out, leftPanels, rightPanels, quads, stride, accumulate);
}

/** Left panels stored step by step: for a transposed left operand. */
export function tilesByStep(
  left: usize, right: usize, out: usize, leftPanels: usize, rightPanels: usize, quads: usize, stride: usize,
  accumulate: bool,
): void {
  tiles<f32, v128>(left, right, out, leftPanels, rightPanels, quads, stride, accumulate);
}

/** Four floats of a run of which `length` are left; zeros behind them. */
// @ts-ignore: decorator
@inline
function copyQuad(source: usize, target: usize, length: i32): void {
  if (length >= 4) {
    v128.store(target, v128.load(source));
  } else {
    v128.store(target, f32x4.splat(0));
    for (let i: i32 = 0; i < length; i++) f32.store(target + (<usize>i << 2), f32.load(source + (<usize>i << 2)));
  }
}

/**
 * Packs the left operand, rows × inner, into panels of 4 rows.
 * Not transposed: blocks row by row, source [rows][inner]. Transposed: blocks step by step, source [inner][rows].
 * @param pitch bytes from one row of the source to the next
 */
export function packLeft(source: usize, target: usize, rows: i32, inner: i32, pitch: usize, transposed: bool): void {
  const lines = transposed ? inner : rows;
  const along = transposed ? rows : inner;
  // `line` runs over the source's rows; four of them and four floats of each are one block.
  const acrossPanels: usize = <usize>((inner + 3) >> 2) * 64;
  const lineStep: usize = transposed ? 64 : acrossPanels;
  const alongStep: usize = transposed ? acrossPanels : 64;
  for (let line: i32 = 0; line < ((lines + 3) & ~3); line++) {
    let block = target + <usize>(line >> 2) * lineStep + <usize>(line & 3) * 16;
    let from = source + <usize>line * pitch;
    const length = line < lines ? along : 0;
    for (let i: i32 = 0; i < along; i += 4) {
      copyQuad(from, block, length - i);
      from += 16;
      block += alongStep;
    }
  }
}

/** Packs the right operand, inner × columns, into panels of 8 columns. Source [inner][columns], or transposed. */
export function packRight(source: usize, target: usize, columns: i32, inner: i32, pitch: usize, transposed: bool): void {
  const padded = (inner + 3) & ~3;
  const panelBytes: usize = <usize>padded * 32;
  if (!transposed) {
    for (let k: i32 = 0; k < padded; k++) {
      let from = source + <usize>k * pitch;
      let to = target + <usize>k * 32;
      for (let j: i32 = 0; j < columns; j += 8) {
        const length = k < inner ? columns - j : 0;
        copyQuad(from, to, length);
        copyQuad(from + 16, to + 16, length - 4);
        from += 32;
        to += panelBytes;
      }
    }
    return;
  }
  for (let j: i32 = 0; j < columns; j += 4) {
    let to = target + <usize>(j >> 3) * panelBytes + <usize>(j & 4) * 4;
    const from = source + <usize>j * pitch;
    let k: i32 = 0;
    if (j + 4 <= columns) {
      for (; k + 4 <= inner; k += 4) {
        const p = from + <usize>k * 4;
        const r0 = v128.load(p), r1 = v128.load(p + pitch), r2 = v128.load(p + 2 * pitch), r3 = v128.load(p + 3 * pitch);
        const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), t1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        const t2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        v128.store(to, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
        v128.store(to, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7), 32);
        v128.store(to, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5), 64);
        v128.store(to, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7), 96);
        to += 128;
      }
    }
    for (; k < padded; k++) {
      for (let i: i32 = 0; i < 4; i++) {
        const inside = k < inner && j + i < columns;
        f32.store(to + <usize>i * 4, inside ? f32.load(from + <usize>i * pitch + <usize>k * 4) : 0);
      }
      to += 32;
    }
  }
  // The upper half of the last panel where columns ends in its lower half.
  if (((columns - 1) & 7) < 4) {
    const to = target + <usize>(columns >> 3) * panelBytes + 16;
    for (let k: i32 = 0; k < padded; k++) v128.store(to + <usize>k * 32, f32x4.splat(0));
  }
}

/** Block sizes: rows and inner steps of the packed left block, columns of the packed right block. */
const ROWS: i32 = 64;
const INNER: i32 = 256;
const COLUMNS: i32 = 256;

/** Bytes of scratch that `matMul` needs. */
export function matMulScratch(): usize {
  return (ROWS * INNER + INNER * COLUMNS + ROWS * COLUMNS) * 4;
}

/**
 * out [m][n] (=, or += with `accumulate`) a · b, each operand possibly stored transposed.
 * @param scratch `matMulScratch()` bytes
 */
export function matMul(
  a: usize, b: usize, out: usize, m: i32, n: i32, k: i32, transposeA: bool, transposeB: bool, accumulate: bool,
  scratch: usize,
): void {
  const left = scratch;
  const right = left + ROWS * INNER * 4;
  const edge = right + INNER * COLUMNS * 4;
  const pitchA: usize = <usize>(transposeA ? m : k) * 4;
  const pitchB: usize = <usize>(transposeB ? k : n) * 4;
  const pitch: usize = <usize>n * 4;
  for (let j: i32 = 0; j < n; j += COLUMNS) {
    const columns = min(COLUMNS, n - j);
    for (let p: i32 = 0; p < k; p += INNER) {
      const inner = min(INNER, k - p);
      const quads: usize = (inner + 3) >> 2;
      const add = accumulate || p > 0;
      packRight(b + (transposeB ? <usize>j * pitchB + <usize>p * 4 : <usize>p * pitchB + <usize>j * 4), right, columns, inner, pitchB, transposeB);
      for (let i: i32 = 0; i < m; i += ROWS) {
        const rows = min(ROWS, m - i);
        packLeft(a + (transposeA ? <usize>p * pitchA + <usize>i * 4 : <usize>i * pitchA + <usize>p * 4), left, rows, inner, pitchA, transposeA);
        const target = out + <usize>i * pitch + <usize>j * 4;
        const leftPanels: usize = (rows + 3) >> 2;
        const rightPanels: usize = (columns + 7) >> 3;
        if ((rows & 3) == 0 && (columns & 7) == 0) {
          if (transposeA) tilesByStep(left, right, target, leftPanels, rightPanels, quads, pitch, add);
          else tilesByRow(left, right, target, leftPanels, rightPanels, quads, pitch, add);
        } else {
          // Whole tiles beside the matrix, then the part that is inside.
          const edgePitch: usize = rightPanels * 32;
          if (transposeA) tilesByStep(left, right, edge, leftPanels, rightPanels, quads, edgePitch, false);
          else tilesByRow(left, right, edge, leftPanels, rightPanels, quads, edgePitch, false);
          for (let r: i32 = 0; r < rows; r++) addRow(edge + <usize>r * edgePitch, target + <usize>r * pitch, columns, add);
        }
      }
    }
  }
}

/** target[length] (=, or +=) source[length]. */
// @ts-ignore: decorator
@inline
function addRow(source: usize, target: usize, length: i32, add: bool): void {
  let i: i32 = 0;
  for (; i + 4 <= length; i += 4) {
    const value = v128.load(source);
    v128.store(target, add ? f32x4.add(v128.load(target), value) : value);
    source += 16;
    target += 16;
  }
  for (; i < length; i++) {
    const value = f32.load(source);
    f32.store(target, add ? f32.load(target) + value : value);
    source += 4;
    target += 4;
  }
}
