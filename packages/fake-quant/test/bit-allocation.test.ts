import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocateBits, allocateFromCurves, bitsAtSlope } from "../src/index.js";

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);
const modelDistortion = (variances: number[], bits: ArrayLike<number>) =>
  sum(variances.map((v, k) => v * 4 ** -bits[k]));
const curveDistortion = (curves: number[][], bits: ArrayLike<number>) =>
  sum(curves.map((curve, k) => curve[bits[k]]));
const cost = (bits: ArrayLike<number>, weights?: number[]) =>
  sum(Array.from(bits, (b, k) => b * (weights?.[k] ?? 1)));

/** Every allocation of up to `most[k]` bits. */
function* allocations(most: number[]): Generator<number[]> {
  const bits = most.map(() => 0);
  for (;;) {
    yield [...bits];
    let k = 0;
    while (k < most.length && bits[k] === most[k]) bits[k++] = 0;
    if (k === most.length) return;
    bits[k]++;
  }
}

// Tenths: fast-check's doubles are mostly tiny or huge, which leaves nothing to weigh up.
const tenths = (max: number) => fc.integer({ min: 0, max: 10 * max }).map((n) => n / 10);
const variance = tenths(100);
const curve = fc.array(tenths(100), { minLength: 1, maxLength: 5 });
const weight = fc.integer({ min: 1, max: 20 });

describe("allocateBits", () => {
  it("gives variances [16, 4, 1, 0.1] at 1.5 bits [3, 2, 1, 0], distortions [0.25, 0.25, 0.25, 0.1]", () => {
    const variances = [16, 4, 1, 0.1];
    const bits = allocateBits(variances, { meanBits: 1.5 });
    expect(bits).toBeInstanceOf(Uint8Array);
    expect([...bits]).toEqual([3, 2, 1, 0]);
    expect(variances.map((v, k) => v * 4 ** -bits[k])).toEqual([0.25, 0.25, 0.25, 0.1]);
  });

  it("matches the best of all allocations for groups of one size", () => {
    fc.assert(
      fc.property(fc.array(variance, { minLength: 1, maxLength: 5 }), tenths(4), (variances, meanBits) => {
        const bits = allocateBits(variances, { meanBits, maxBits: 4 });
        expect(cost(bits)).toBeLessThanOrEqual(meanBits * variances.length);
        let best = Number.POSITIVE_INFINITY;
        for (const other of allocations(variances.map(() => 4))) {
          if (cost(other) > meanBits * variances.length) continue;
          best = Math.min(best, modelDistortion(variances, other));
        }
        expect(modelDistortion(variances, bits)).toBeLessThanOrEqual(best * (1 + 1e-12));
      }),
      { numRuns: 150 },
    );
  });

  it("is reverse water-filling: with a fine budget every kept group ends within one bit of the same distortion", () => {
    const variances = Array.from({ length: 200 }, (_, k) => 1000 * 0.93 ** k);
    const bits = allocateBits(variances, { meanBits: 2, maxBits: 16 });
    expect(cost(bits)).toBe(400);
    const kept = variances.map((v, k) => v * 4 ** -bits[k]).filter((_, k) => bits[k] > 0);
    expect(Math.max(...kept) / Math.min(...kept)).toBeLessThanOrEqual(4);
    const dropped = variances.filter((_, k) => bits[k] === 0);
    expect(dropped.length).toBeGreaterThan(50);
    expect(Math.max(...dropped)).toBeLessThanOrEqual(4 * Math.min(...kept));
  });

  it("gains 1/2 log2 of the ratio of arithmetic to geometric mean over equal widths, as theory says", () => {
    const variances = [4 ** 4, 4 ** 3, 4 ** 1, 4 ** 0]; // widths 4 + [2, 1, -1, -2]
    const bits = allocateBits(variances, { meanBits: 4 });
    expect([...bits]).toEqual([6, 5, 3, 2]);
    expect(modelDistortion(variances, bits) / 4).toBeCloseTo(16 * 4 ** -4, 12); // geometric mean of the variances: 16
  });

  it("counts a bit as often as its group has values", () => {
    const weights = [10, 1];
    expect([...allocateBits([1, 1.1], { meanBits: 1 / 11, weights })]).toEqual([0, 1]);
    expect([...allocateBits([1, 1.1], { meanBits: 1, weights })]).toEqual([1, 1]);
    expect([...allocateBits([1, 1.1], { meanBits: 2, weights })]).toEqual([2, 2]);
  });

  it("is as good as the best of all allocations for a budget of one bit less in the largest group", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(variance, weight), { minLength: 1, maxLength: 4 }),
        tenths(4),
        (groups, meanBits) => {
          const weights = groups.map(([, w]) => w);
          const totals = groups.map(([v, w]) => v * w);
          const available = meanBits * sum(weights);
          const bits = allocateBits(
            groups.map(([v]) => v),
            { meanBits, maxBits: 4, weights },
          );
          expect(cost(bits, weights)).toBeLessThanOrEqual(available);
          let best = Number.POSITIVE_INFINITY;
          for (const other of allocations(weights.map(() => 4))) {
            if (cost(other, weights) > Math.max(0, available - Math.max(...weights))) continue;
            best = Math.min(best, modelDistortion(totals, other));
          }
          expect(modelDistortion(totals, bits)).toBeLessThanOrEqual(best * (1 + 1e-12));
        },
      ),
      { numRuns: 150 },
    );
  });

  it("gives equal groups their bits in order, and none to a group without variance", () => {
    expect([...allocateBits([1, 1, 1, 1], { meanBits: 1.5 })]).toEqual([2, 2, 1, 1]);
    expect([...allocateBits([0, 1, 0], { meanBits: 16 })]).toEqual([0, 8, 0]);
  });

  it("spends nothing on a budget of 0, and stops at maxBits", () => {
    expect([...allocateBits([5, 1], { meanBits: 0 })]).toEqual([0, 0]);
    expect([...allocateBits([5, 1], { meanBits: 99, maxBits: 3 })]).toEqual([3, 3]);
    expect([...allocateBits([5, 1], { meanBits: 1, maxBits: 0 })]).toEqual([0, 0]);
  });

  it("names the argument that is wrong", () => {
    expect(() => allocateBits([1, -1], { meanBits: 1 })).toThrow(
      "variances[1]: expected a finite number of at least 0, got -1",
    );
    expect(() => allocateBits([1], { meanBits: -1 })).toThrow(
      "meanBits: expected a finite number of at least 0, got -1",
    );
    expect(() => allocateBits([1], { meanBits: Number.NaN })).toThrow(RangeError);
    expect(() => allocateBits([1], { meanBits: 1, maxBits: 17 })).toThrow(
      "maxBits: expected an integer from 0 to 16, got 17",
    );
    expect(() => allocateBits([1, 2], { meanBits: 1, weights: [1] })).toThrow(
      "weights: expected 2 numbers, one a group, got 1",
    );
    expect(() => allocateBits([1], { meanBits: 1, weights: [0] })).toThrow(
      "weights[0]: expected a positive finite number, got 0",
    );
    expect(() => allocateBits([], { meanBits: 1 })).toThrow("groups: expected at least one, got none");
  });
});

describe("allocation from measured curves", () => {
  it("at a slope, minimizes distortion + slope * bits group by group", () => {
    const curves = [
      [10, 6, 1, 0.9],
      [4, 3, 2.9],
    ];
    expect([...bitsAtSlope(curves, 0)]).toEqual([3, 2]);
    expect([...bitsAtSlope(curves, 0.5)]).toEqual([2, 1]);
    expect([...bitsAtSlope(curves, 4)]).toEqual([2, 0]);
    expect([...bitsAtSlope(curves, 4.5)]).toEqual([0, 0]); // ties go to fewer bits
    expect([...bitsAtSlope(curves, 4.4, [1, 0.1])]).toEqual([2, 1]);
  });

  it("within the budget that a slope needs, finds that slope's distortion", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(curve, weight), { minLength: 1, maxLength: 8 }),
        tenths(5),
        (groups, slope) => {
          const curves = groups.map(([c]) => c);
          const weights = groups.map(([, w]) => w);
          const atSlope = bitsAtSlope(curves, slope, weights);
          const meanBits = cost(atSlope, weights) / sum(weights);
          // A hair more, lest the division leave the budget just short of itself.
          const bits = allocateFromCurves(curves, { meanBits: meanBits * (1 + 1e-12), weights });
          expect(cost(bits, weights)).toBeLessThanOrEqual(cost(atSlope, weights));
          expect(curveDistortion(curves, bits)).toBeCloseTo(curveDistortion(curves, atSlope), 8);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("never exceeds the budget, and comes as near the best of all allocations as one group's next step", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(curve, weight), { minLength: 1, maxLength: 4 }),
        tenths(4),
        (groups, meanBits) => {
          const curves = groups.map(([c]) => c);
          const weights = groups.map(([, w]) => w);
          const available = meanBits * sum(weights);
          const bits = allocateFromCurves(curves, { meanBits, weights });
          expect(cost(bits, weights)).toBeLessThanOrEqual(available);
          let best = Number.POSITIVE_INFINITY;
          for (const other of allocations(curves.map((c) => c.length - 1))) {
            if (cost(other, weights) <= available) best = Math.min(best, curveDistortion(curves, other));
          }
          const got = curveDistortion(curves, bits);
          expect(got).toBeGreaterThanOrEqual(best - 1e-9);
          const drops = curves.map((c, k) => c[bits[k]] - Math.min(...c.slice(bits[k])));
          expect(got - best).toBeLessThanOrEqual(Math.max(...drops) + 1e-9);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("equals allocateBits on curves of the model", () => {
    fc.assert(
      fc.property(fc.array(variance, { minLength: 1, maxLength: 30 }), tenths(8), (variances, meanBits) => {
        const curves = variances.map((v) => Array.from({ length: 9 }, (_, b) => v * 4 ** -b));
        expect(allocateFromCurves(curves, { meanBits })).toEqual(allocateBits(variances, { meanBits }));
      }),
    );
  });

  it("weighs what a bit removes against the values that it has to be spent on", () => {
    const curves = [
      [20, 5],
      [14, 0],
      [10, 0],
    ];
    expect([...allocateFromCurves(curves, { meanBits: 0.5, weights: [10, 5, 5] })]).toEqual([0, 1, 1]);
    expect([...allocateFromCurves(curves, { meanBits: 0.5 })]).toEqual([1, 0, 0]);
  });

  it("passes over bits that do not help, and takes those that help only together", () => {
    expect([...allocateFromCurves([[1, 2, 3]], { meanBits: 2 })]).toEqual([0]);
    expect([...allocateFromCurves([[8, 8, 0]], { meanBits: 1 })]).toEqual([0]);
    expect([...allocateFromCurves([[8, 8, 0]], { meanBits: 2 })]).toEqual([2]);
    expect([...allocateFromCurves([[8, 1, 7, 0]], { meanBits: 3 })]).toEqual([3]);
  });

  it("climbs a straight curve to its end, although rounding makes some of its steps steeper than those before", () => {
    const number = fc.double({ min: 0.01, max: 10, noNaN: true });
    fc.assert(
      fc.property(number, number, (start, fall) => {
        const straight = Array.from({ length: 9 }, (_, bits) => start - fall * bits);
        expect([...allocateFromCurves([straight], { meanBits: 8 })]).toEqual([8]);
      }),
    );
  });

  it("names the curve or the slope that is wrong", () => {
    expect(() => allocateFromCurves([[1], []], { meanBits: 1 })).toThrow(
      "curves[1]: expected 1 to 256 distortions, got 0",
    );
    expect(() => allocateFromCurves([[1, Number.NaN]], { meanBits: 1 })).toThrow(
      "curves[0][1]: expected a finite number, got NaN",
    );
    expect(() => bitsAtSlope([[1]], -1)).toThrow("slope: expected a finite number of at least 0, got -1");
    expect(() => bitsAtSlope([], 1)).toThrow("groups: expected at least one, got none");
  });
});
