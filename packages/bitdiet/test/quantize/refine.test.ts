import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { learnPrices, refineRow } from "../../src/quantize/refine.js";

/** Bits of all levels of a row, each given its neighbours, by counting from the definition. */
function bitsOf(row: ArrayLike<number>, prices: Float64Array): number {
  let bits = 0;
  for (let c = 0; c < row.length; c++) {
    const around = Math.abs(row[c - 1] ?? 0) + Math.abs(row[c + 1] ?? 0);
    bits += prices[Math.min(around, 3) * 16 + Math.min(Math.abs(row[c]), 15)];
  }
  return bits;
}

describe("refineRow", () => {
  const problem = fc.record({
    size: fc.integer({ min: 1, max: 8 }),
    numbers: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 80, maxLength: 80 }),
    rate: fc.double({ min: 0, max: 0.3, noNaN: true }),
  });

  it("ends where no change of one level lowers error + rate, both computed from their definitions", () => {
    fc.assert(
      fc.property(problem, ({ size, numbers, rate }) => {
        const covariance = new Float64Array(size * size);
        for (let a = 0; a < size; a++)
          for (let b = 0; b < size; b++) {
            for (let k = 0; k < size; k++)
              covariance[a * size + b] += numbers[a * size + k] * numbers[b * size + k];
            if (a === b) covariance[a * size + b] += 0.1;
          }
        const wanted = Float64Array.from(numbers.slice(64, 64 + size), (x) => 3 * x);
        const step = 0.5;
        const levels = Int32Array.from(wanted, (w) => Math.round(w / step));
        const prices = learnPrices(levels, size);
        const cost = (row: ArrayLike<number>) => {
          let sum = rate * bitsOf(row, prices);
          for (let a = 0; a < size; a++)
            for (let b = 0; b < size; b++)
              sum += (wanted[a] - step * row[a]) * covariance[a * size + b] * (wanted[b] - step * row[b]);
          return sum;
        };
        const before = cost(levels);
        // Each call may stop early, after some passes; in the end nothing changes any more.
        let calls = 0;
        while (refineRow(wanted, covariance, { step, rate, prices }, levels))
          expect(++calls).toBeLessThan(50);
        expect(cost(levels)).toBeLessThanOrEqual(before + 1e-12);
        for (let c = 0; c < size; c++)
          for (const by of [-1, 1]) {
            const other = levels.slice();
            other[c] += by;
            expect(cost(other)).toBeGreaterThan(cost(levels) - 1e-9);
          }
      }),
    );
  });

  it("undoes a rounding that the neighbours make wrong", () => {
    // Two equal inputs: 0.4 + 0.4 is nearest to one step, not to none.
    const levels = new Int32Array(2);
    const covariance = Float64Array.of(1, 0.999, 0.999, 1);
    const wanted = Float64Array.of(0.4, 0.4);
    const prices = learnPrices(levels, 2);
    expect(refineRow(wanted, covariance, { step: 1, rate: 0, prices }, levels)).toBe(true);
    expect([...levels].sort()).toEqual([0, 1]);
  });
});

describe("learnPrices", () => {
  it("prices what occurred near its share, sign included", () => {
    const row = Int32Array.from({ length: 4000 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const prices = learnPrices(row, row.length);
    // Ones have zeros around; zeros have one 1, or in the middle of three none, around.
    expect(prices[1]).toBeCloseTo(Math.log2(2000 / 1000) + 1, 1);
    expect(prices[0]).toBeCloseTo(Math.log2(2000 / 1000), 1);
    expect(prices[16]).toBeCloseTo(0, 1);
    expect(prices[17]).toBeGreaterThan(9);
  });
});
