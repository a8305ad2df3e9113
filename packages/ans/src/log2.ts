/**
 * Logarithms that are the same double on every engine. ECMAScript leaves Math.log2 to the implementation, and here
 * logarithms choose table sizes and merges, that is, bytes. Only + - * / are used, which IEEE 754 fixes exactly.
 * Source: ln(x) = 2 atanh((x - 1) / (x + 1)) and its Taylor series.
 *
 *     log2(8)                 // 3
 *     stepLogarithm(1)        // ln(2 / 1) = 0.6931471805599453
 */
const { LN2, SQRT2 } = Math;

/** 2 atanh(z) for 0 <= |z| <= 1/3: z + z^3/3 + z^5/5 ... until a term no longer changes the sum. */
function twiceAtanh(z: number): number {
  const square = z * z;
  let power = z;
  let sum = z;
  for (let odd = 3; odd < 60; odd += 2) {
    power *= square;
    const next = sum + power / odd;
    if (next === sum) break;
    sum = next;
  }
  return 2 * sum;
}

/** ln((n + 1) / n) for an integer n >= 1; falls strictly with n up to 2^14, which an optimal greedy needs. */
export function stepLogarithm(n: number): number {
  return twiceAtanh(1 / (2 * n + 1));
}

function computeLog2(x: number): number {
  let exponent = 0;
  let mantissa = x;
  while (mantissa > SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  return exponent + twiceAtanh((mantissa - 1) / (mantissa + 1)) / LN2;
}

/** log2 of 0 .. 4095, built at the first call (log2(0) is stored as 0, so that 0 log 0 = 0). */
let small: Float64Array | undefined;

/** @param x an integer count, 0 .. 2^53; @returns log2(x) in bits, and 0 for 0 */
export function log2(x: number): number {
  small ??= Float64Array.from({ length: 4096 }, (_, n) => (n > 0 ? computeLog2(n) : 0));
  if (x < 4096) return small[x];
  // The logarithm of the first 12 bits from the table, and a short series for the rest.
  let exponent = 0;
  let mantissa = x;
  for (; mantissa >= 2 ** 24; exponent += 12) mantissa /= 4096;
  for (; mantissa >= 4096; exponent++) mantissa /= 2;
  const first = Math.floor(mantissa);
  return exponent + small[first] + twiceAtanh((mantissa - first) / (mantissa + first)) / LN2;
}
