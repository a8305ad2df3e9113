/**
 * Activations and what they are made of, elementwise over n floats.
 *
 *   ReLU gradient   dx = dy where y > 0, else 0
 *   GELU            y = x Φ(x), Φ(x) = (1 + erf(x/√2)) / 2 (Hendrycks & Gimpel, 2016); dy/dx = Φ(x) + x φ(x)
 *
 * erf by formula 7.1.26 of Abramowitz & Stegun, absolute error below 1.5e-7, as everywhere in tfjs; it needs
 * exp(−x²/2), which is √(2π) φ(x) too. exp by 2^k · 2^f with a polynomial of degree 6 for |f| ≤ ½, relative error
 * below 2e-7. E.g. GELU(1) = 0.841345.
 */

export function reluGradient(dy: usize, y: usize, dx: usize, n: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= n; i += 4) {
    const open = f32x4.gt(v128.load(y), f32x4.splat(0));
    v128.store(dx, v128.and(v128.load(dy), open));
    dy += 16;
    y += 16;
    dx += 16;
  }
  for (; i < n; i++) {
    f32.store(dx, f32.load(y) > 0 ? f32.load(dy) : 0);
    dy += 4;
    y += 4;
    dx += 4;
  }
}

/** e^x; below −86.6 it is 0, above 88.72 infinite. */
// @ts-ignore: decorator
@inline
function exponential(x: v128): v128 {
  const low = f32x4.splat(-86.6);
  const clamped = f32x4.min(f32x4.max(x, low), f32x4.splat(88.73));
  const whole = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.44269504)));
  // x − whole · ln 2, with ln 2 in two parts.
  let r = f32x4.sub(clamped, f32x4.mul(whole, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(whole, f32x4.splat(0.000212194440)));
  let p = f32x4.splat(1.0 / 720);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  // 2^whole as 2 · 2^(whole − 1), for whole reaches 128.
  const half = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(whole), i32x4.splat(126)), 23);
  const result = f32x4.mul(f32x4.mul(p, half), f32x4.splat(2));
  return v128.andnot(result, f32x4.lt(x, low));
}

/** (1 − erf z) / 2 for z ≥ 0, given exp(−z²). */
// @ts-ignore: decorator
@inline
function halfTail(z: v128, gauss: v128): v128 {
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.3275911), z)));
  let p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  return f32x4.mul(f32x4.mul(f32x4.mul(p, t), gauss), f32x4.splat(0.5));
}

// @ts-ignore: decorator
@inline
function erfOf(x: v128): v128 {
  const z = f32x4.abs(x);
  const tail = halfTail(z, exponential(f32x4.neg(f32x4.mul(z, z))));
  const magnitude = f32x4.sub(f32x4.splat(1), f32x4.add(tail, tail));
  const sign = i32x4.splat(0x80000000);
  return v128.or(v128.andnot(magnitude, sign), v128.and(x, sign));
}

/** Φ(x), given gauss = exp(−x²/2). */
// @ts-ignore: decorator
@inline
function normalCumulative(x: v128, gauss: v128): v128 {
  const tail = halfTail(f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678)), gauss);
  return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
}

// @ts-ignore: decorator
@inline
function geluOf(x: v128): v128 {
  const gauss = exponential(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)));
  return f32x4.mul(x, normalCumulative(x, gauss));
}

// @ts-ignore: decorator
@inline
function geluGradientOf(x: v128, dy: v128): v128 {
  const gauss = exponential(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)));
  const density = f32x4.mul(gauss, f32x4.splat(0.39894228));
  return f32x4.mul(dy, f32x4.add(normalCumulative(x, gauss), f32x4.mul(x, density)));
}

export function exp(x: usize, y: usize, n: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(y, exponential(v128.load(x)));
    x += 16;
    y += 16;
  }
  for (; i < n; i++) {
    f32.store(y, f32x4.extract_lane(exponential(v128.load32_splat(x)), 0));
    x += 4;
    y += 4;
  }
}

export function erf(x: usize, y: usize, n: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(y, erfOf(v128.load(x)));
    x += 16;
    y += 16;
  }
  for (; i < n; i++) {
    f32.store(y, f32x4.extract_lane(erfOf(v128.load32_splat(x)), 0));
    x += 4;
    y += 4;
  }
}

export function gelu(x: usize, y: usize, n: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(y, geluOf(v128.load(x)));
    x += 16;
    y += 16;
  }
  for (; i < n; i++) {
    f32.store(y, f32x4.extract_lane(geluOf(v128.load32_splat(x)), 0));
    x += 4;
    y += 4;
  }
}

export function geluGradient(dy: usize, x: usize, dx: usize, n: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(dx, geluGradientOf(v128.load(x), v128.load(dy)));
    dy += 16;
    x += 16;
    dx += 16;
  }
  for (; i < n; i++) {
    f32.store(dx, f32x4.extract_lane(geluGradientOf(v128.load32_splat(x), v128.load32_splat(dy)), 0));
    dy += 4;
    x += 4;
    dx += 4;
  }
}
