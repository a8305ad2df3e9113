/**
 * The complex discrete Fourier transform of any length n, Z_k = Σ_j z_j exp(−2πi jk/n), in place on interleaved float64:
 * decimation in time with radix 4, 3 and 2 butterflies and a general one for other small primes (Cooley and Tukey,
 * Math. Comp. 19, 1965); a length with a prime factor above 61 goes through a convolution of a power of two (Bluestein,
 * "A linear filtering approach to the computation of the DFT", 1970).
 *
 * n = 2: (1, 2) → (3, −1).
 */
export interface Fft {
  /** Input element j must be stored at position `place[j]` (digit-reversed order). */
  place: Uint32Array;
  /** Transforms 2n values (re, im, re, im, …) in place; the output is in natural order. */
  run(z: Float64Array): void;
  /** The same after `z[i] = values[from + gather[i]]`, the copy being part of the first butterflies: a fifth faster. */
  runGathered(z: Float64Array, values: Float32Array, from: number, gather: Uint32Array): void;
}

/** Above it a general butterfly's p² multiplications cost more than Bluestein's three transforms. */
const largestRadix = 61;

export function fft(length: number): Fft {
  const radices: number[] = [];
  let rest = length;
  for (const radix of [4, 2, 3]) {
    for (; rest % radix === 0; rest /= radix) radices.push(radix);
  }
  for (let radix = 5; radix <= largestRadix; radix += 2) {
    for (; rest % radix === 0; rest /= radix) radices.push(radix);
  }
  if (rest > 1) return bluestein(length);

  const place = new Uint32Array(length);
  for (let j = 0; j < length; j++) {
    let digits = j;
    let block = length;
    for (let stage = radices.length - 1; stage >= 0; stage--) {
      const radix = radices[stage];
      block /= radix;
      place[j] += (digits % radix) * block;
      digits = Math.floor(digits / radix);
    }
  }

  const stages: ((z: Float64Array) => void)[] = [];
  let span = 1;
  for (const radix of radices) {
    const twiddles = stageTwiddles(radix, span);
    const m = span;
    if (radix === 4 && m === 1) stages.push((z) => firstRadix4(z, length));
    else if (radix === 4) stages.push((z) => radix4(z, length, m, twiddles));
    else if (radix === 2) stages.push((z) => radix2(z, length, m, twiddles));
    else if (radix === 3) stages.push((z) => radix3(z, length, m, twiddles));
    else {
      const roots = unitRoots(radix, radix);
      const scratch = new Float64Array(2 * radix);
      stages.push((z) => radixOdd(z, length, m, twiddles, radix, roots, scratch));
    }
    span *= radix;
  }
  return {
    place,
    run(z) {
      for (const stage of stages) stage(z);
    },
    runGathered(z, values, from, gather) {
      const merged = radices[0] === 4;
      if (merged) gatherRadix4(z, length, values, from, gather);
      else gatherAll(z, length, values, from, gather);
      for (let stage = merged ? 1 : 0; stage < stages.length; stage++) stages[stage](z);
    },
  };
}

/** exp(−2πi j/period) for j = 0 … count − 1, interleaved. */
function unitRoots(count: number, period: number): Float64Array {
  const roots = new Float64Array(2 * count);
  for (let j = 0; j < count; j++) {
    roots[2 * j] = Math.cos((2 * Math.PI * j) / period);
    roots[2 * j + 1] = -Math.sin((2 * Math.PI * j) / period);
  }
  return roots;
}

/** For j = 0 … m − 1 the factors exp(−2πi jq/(radix · m)) of the inputs q = 1 … radix − 1. */
function stageTwiddles(radix: number, m: number): Float64Array {
  const twiddles = new Float64Array(2 * m * (radix - 1));
  let t = 0;
  for (let j = 0; j < m; j++) {
    for (let q = 1; q < radix; q++) {
      const angle = (2 * Math.PI * j * q) / (radix * m);
      twiddles[t++] = Math.cos(angle);
      twiddles[t++] = -Math.sin(angle);
    }
  }
  return twiddles;
}

function gatherAll(
  z: Float64Array,
  length: number,
  values: Float32Array,
  from: number,
  gather: Uint32Array,
): void {
  for (let i = 0; i < 2 * length; i++) z[i] = values[from + gather[i]];
}

/** The first stage of radix 4: its factors are all 1. */
function firstRadix4(z: Float64Array, length: number): void {
  for (let i = 0; i < 2 * length; i += 8) {
    const sr = z[i] + z[i + 4];
    const si = z[i + 1] + z[i + 5];
    const dr = z[i] - z[i + 4];
    const di = z[i + 1] - z[i + 5];
    const tr = z[i + 2] + z[i + 6];
    const ti = z[i + 3] + z[i + 7];
    const er = z[i + 2] - z[i + 6];
    const ei = z[i + 3] - z[i + 7];
    z[i] = sr + tr;
    z[i + 1] = si + ti;
    z[i + 2] = dr + ei;
    z[i + 3] = di - er;
    z[i + 4] = sr - tr;
    z[i + 5] = si - ti;
    z[i + 6] = dr - ei;
    z[i + 7] = di + er;
  }
}

/** `gatherAll` and `firstRadix4` in one. */
function gatherRadix4(
  z: Float64Array,
  length: number,
  values: Float32Array,
  from: number,
  gather: Uint32Array,
): void {
  for (let i = 0; i < 2 * length; i += 8) {
    const x0 = values[from + gather[i]];
    const y0 = values[from + gather[i + 1]];
    const x1 = values[from + gather[i + 2]];
    const y1 = values[from + gather[i + 3]];
    const x2 = values[from + gather[i + 4]];
    const y2 = values[from + gather[i + 5]];
    const x3 = values[from + gather[i + 6]];
    const y3 = values[from + gather[i + 7]];
    z[i] = x0 + x2 + (x1 + x3);
    z[i + 1] = y0 + y2 + (y1 + y3);
    z[i + 2] = x0 - x2 + (y1 - y3);
    z[i + 3] = y0 - y2 - (x1 - x3);
    z[i + 4] = x0 + x2 - (x1 + x3);
    z[i + 5] = y0 + y2 - (y1 + y3);
    z[i + 6] = x0 - x2 - (y1 - y3);
    z[i + 7] = y0 - y2 + (x1 - x3);
  }
}

function radix4(z: Float64Array, length: number, m: number, twiddles: Float64Array): void {
  const step = 2 * m;
  for (let base = 0; base < 2 * length; base += 4 * step) {
    for (let i = base, t = 0; i < base + step; i += 2, t += 6) {
      const i1 = i + step;
      const i2 = i1 + step;
      const i3 = i2 + step;
      const ar = z[i1] * twiddles[t] - z[i1 + 1] * twiddles[t + 1];
      const ai = z[i1] * twiddles[t + 1] + z[i1 + 1] * twiddles[t];
      const br = z[i2] * twiddles[t + 2] - z[i2 + 1] * twiddles[t + 3];
      const bi = z[i2] * twiddles[t + 3] + z[i2 + 1] * twiddles[t + 2];
      const cr = z[i3] * twiddles[t + 4] - z[i3 + 1] * twiddles[t + 5];
      const ci = z[i3] * twiddles[t + 5] + z[i3 + 1] * twiddles[t + 4];
      const sr = z[i] + br;
      const si = z[i + 1] + bi;
      const dr = z[i] - br;
      const di = z[i + 1] - bi;
      const tr = ar + cr;
      const ti = ai + ci;
      const er = ar - cr;
      const ei = ai - ci;
      z[i] = sr + tr;
      z[i + 1] = si + ti;
      z[i1] = dr + ei;
      z[i1 + 1] = di - er;
      z[i2] = sr - tr;
      z[i2 + 1] = si - ti;
      z[i3] = dr - ei;
      z[i3 + 1] = di + er;
    }
  }
}

function radix2(z: Float64Array, length: number, m: number, twiddles: Float64Array): void {
  const step = 2 * m;
  for (let base = 0; base < 2 * length; base += 2 * step) {
    for (let i = base, t = 0; i < base + step; i += 2, t += 2) {
      const i1 = i + step;
      const ar = z[i1] * twiddles[t] - z[i1 + 1] * twiddles[t + 1];
      const ai = z[i1] * twiddles[t + 1] + z[i1 + 1] * twiddles[t];
      z[i1] = z[i] - ar;
      z[i1 + 1] = z[i + 1] - ai;
      z[i] += ar;
      z[i + 1] += ai;
    }
  }
}

const sin60 = Math.sqrt(3) / 2;

function radix3(z: Float64Array, length: number, m: number, twiddles: Float64Array): void {
  const step = 2 * m;
  for (let base = 0; base < 2 * length; base += 3 * step) {
    for (let i = base, t = 0; i < base + step; i += 2, t += 4) {
      const i1 = i + step;
      const i2 = i1 + step;
      const ar = z[i1] * twiddles[t] - z[i1 + 1] * twiddles[t + 1];
      const ai = z[i1] * twiddles[t + 1] + z[i1 + 1] * twiddles[t];
      const br = z[i2] * twiddles[t + 2] - z[i2 + 1] * twiddles[t + 3];
      const bi = z[i2] * twiddles[t + 3] + z[i2 + 1] * twiddles[t + 2];
      const sr = ar + br;
      const si = ai + bi;
      const hr = z[i] - sr / 2;
      const hi = z[i + 1] - si / 2;
      const dr = (ar - br) * sin60;
      const di = (ai - bi) * sin60;
      z[i] += sr;
      z[i + 1] += si;
      z[i1] = hr + di;
      z[i1 + 1] = hi - dr;
      z[i2] = hr - di;
      z[i2 + 1] = hi + dr;
    }
  }
}

/** Any odd radix p: outputs k and p − k share the sums and differences of inputs q and p − q. */
function radixOdd(
  z: Float64Array,
  length: number,
  m: number,
  twiddles: Float64Array,
  radix: number,
  roots: Float64Array,
  scratch: Float64Array,
): void {
  const step = 2 * m;
  const half = (radix - 1) >> 1;
  for (let base = 0; base < 2 * length; base += radix * step) {
    for (let i = base, t = 0; i < base + step; i += 2, t += 2 * (radix - 1)) {
      const zr = z[i];
      const zi = z[i + 1];
      for (let q = 1; q < radix; q++) {
        const at = i + q * step;
        const c = twiddles[t + 2 * q - 2];
        const s = twiddles[t + 2 * q - 1];
        scratch[2 * q] = z[at] * c - z[at + 1] * s;
        scratch[2 * q + 1] = z[at] * s + z[at + 1] * c;
      }
      let totalR = zr;
      let totalI = zi;
      for (let q = 1; q <= half; q++) {
        const ar = scratch[2 * q];
        const ai = scratch[2 * q + 1];
        const br = scratch[2 * (radix - q)];
        const bi = scratch[2 * (radix - q) + 1];
        totalR += scratch[2 * q] = ar + br;
        totalI += scratch[2 * q + 1] = ai + bi;
        scratch[2 * (radix - q)] = ar - br;
        scratch[2 * (radix - q) + 1] = ai - bi;
      }
      z[i] = totalR;
      z[i + 1] = totalI;
      for (let k = 1; k <= half; k++) {
        let evenR = zr;
        let evenI = zi;
        let oddR = 0;
        let oddI = 0;
        for (let q = 1, turn = k; q <= half; q++, turn = turn + k < radix ? turn + k : turn + k - radix) {
          const c = roots[2 * turn];
          const s = roots[2 * turn + 1];
          evenR += scratch[2 * q] * c;
          evenI += scratch[2 * q + 1] * c;
          oddR -= scratch[2 * (radix - q) + 1] * s;
          oddI += scratch[2 * (radix - q)] * s;
        }
        z[i + k * step] = evenR + oddR;
        z[i + k * step + 1] = evenI + oddI;
        z[i + (radix - k) * step] = evenR - oddR;
        z[i + (radix - k) * step + 1] = evenI - oddI;
      }
    }
  }
}

/**
 * With jk = (j² + k² − (k − j)²)/2 the transform is a convolution with a chirp c_j = exp(−πi j²/n), here by transforms
 * of a power of two ≥ 2n − 1: Z_k = c_k Σ_j (z_j c_j) conj(c_{k−j}).
 */
function bluestein(length: number): Fft {
  let padded = 1;
  while (padded < 2 * length - 1) padded *= 2;
  const inner = fft(padded);
  const chirp = new Float64Array(2 * length);
  const kernel = new Float64Array(2 * padded);
  for (let j = 0; j < length; j++) {
    // j² mod 2n keeps the angle small, hence exact to a rounding.
    const angle = (Math.PI * ((j * j) % (2 * length))) / length;
    const c = (chirp[2 * j] = Math.cos(angle));
    const s = (chirp[2 * j + 1] = -Math.sin(angle));
    for (const at of [inner.place[j], inner.place[(padded - j) % padded]]) {
      kernel[2 * at] = c / padded;
      kernel[2 * at + 1] = -s / padded;
    }
  }
  inner.run(kernel);
  const spectrum = new Float64Array(2 * padded);
  const back = new Float64Array(2 * padded);
  const run = (z: Float64Array): void => {
    spectrum.fill(0);
    for (let j = 0; j < length; j++) {
      const at = 2 * inner.place[j];
      spectrum[at] = z[2 * j] * chirp[2 * j] - z[2 * j + 1] * chirp[2 * j + 1];
      spectrum[at + 1] = z[2 * j] * chirp[2 * j + 1] + z[2 * j + 1] * chirp[2 * j];
    }
    inner.run(spectrum);
    // Real and imaginary parts trade places before and after: that makes the same transform the inverse one.
    for (let k = 0; k < padded; k++) {
      const at = 2 * inner.place[k];
      back[at + 1] = spectrum[2 * k] * kernel[2 * k] - spectrum[2 * k + 1] * kernel[2 * k + 1];
      back[at] = spectrum[2 * k] * kernel[2 * k + 1] + spectrum[2 * k + 1] * kernel[2 * k];
    }
    inner.run(back);
    for (let k = 0; k < length; k++) {
      const re = back[2 * k + 1];
      const im = back[2 * k];
      z[2 * k] = re * chirp[2 * k] - im * chirp[2 * k + 1];
      z[2 * k + 1] = re * chirp[2 * k + 1] + im * chirp[2 * k];
    }
  };
  return {
    place: Uint32Array.from({ length }, (_, j) => j),
    run,
    runGathered(z, values, from, gather) {
      gatherAll(z, length, values, from, gather);
      run(z);
    },
  };
}
