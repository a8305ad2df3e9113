/**
 * The orthonormal discrete cosine transform (Ahmed, Natarajan and Rao, 1974) of any length N,
 *   y_k = a_k Σ_n x_n cos(π (2n + 1) k / 2N),  a_0 = √(1/N), a_k = √(2/N)   (DCT-II)
 * whose transpose (DCT-III) is its inverse. Fast for every N: N/2 complex points for even N, the transform of a reordered
 * row (Makhoul, "A fast cosine transform in one and two dimensions", IEEE Trans. ASSP 28, 1980).
 *
 * [8, 16, 24, 32, 40, 48, 56, 64] → [101.823, −51.539, 0, −5.388, 0, −1.607, 0, −0.406].
 */
import { checkPositive, checkRows } from "./check.js";
import { fft } from "./fft.js";
import type { Transform } from "./transform.js";

/** The DCT-II as a matrix, for `keep`, for `/training` and for storing; `dct` gives the same coefficients faster. */
export function dctTransform(size: number): Transform {
  checkPositive("size", size);
  const basis = new Float32Array(size * size);
  for (let k = 0; k < size; k++) {
    const scale = Math.sqrt((k === 0 ? 1 : 2) / size);
    for (let n = 0; n < size; n++) {
      // The angle is reduced to one turn as an integer, so that it is exact for any size.
      basis[k * size + n] = scale * Math.cos((Math.PI * (((2 * n + 1) * k) % (4 * size))) / (2 * size));
    }
  }
  return { basis, rows: size, size };
}

/**
 * DCT-II of each row. Scratch is float64, so a result is off by its rounding to float32 alone; rows do not touch each
 * other, so a NaN stays in its row.
 *
 * @param rows count × size values, row-major
 * @param size length N of a row, any positive integer; fastest where its prime factors are small
 * @returns count × size coefficients, frequency rising along the row
 * @throws {TypeError} where `rows` is no Float32Array, RangeError where it does not hold whole rows
 */
export function dct(rows: Float32Array, size: number): Float32Array {
  return eachRow("rows", rows, size, planFor(size).forward);
}

/** DCT-III of each row, the inverse of `dct`. Shapes, range and errors as there. */
export function idct(coefficients: Float32Array, size: number): Float32Array {
  return eachRow("coefficients", coefficients, size, planFor(size).inverse);
}

type RowTransform = (input: Float32Array, output: Float32Array, offset: number) => void;

interface Plan {
  size: number;
  forward: RowTransform;
  inverse: RowTransform;
}

function eachRow(name: string, input: Float32Array, size: number, transform: RowTransform): Float32Array {
  checkRows(name, input, size);
  const output = new Float32Array(input.length);
  for (let offset = 0; offset < input.length; offset += size) transform(input, output, offset);
  return output;
}

/** Tables of the length used last: a call with few rows would otherwise pay mostly for cosines. */
let lastPlan: Plan | undefined;

function planFor(size: number): Plan {
  checkPositive("size", size);
  if (lastPlan?.size !== size) lastPlan = size % 2 === 0 ? evenPlan(size) : oddPlan(size);
  return lastPlan;
}

/** Where Makhoul's v_i comes from: the even samples rising, then the odd ones falling. */
function reordered(i: number, size: number): number {
  return 2 * i < size ? 2 * i : 2 * (size - i) - 1;
}

/**
 * Even N: v_2n + i v_2n+1 goes through M = N/2 complex points to Z; with E and O the spectra of the even and odd v,
 * V_k = E + O and V_M−k = conj(E − O), and each V yields two coefficients: y_k and −y_N−k are the real and imaginary
 * part of a_k exp(−πik/2N) V_k.
 */
function evenPlan(size: number): Plan {
  const half = size / 2;
  const { place, run, runGathered } = fft(half);
  const source = Uint32Array.from({ length: size }, (_, i) => reordered(i, size));
  const gather = new Uint32Array(size);
  for (let n = 0; n < half; n++) {
    gather[2 * place[n]] = source[2 * n];
    gather[2 * place[n] + 1] = source[2 * n + 1];
  }
  const pairs = half >> 1;
  // Six numbers a pair (k, M − k): −i exp(−2πik/N), then √(2/N)/2 · exp(−πij/2N) for j = k and j = M − k.
  const factors = new Float64Array(6 * (pairs + 1));
  const scale = Math.sqrt(2 / size) / 2;
  for (let k = 1, t = 6; k <= pairs; k++) {
    factors[t++] = -Math.sin((2 * Math.PI * k) / size);
    factors[t++] = -Math.cos((2 * Math.PI * k) / size);
    for (const j of [k, half - k]) {
      factors[t++] = scale * Math.cos((Math.PI * j) / (2 * size));
      factors[t++] = -scale * Math.sin((Math.PI * j) / (2 * size));
    }
  }
  const root = Math.sqrt(1 / size);
  const z = new Float64Array(size);
  return {
    size,
    forward(input, output, offset) {
      runGathered(z, input, offset, gather);
      output[offset] = (z[0] + z[1]) * root;
      output[offset + half] = (z[0] - z[1]) * root;
      for (let k = 1, t = 6; k <= pairs; k++, t += 6) {
        const m = half - k;
        const er = z[2 * k] + z[2 * m];
        const ei = z[2 * k + 1] - z[2 * m + 1];
        const dr = z[2 * k] - z[2 * m];
        const di = z[2 * k + 1] + z[2 * m + 1];
        const or = factors[t] * dr - factors[t + 1] * di;
        const oi = factors[t] * di + factors[t + 1] * dr;
        const vr = er + or;
        const vi = ei + oi;
        const ur = er - or;
        const ui = oi - ei;
        output[offset + k] = factors[t + 2] * vr - factors[t + 3] * vi;
        output[offset + size - k] = -factors[t + 2] * vi - factors[t + 3] * vr;
        output[offset + m] = factors[t + 4] * ur - factors[t + 5] * ui;
        output[offset + size - m] = -factors[t + 4] * ui - factors[t + 5] * ur;
      }
    },
    // The same steps backwards. z holds (im, re): with the parts exchanged the forward transform is the inverse one.
    inverse(input, output, offset) {
      z[2 * place[0] + 1] = (input[offset] + input[offset + half]) * root;
      z[2 * place[0]] = (input[offset] - input[offset + half]) * root;
      for (let k = 1, t = 6; k <= pairs; k++, t += 6) {
        const m = half - k;
        const p = input[offset + k];
        const q = input[offset + size - k];
        const r = input[offset + m];
        const s = input[offset + size - m];
        const vr = factors[t + 2] * p - factors[t + 3] * q;
        const vi = -factors[t + 2] * q - factors[t + 3] * p;
        const ur = factors[t + 4] * r - factors[t + 5] * s;
        const ui = -factors[t + 4] * s - factors[t + 5] * r;
        const er = vr + ur;
        const ei = vi - ui;
        const or = vr - ur;
        const oi = vi + ui;
        const dr = factors[t] * or + factors[t + 1] * oi;
        const di = factors[t] * oi - factors[t + 1] * or;
        z[2 * place[k] + 1] = er + dr;
        z[2 * place[k]] = ei + di;
        z[2 * place[m] + 1] = er - dr;
        z[2 * place[m]] = di - ei;
      }
      run(z);
      for (let i = 0; i < size; i += 2) {
        output[offset + source[i]] = z[i + 1];
        output[offset + source[i + 1]] = z[i];
      }
    },
  };
}

/** Odd N: N complex points with a zero imaginary part; half of the Hermitian spectrum is used. */
function oddPlan(size: number): Plan {
  const { place, run } = fft(size);
  const factors = new Float64Array(size + 1);
  const scale = Math.sqrt(2 / size);
  for (let k = 1; 2 * k < size; k++) {
    factors[2 * k] = scale * Math.cos((Math.PI * k) / (2 * size));
    factors[2 * k + 1] = -scale * Math.sin((Math.PI * k) / (2 * size));
  }
  const root = Math.sqrt(1 / size);
  const z = new Float64Array(2 * size);
  return {
    size,
    forward(input, output, offset) {
      for (let i = 0; i < size; i++) {
        z[2 * place[i]] = input[offset + reordered(i, size)];
        z[2 * place[i] + 1] = 0;
      }
      run(z);
      output[offset] = z[0] * root;
      for (let k = 1; 2 * k < size; k++) {
        output[offset + k] = factors[2 * k] * z[2 * k] - factors[2 * k + 1] * z[2 * k + 1];
        output[offset + size - k] = -factors[2 * k] * z[2 * k + 1] - factors[2 * k + 1] * z[2 * k];
      }
    },
    inverse(input, output, offset) {
      z[2 * place[0]] = input[offset] * root;
      z[2 * place[0] + 1] = 0;
      for (let k = 1; 2 * k < size; k++) {
        const p = input[offset + k] / 2;
        const q = input[offset + size - k] / 2;
        const re = factors[2 * k] * p - factors[2 * k + 1] * q;
        const im = -factors[2 * k] * q - factors[2 * k + 1] * p;
        // The sum over both halves is real and even in the sign of i: conj(V) in the place of V gives the inverse.
        z[2 * place[k]] = re;
        z[2 * place[k] + 1] = -im;
        z[2 * place[size - k]] = re;
        z[2 * place[size - k] + 1] = im;
      }
      run(z);
      for (let i = 0; i < size; i++) output[offset + reordered(i, size)] = z[2 * i];
    },
  };
}
