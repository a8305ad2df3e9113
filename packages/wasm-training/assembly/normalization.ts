/**
 * Batch and layer normalisation and their gradients, over a matrix [rows][columns].
 *
 *   batch: statistics per column (channel) over all rows      layer: statistics per row over its columns
 *
 * With x̂ = (x − mean) / √(variance + ε) and y = γ x̂ + β, the gradients are dβ = Σ dy, dγ = Σ dy·x̂ and
 *   dx = (g − mean(g) − x̂ · mean(g·x̂)) / √(variance + ε),  g = γ·dy, means over what the statistics were taken over.
 *
 * Column sums are taken in float32 over blocks of 32 rows and in float64 over the blocks, with the deviations taken
 * from each block's own mean (Chan, Golub & LeVeque, 1983), so neither many rows nor a large mean costs digits.
 * E.g. columns (1, 3): mean 2, variance 1.
 */

const BLOCK_ROWS: i32 = 32;

/** Scratch bytes of the batch functions. */
export function batchNormScratch(columns: i32): usize {
  return <usize>((columns + 3) & ~3) * (4 + 4 + 8 + 8);
}

/** sums[columns] (float32) of `rows` rows of x, or with `Second` of (x − centre)². */
// @ts-ignore: decorator
@inline
function columnSums(x: usize, rows: i32, columns: i32, sums: usize, centre: usize, squares: bool): void {
  const pitch: usize = <usize>columns * 4;
  let c: i32 = 0;
  for (; c + 16 <= columns; c += 16) {
    let p = x + <usize>c * 4;
    const m = centre + <usize>c * 4;
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    let m0 = s0, m1 = s0, m2 = s0, m3 = s0;
    if (squares) {
      m0 = v128.load(m); m1 = v128.load(m, 16); m2 = v128.load(m, 32); m3 = v128.load(m, 48);
    }
    for (let r = rows; r != 0; r--) {
      let a = v128.load(p), b = v128.load(p, 16), d = v128.load(p, 32), e = v128.load(p, 48);
      if (squares) {
        a = f32x4.sub(a, m0); a = f32x4.mul(a, a);
        b = f32x4.sub(b, m1); b = f32x4.mul(b, b);
        d = f32x4.sub(d, m2); d = f32x4.mul(d, d);
        e = f32x4.sub(e, m3); e = f32x4.mul(e, e);
      }
      s0 = f32x4.add(s0, a); s1 = f32x4.add(s1, b); s2 = f32x4.add(s2, d); s3 = f32x4.add(s3, e);
      p += pitch;
    }
    const to = sums + <usize>c * 4;
    v128.store(to, s0); v128.store(to, s1, 16); v128.store(to, s2, 32); v128.store(to, s3, 48);
  }
  for (; c < columns; c++) {
    let p = x + <usize>c * 4;
    const m = squares ? f32.load(centre + <usize>c * 4) : 0;
    let sum: f32 = 0;
    for (let r = rows; r != 0; r--) {
      const value = f32.load(p) - m;
      sum += squares ? value * value : value;
      p += pitch;
    }
    f32.store(sums + <usize>c * 4, sum);
  }
}

/** mean[columns] and biased variance[columns] of x [rows][columns]. */
export function columnMoments(x: usize, rows: i32, columns: i32, mean: usize, variance: usize, scratch: usize): void {
  const padded: usize = (columns + 3) & ~3;
  const sums = scratch;
  const centres = sums + padded * 4;
  const means = centres + padded * 4; // float64: mean so far
  const deviations = means + padded * 8; // float64: sum of squared deviations so far
  memory.fill(means, 0, padded * 16);
  for (let row: i32 = 0; row < rows; row += BLOCK_ROWS) {
    const count = min(BLOCK_ROWS, rows - row);
    const block = x + <usize>row * <usize>columns * 4;
    columnSums(block, count, columns, sums, 0, false);
    for (let c: usize = 0; c < <usize>columns; c++) f32.store(centres + c * 4, f32.load(sums + c * 4) / <f32>count);
    columnSums(block, count, columns, sums, centres, true);
    const share = <f64>count / <f64>(row + count);
    const weight = <f64>row * share;
    for (let c: usize = 0; c < <usize>columns; c++) {
      const difference = <f64>f32.load(centres + c * 4) - f64.load(means + c * 8);
      f64.store(means + c * 8, f64.load(means + c * 8) + difference * share);
      f64.store(deviations + c * 8, f64.load(deviations + c * 8) + <f64>f32.load(sums + c * 4) + difference * difference * weight);
    }
  }
  for (let c: usize = 0; c < <usize>columns; c++) {
    f32.store(mean + c * 4, <f32>f64.load(means + c * 8));
    f32.store(variance + c * 4, <f32>(f64.load(deviations + c * 8) / <f64>rows));
  }
}

/** y = γ (x − mean) / √(variance + ε) + β, per column. */
export function batchNormApply(
  x: usize, rows: i32, columns: i32, mean: usize, variance: usize, gamma: usize, beta: usize, epsilon: f32, y: usize,
  scratch: usize,
): void {
  for (let c: usize = 0; c < <usize>columns; c++) {
    f32.store(scratch + c * 4, f32.load(gamma + c * 4) / sqrt<f32>(f32.load(variance + c * 4) + epsilon));
  }
  for (let row: i32 = 0; row < rows; row++) {
    let c: usize = 0;
    for (; c + 4 <= <usize>columns; c += 4) {
      const centred = f32x4.sub(v128.load(x), v128.load(mean + c * 4));
      v128.store(y, f32x4.add(f32x4.mul(centred, v128.load(scratch + c * 4)), v128.load(beta + c * 4)));
      x += 16;
      y += 16;
    }
    for (; c < <usize>columns; c++) {
      f32.store(y, (f32.load(x) - f32.load(mean + c * 4)) * f32.load(scratch + c * 4) + f32.load(beta + c * 4));
      x += 4;
      y += 4;
    }
  }
}

/** dx, dγ and dβ of the above. */
export function batchNormGradient(
  dy: usize, x: usize, rows: i32, columns: i32, mean: usize, variance: usize, gamma: usize, epsilon: f32, dx: usize,
  dGamma: usize, dBeta: usize, scratch: usize,
): void {
  const padded: usize = (columns + 3) & ~3;
  const sums = scratch; // of dy, then per block
  const products = sums + padded * 4; // of dy (x − mean)
  const totals = products + padded * 4; // float64, the same two
  const productTotals = totals + padded * 8;
  const pitch: usize = <usize>columns * 4;
  memory.fill(totals, 0, padded * 16);
  for (let row: i32 = 0; row < rows; row += BLOCK_ROWS) {
    const count = min(BLOCK_ROWS, rows - row);
    const offset: usize = <usize>row * pitch;
    let c: i32 = 0;
    for (; c + 8 <= columns; c += 8) {
      const at: usize = <usize>c * 4;
      const m0 = v128.load(mean + at), m1 = v128.load(mean + at, 16);
      let p = x + offset + at;
      let q = dy + offset + at;
      let s0 = f32x4.splat(0), s1 = s0, t0 = s0, t1 = s0;
      for (let r = count; r != 0; r--) {
        const d0 = v128.load(q), d1 = v128.load(q, 16);
        s0 = f32x4.add(s0, d0);
        s1 = f32x4.add(s1, d1);
        t0 = f32x4.add(t0, f32x4.mul(d0, f32x4.sub(v128.load(p), m0)));
        t1 = f32x4.add(t1, f32x4.mul(d1, f32x4.sub(v128.load(p, 16), m1)));
        p += pitch;
        q += pitch;
      }
      v128.store(sums + at, s0); v128.store(sums + at, s1, 16);
      v128.store(products + at, t0); v128.store(products + at, t1, 16);
    }
    for (; c < columns; c++) {
      const at: usize = <usize>c * 4;
      const m = f32.load(mean + at);
      let p = x + offset + at;
      let q = dy + offset + at;
      let s: f32 = 0;
      let t: f32 = 0;
      for (let r = count; r != 0; r--) {
        const d = f32.load(q);
        s += d;
        t += d * (f32.load(p) - m);
        p += pitch;
        q += pitch;
      }
      f32.store(sums + at, s);
      f32.store(products + at, t);
    }
    for (let i: usize = 0; i < <usize>columns; i++) {
      f64.store(totals + i * 8, f64.load(totals + i * 8) + <f64>f32.load(sums + i * 4));
      f64.store(productTotals + i * 8, f64.load(productTotals + i * 8) + <f64>f32.load(products + i * 4));
    }
  }
  // Per column: dx = scale · (dy − shift − (x − mean) · slope). The three overwrite what is done with.
  const scale = totals;
  const shift = sums;
  const slope = products;
  for (let i: usize = 0; i < <usize>columns; i++) {
    const total = f64.load(totals + i * 8);
    const product = f64.load(productTotals + i * 8);
    const inverse = 1 / sqrt<f64>(<f64>f32.load(variance + i * 4) + <f64>epsilon);
    f32.store(dBeta + i * 4, <f32>total);
    f32.store(dGamma + i * 4, <f32>(product * inverse));
    f32.store(shift + i * 4, <f32>(total / <f64>rows));
    f32.store(slope + i * 4, <f32>((product / <f64>rows) * inverse * inverse));
    // float32 entry i lies at or before float64 entry i, which has been read.
    f32.store(scale + i * 4, <f32>(<f64>f32.load(gamma + i * 4) * inverse));
  }
  for (let row: i32 = 0; row < rows; row++) {
    let at: usize = 0;
    for (; at + 16 <= pitch; at += 16) {
      const centred = f32x4.mul(f32x4.sub(v128.load(x), v128.load(mean + at)), v128.load(slope + at));
      const rest = f32x4.sub(f32x4.sub(v128.load(dy), v128.load(shift + at)), centred);
      v128.store(dx, f32x4.mul(rest, v128.load(scale + at)));
      x += 16;
      dy += 16;
      dx += 16;
    }
    for (; at < pitch; at += 4) {
      const centred = (f32.load(x) - f32.load(mean + at)) * f32.load(slope + at);
      f32.store(dx, (f32.load(dy) - f32.load(shift + at) - centred) * f32.load(scale + at));
      x += 4;
      dy += 4;
      dx += 4;
    }
  }
}

/** Layer normalisation: y [rows][columns], and mean and 1/√(variance + ε) of each row for the gradient. */
export function layerNorm(
  x: usize, rows: i32, columns: i32, gamma: usize, beta: usize, epsilon: f32, y: usize, mean: usize, inverse: usize,
): void {
  const bytes: usize = <usize>columns * 4;
  for (let row: i32 = 0; row < rows; row++) {
    let sums = f32x4.splat(0);
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) sums = f32x4.add(sums, v128.load(x + at));
    let sum: f32 = 0;
    for (; at < bytes; at += 4) sum += f32.load(x + at);
    const m = (sum + lanes(sums)) / <f32>columns;
    sums = f32x4.splat(0);
    sum = 0;
    for (at = 0; at + 16 <= bytes; at += 16) {
      const d = f32x4.sub(v128.load(x + at), f32x4.splat(m));
      sums = f32x4.add(sums, f32x4.mul(d, d));
    }
    for (; at < bytes; at += 4) {
      const d = f32.load(x + at) - m;
      sum += d * d;
    }
    const s: f32 = 1 / sqrt<f32>((sum + lanes(sums)) / <f32>columns + epsilon);
    for (at = 0; at + 16 <= bytes; at += 16) {
      const n = f32x4.mul(f32x4.sub(v128.load(x + at), f32x4.splat(m)), f32x4.splat(s));
      v128.store(y + at, f32x4.add(f32x4.mul(n, v128.load(gamma + at)), v128.load(beta + at)));
    }
    for (; at < bytes; at += 4) {
      f32.store(y + at, (f32.load(x + at) - m) * s * f32.load(gamma + at) + f32.load(beta + at));
    }
    f32.store(mean, m);
    f32.store(inverse, s);
    mean += 4;
    inverse += 4;
    x += bytes;
    y += bytes;
  }
}

/** dx, dγ and dβ of the above; scratch: 2 floats a column. Sums over rows in float32, block by block. */
export function layerNormGradient(
  dy: usize, x: usize, rows: i32, columns: i32, gamma: usize, mean: usize, inverse: usize, dx: usize, dGamma: usize,
  dBeta: usize, scratch: usize,
): void {
  const bytes: usize = <usize>columns * 4;
  const partialGamma = scratch;
  const partialBeta = scratch + bytes;
  memory.fill(dGamma, 0, bytes);
  memory.fill(dBeta, 0, bytes);
  memory.fill(scratch, 0, 2 * bytes);
  for (let row: i32 = 0; row < rows; row++) {
    const m = f32.load(mean + <usize>row * 4);
    const s = f32.load(inverse + <usize>row * 4);
    let sumG = f32x4.splat(0), sumGN = sumG;
    let g1: f32 = 0;
    let gn1: f32 = 0;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const d = v128.load(dy + at);
      const n = f32x4.mul(f32x4.sub(v128.load(x + at), f32x4.splat(m)), f32x4.splat(s));
      const g = f32x4.mul(d, v128.load(gamma + at));
      const dn = f32x4.mul(d, n);
      sumG = f32x4.add(sumG, g);
      sumGN = f32x4.add(sumGN, f32x4.mul(g, n));
      v128.store(partialBeta + at, f32x4.add(v128.load(partialBeta + at), d));
      v128.store(partialGamma + at, f32x4.add(v128.load(partialGamma + at), dn));
    }
    for (; at < bytes; at += 4) {
      const d = f32.load(dy + at);
      const n = (f32.load(x + at) - m) * s;
      const g = d * f32.load(gamma + at);
      g1 += g;
      gn1 += g * n;
      f32.store(partialBeta + at, f32.load(partialBeta + at) + d);
      f32.store(partialGamma + at, f32.load(partialGamma + at) + d * n);
    }
    const meanG = (g1 + lanes(sumG)) / <f32>columns;
    const meanGN = (gn1 + lanes(sumGN)) / <f32>columns;
    for (at = 0; at + 16 <= bytes; at += 16) {
      const n = f32x4.mul(f32x4.sub(v128.load(x + at), f32x4.splat(m)), f32x4.splat(s));
      const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at));
      const rest = f32x4.sub(f32x4.sub(g, f32x4.splat(meanG)), f32x4.mul(n, f32x4.splat(meanGN)));
      v128.store(dx + at, f32x4.mul(rest, f32x4.splat(s)));
    }
    for (; at < bytes; at += 4) {
      const n = (f32.load(x + at) - m) * s;
      f32.store(dx + at, (f32.load(dy + at) * f32.load(gamma + at) - meanG - n * meanGN) * s);
    }
    dy += bytes;
    x += bytes;
    dx += bytes;
    if ((row & (BLOCK_ROWS - 1)) == BLOCK_ROWS - 1 || row == rows - 1) {
      for (at = 0; at < bytes; at += 4) {
        f32.store(dGamma + at, f32.load(dGamma + at) + f32.load(partialGamma + at));
        f32.store(dBeta + at, f32.load(dBeta + at) + f32.load(partialBeta + at));
      }
      memory.fill(scratch, 0, 2 * bytes);
    }
  }
}

/** Sum of the four lanes. */
// @ts-ignore: decorator
@inline
function lanes(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}
