import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { log2, stepLogarithm } from "../src/log2.js";
import { normalizeCounts } from "../src/normalize.js";

const cost = (counts: readonly number[], frequencies: ArrayLike<number>, size: number): number =>
  counts.reduce((sum, count, i) => sum + (count > 0 ? count * Math.log2(size / frequencies[i]) : 0), 0);

/** Least cost over every way to share `left` slots among the counts from `i` on. */
function leastCost(counts: readonly number[], size: number, i = 0, left = size): number {
  if (i === counts.length - 1) return counts[i] * Math.log2(size / left);
  let best = Number.POSITIVE_INFINITY;
  for (let frequency = 1; frequency <= left - (counts.length - 1 - i); frequency++) {
    const own = counts[i] * Math.log2(size / frequency);
    if (own < best) best = Math.min(best, own + leastCost(counts, size, i + 1, left - frequency));
  }
  return best;
}

describe("normalizeCounts", () => {
  it("costs no more than the best of all ways to share a small table, by brute force", () => {
    const count = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 1_000_000 }));
    fc.assert(
      fc.property(
        fc.array(count, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 2, max: 5 }),
        (counts, tableLog) => {
          const frequencies = normalizeCounts(counts, tableLog);
          const best = leastCost(counts, 2 ** tableLog);
          expect(cost(counts, frequencies, 2 ** tableLog)).toBeLessThanOrEqual(best * (1 + 1e-12) + 1e-9);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("sums to the table size and keeps every present symbol, up to 4,096 symbols", () => {
    const counts = fc
      .array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 2 ** 40 })), {
        minLength: 1,
        maxLength: 4096,
        size: "max",
      })
      .filter((list) => list.some((count) => count > 0));
    fc.assert(
      fc.property(counts, fc.integer({ min: 12, max: 14 }), (list, tableLog) => {
        const frequencies = normalizeCounts(list, tableLog);
        expect(frequencies.reduce((a, b) => a + b, 0)).toBe(2 ** tableLog);
        expect(list.every((count, i) => count > 0 === frequencies[i] > 0)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it("leaves no slot that would save more with another symbol", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 2, maxLength: 300 }),
        fc.integer({ min: 9, max: 14 }),
        (counts, tableLog) => {
          const frequencies = Array.from(normalizeCounts(counts, tableLog));
          const gains = frequencies.map((f, i) => counts[i] * Math.log1p(1 / f));
          const losses = frequencies.map((f, i) =>
            f > 1 ? counts[i] * Math.log1p(1 / (f - 1)) : Number.POSITIVE_INFINITY,
          );
          expect(Math.max(...gains)).toBeLessThanOrEqual(Math.min(...losses) * (1 + 1e-12));
        },
      ),
    );
  });

  it("gives one symbol at almost 1 all slots but one for each other", () => {
    expect(Array.from(normalizeCounts([1e15, 1, 1], 9))).toEqual([510, 1, 1]);
    const counts = new Array(4096).fill(1);
    counts[7] = 2 ** 50;
    const frequencies = normalizeCounts(counts, 12);
    expect(frequencies.every((frequency) => frequency === 1)).toBe(true);
    expect(normalizeCounts(counts, 13)[7]).toBe(8192 - 4095);
  });

  it("gives a lone symbol the whole table, and equal counts equal shares", () => {
    expect(Array.from(normalizeCounts([0, 5, 0], 14))).toEqual([0, 16384, 0]);
    expect(Array.from(normalizeCounts(new Array(256).fill(3), 9))).toEqual(new Array(256).fill(2));
  });

  it("refuses alphabets larger than the table and counts that are none, naming the argument", () => {
    expect(() => normalizeCounts(new Array(513).fill(1), 9)).toThrow(
      new RangeError("counts: expected at most 512 symbols for tableLog 9, got 513"),
    );
    expect(() => normalizeCounts(new Array(4097).fill(1), 14)).toThrow(RangeError);
    expect(() => normalizeCounts([0, 0], 9)).toThrow(RangeError);
    expect(() => normalizeCounts([1, -1], 9)).toThrow(/counts\[1\].*got -1/);
    expect(() => normalizeCounts([0.5], 9)).toThrow(RangeError);
    expect(() => normalizeCounts([Number.NaN], 9)).toThrow(RangeError);
    expect(() => normalizeCounts([1], 15)).toThrow(/tableLog.*got 15/);
  });
});

describe("the portable logarithms", () => {
  it("agree with Math.log2 and Math.log1p to the last digits", () => {
    for (const x of [
      1,
      2,
      3,
      5,
      1000,
      4095,
      4096,
      4097,
      65535,
      65536,
      1e6,
      123456789,
      2 ** 40 + 1,
      2 ** 52,
    ]) {
      expect(Math.abs(log2(x) - Math.log2(x))).toBeLessThanOrEqual(1e-14 * Math.max(1, Math.log2(x)));
    }
    for (let n = 1; n <= 16384; n = Math.ceil(n * 1.3)) {
      expect(Math.abs(stepLogarithm(n) / Math.log1p(1 / n) - 1)).toBeLessThan(1e-14);
    }
    expect(log2(0)).toBe(0);
  });
});
