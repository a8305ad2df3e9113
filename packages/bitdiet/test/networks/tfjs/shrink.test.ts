import { expect, test } from "vitest";
import { shrinkCorrelations } from "../../../src/networks/tfjs/shrink.js";
import { normals } from "../../formats/small-models.js";

/** Mean of x x^T of rows that end in 1. */
function gramOf(rows: number[][]): Float64Array {
  const n = rows[0].length;
  const gram = new Float64Array(n * n);
  for (const x of rows)
    for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) gram[a * n + b] += (x[a] * x[b]) / rows.length;
  return gram;
}
/** Columns with a share of a common part in them, around means of their own. */
const samples = (count: number, columns: number, common: number) => {
  const values = normals(count * (columns + 1), count);
  return Array.from({ length: count }, (_, i) => {
    const at = i * (columns + 1);
    const own = Array.from({ length: columns }, (_, c) => values[at + 1 + c] + common * values[at] + c);
    return [...own, 1];
  });
};

test("correlations of numbers that have nothing in common are taken for chance, those of many samples for real", () => {
  expect(shrinkCorrelations(gramOf(samples(20, 40, 0)), 41, 20, 20)).toBeGreaterThan(0.8);
  expect(shrinkCorrelations(gramOf(samples(20_000, 10, 1)), 11, 20_000, 20_000)).toBeLessThan(0.001);
});

test("rounding gets no more than the samples' share of what it could make use of", () => {
  // All columns are one: nothing of that is chance.
  expect(shrinkCorrelations(gramOf(samples(10, 30, 1000)), 31, 10, 10)).toBeCloseTo(0.75, 10);
});

test("what is left is nearer to the truth, and errors that few samples never saw cost something", () => {
  /** From the covariance that the numbers were made with: 0.16 off the diagonal. */
  const distance = (gram: Float64Array) => {
    let sum = 0;
    for (let a = 0; a < 30; a++)
      for (let b = 0; b < a; b++)
        sum += (gram[a * 31 + b] - gram[30 * 31 + a] * gram[30 * 31 + b] - 0.16) ** 2;
    return sum;
  };
  const few = gramOf(samples(15, 30, 0.4));
  const shrunk = few.slice();
  shrinkCorrelations(shrunk, 31, 15, 15);
  expect(distance(shrunk)).toBeLessThan(distance(few));
});

test("means and variances stay to the bit, and a column that never varies stays as it is", () => {
  const rows = samples(12, 5, 1).map((row) => [3, ...row]);
  const before = gramOf(rows);
  const gram = before.slice();
  shrinkCorrelations(gram, 7, 12, 12);
  for (let c = 0; c < 7; c++) {
    expect(gram[c * 8]).toBe(before[c * 8]);
    expect(gram[6 * 7 + c]).toBe(before[6 * 7 + c]);
    expect(gram[c]).toBeCloseTo(before[c], 10);
  }
});
