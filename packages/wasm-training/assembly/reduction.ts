/**
 * Sums along one (merged) axis, divided by `divisor` (1, or the length for a mean): out [outer][inner] of
 * x [outer][length][inner]. Float32 partial sums of at most 64
 * terms, float64 above. E.g. a bias gradient is outer 1, length 1024, inner 512; a softmax's row sum has inner 1.
 */

/** Scratch bytes: a float64 and a float32 for each of the inner elements. */
export function sumScratch(inner: i32): usize {
  return <usize>((inner + 3) & ~3) * 12;
}

const BLOCK: i32 = 64;

export function sumAxis(
  x: usize, outer: i32, length: i32, inner: i32, divisor: f64, out: usize, scratch: usize,
): void {
  if (inner == 1) {
    for (let i: i32 = 0; i < outer; i++) {
      f32.store(out, <f32>(sumRun(x, length) / divisor));
      x += <usize>length * 4;
      out += 4;
    }
    return;
  }
  const bytes: usize = <usize>inner * 4;
  const totals = scratch;
  const partial = scratch + <usize>((inner + 3) & ~3) * 8;
  for (let i: i32 = 0; i < outer; i++) {
    memory.fill(totals, 0, bytes * 2);
    for (let row: i32 = 0; row < length; row += BLOCK) {
      const count = min(BLOCK, length - row);
      let at: usize = 0;
      for (; at + 32 <= bytes; at += 32) {
        let p = x + at;
        let a = v128.load(p), b = v128.load(p, 16);
        for (let r = count - 1; r != 0; r--) {
          p += bytes;
          a = f32x4.add(a, v128.load(p));
          b = f32x4.add(b, v128.load(p, 16));
        }
        v128.store(partial + at, a);
        v128.store(partial + at, b, 16);
      }
      for (; at < bytes; at += 4) {
        let p = x + at;
        let a = f32.load(p);
        for (let r = count - 1; r != 0; r--) {
          p += bytes;
          a += f32.load(p);
        }
        f32.store(partial + at, a);
      }
      x += <usize>count * bytes;
      for (let c: usize = 0; c < bytes; c += 4) {
        f64.store(totals + c * 2, f64.load(totals + c * 2) + <f64>f32.load(partial + c));
      }
    }
    for (let c: usize = 0; c < bytes; c += 4) f32.store(out + c, <f32>(f64.load(totals + c * 2) / divisor));
    out += bytes;
  }
}

/** Sum of `length` floats that lie one after another. */
function sumRun(x: usize, length: i32): f64 {
  let total: f64 = 0;
  let i: i32 = 0;
  while (length - i >= 16) {
    // Four lanes of 64 terms at most.
    const end = min(length & ~15, i + 4 * BLOCK);
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (; i < end; i += 16) {
      a = f32x4.add(a, v128.load(x));
      b = f32x4.add(b, v128.load(x, 16));
      c = f32x4.add(c, v128.load(x, 32));
      d = f32x4.add(d, v128.load(x, 48));
      x += 64;
    }
    const sum = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    total += <f64>f32x4.extract_lane(sum, 0) + <f64>f32x4.extract_lane(sum, 1);
    total += <f64>f32x4.extract_lane(sum, 2) + <f64>f32x4.extract_lane(sum, 3);
  }
  for (; i < length; i++) {
    total += <f64>f32.load(x);
    x += 4;
  }
  return total;
}
