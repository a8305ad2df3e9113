import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import {
  affineFromRange,
  affineQuantizer,
  gaussRange,
  laplaceRange,
  mergeMoments,
  minMaxRange,
  moments,
  mseRange,
  percentileRange,
  type Range,
  sigmaRange,
} from "../src/index.js";
import { normal, onEachBackend, uniform } from "./setup.js";

// Reach of a clip in units of its spread, for data symmetric about 0 whose extremes lie far outside.
const farOut = { count: 1e9, mean: 0, variance: 1, min: -1000, max: 1000 };

describe("moments", () => {
  it("are the textbook's", () => {
    expect(moments([0, 1, 2, 10])).toEqual({ count: 4, mean: 3.25, variance: 15.6875, min: 0, max: 10 });
    const x = normal(1000, 1, 1e6, 0.01); // where E[x^2] - E[x]^2 has no digit left
    const y = moments(x);
    const mean = x.reduce((sum, v) => sum + v, 0) / 1000;
    expect(y.variance).toBeCloseTo(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 1000, 12);
  });

  it("merge exactly, whatever the batches", () => {
    const x = normal(1000, 2, 3, 2);
    const cuts = [0, 1, 10, 11, 400, 1000];
    const batches = cuts.slice(1).map((end, i) => x.subarray(cuts[i], end));
    const merged = batches.map(moments).reduce(mergeMoments);
    const whole = moments(x);
    expect(merged.count).toBe(1000);
    expect(merged.mean).toBeCloseTo(whole.mean, 12);
    expect(merged.variance).toBeCloseTo(whole.variance, 12);
    expect([merged.min, merged.max]).toEqual([whole.min, whole.max]);
  });

  it("reject nothing, NaN and infinities, by position", () => {
    expect(() => moments([])).toThrow("x: expected at least one value, got none");
    for (const range of [
      minMaxRange,
      moments,
      percentileRange,
      (x: number[]) => laplaceRange(x, 4),
      (x: number[]) => mseRange(x, { bits: 4 }),
    ]) {
      expect(() => range([1, Number.NaN])).toThrow("x: expected finite values, got NaN at 1");
      expect(() => range([Number.NEGATIVE_INFINITY])).toThrow(
        "x: expected finite values, got -Infinity at 0",
      );
    }
  });
});

describe("sigmaRange", () => {
  it("is mean +- k deviations, within the data's own range", () => {
    expect(sigmaRange({ ...farOut, mean: 2, variance: 4 })).toEqual({ min: -4, max: 8 });
    expect(sigmaRange({ count: 9, mean: 2, variance: 4, min: 0, max: 7.5 }, 2)).toEqual({ min: 0, max: 6 });
    expect(() => sigmaRange(farOut, 0)).toThrow("k: expected a positive number, got 0");
  });
});

describe("laplaceRange and gaussRange", () => {
  // Constants as published with ACIQ and used by CAT for data of one sign, bits 1 .. 8.
  const laplace = [2.83, 3.89, 5.05, 6.2, 7.41, 8.64, 9.89, 11.16];
  const gauss = [1.71, 2.15, 2.55, 2.93, 3.28, 3.61, 3.92, 4.2];

  it("reach as far as ACIQ's constants for data of one sign, and at one bit more for data of both", () => {
    for (let width = 1; width <= 8; width++) {
      const oneSided = { ...farOut, min: 0 };
      expect(Math.abs(gaussRange(oneSided, width).max - gauss[width - 1])).toBeLessThan(0.02);
      expect(gaussRange(farOut, width + 1).max).toBe(gaussRange(oneSided, width).max);
      expect(gaussRange(farOut, width + 1).min).toBe(-gaussRange(farOut, width + 1).max);
      // A sample of mean 50 and mean deviation 1, with an extreme on either side.
      const x = [0, 100, ...Array.from({ length: 9900 }, (_, i) => (i % 2 ? 50.5 : 49.5))];
      const deviation = (100 + 4950) / 9902;
      const reach = (laplaceRange(x, width).max - 50) / deviation;
      expect(Math.abs(reach - laplace[width - 1])).toBeLessThan(0.04);
    }
  });

  it("reach where the published error has its minimum", () => {
    // Laplace: 2 b^2 e^(-a/b) + a^2 / (3 * 4^bits).
    const mse = (a: number, width: number) => 2 * Math.exp(-a) + (a * a) / (3 * 4 ** width);
    const x = [-100, 100, ...Array.from({ length: 99998 }, (_, i) => (i % 2 ? 1 : -1))];
    const deviation = (200 + 99998) / 100000;
    for (let width = 2; width <= 8; width++) {
      const a = laplaceRange(x, width).max / deviation;
      expect(mse(a, width)).toBeLessThan(mse(a * 1.01, width));
      expect(mse(a, width)).toBeLessThan(mse(a * 0.99, width));
    }
  });

  it("beat the min-max range on data of their kind", () => {
    const random = uniform(9);
    const laplaceData = Float32Array.from({ length: 20000 }, () => {
      const u = random() - 0.5;
      return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u) + 1e-12);
    });
    expect(error(laplaceData, laplaceRange(laplaceData, 3), 3)).toBeLessThan(
      0.5 * error(laplaceData, minMaxRange(laplaceData), 3),
    );
    const gaussData = normal(20000, 10);
    expect(error(gaussData, gaussRange(moments(gaussData), 3), 3)).toBeLessThan(
      0.6 * error(gaussData, minMaxRange(gaussData), 3),
    );
  });
});

describe("percentileRange", () => {
  it("interpolates as numpy.percentile does", () => {
    const { min, max } = percentileRange([10, 0, 2, 1], 90); // numpy: 0.3, 7.6
    expect(min).toBeCloseTo(0.3, 12);
    expect(max).toBeCloseTo(7.6, 12);
    expect(percentileRange([3, 1, 2], 100)).toEqual({ min: 1, max: 3 });
    expect(percentileRange([5], 99)).toEqual({ min: 5, max: 5 });
    expect(() => percentileRange([1], 50)).toThrow(RangeError);
  });
});

describe("mseRange", () => {
  it("is no worse than any other rule, nor than any shrunken range", () => {
    for (const x of [
      normal(3000, 20),
      normal(3000, 21).map(Math.abs),
      normal(3000, 22, 0.5).map((v) => v ** 3),
    ]) {
      for (const width of [2, 4, 6]) {
        const best = error(x, mseRange(x, { bits: width }), width);
        for (const other of [
          minMaxRange(x),
          sigmaRange(moments(x)),
          laplaceRange(x, width),
          gaussRange(moments(x), width),
          percentileRange(x),
        ]) {
          expect(best).toBeLessThanOrEqual(1.01 * error(x, other, width));
        }
        const full = minMaxRange(x);
        for (let f = 0.02; f <= 1; f += 0.02) {
          expect(best).toBeLessThanOrEqual(1.01 * error(x, { min: full.min * f, max: full.max * f }, width));
        }
      }
    }
  });

  it("finds what is exactly representable", () => {
    const x = [0, 1, 2, 3, 3, 3];
    expect(mseRange(x, { bits: 2 })).toEqual({ min: 0, max: 3 });
    expect(mseRange([-3, 0, 1, 2], { bits: 3, signed: true })).toEqual({ min: -3, max: 2 });
  });
});

describe("affineFromRange", () => {
  it("makes 0 a level", () => {
    expect(affineFromRange({ min: 0, max: 3 }, { bits: 4 })).toEqual({ bits: 4, scale: 0.2, zeroPoint: 0 });
    expect(affineFromRange({ min: 1, max: 3 }, { bits: 4 })).toEqual({ bits: 4, scale: 0.2, zeroPoint: 0 });
    expect(affineFromRange({ min: -1, max: 2 }, { bits: 4 })).toEqual({ bits: 4, scale: 0.2, zeroPoint: 5 });
    expect(affineFromRange({ min: -3, max: -1 }, { bits: 4 })).toEqual({
      bits: 4,
      scale: 0.2,
      zeroPoint: 15,
    });
    expect(affineFromRange({ min: -7, max: 3 }, { bits: 4, signed: true })).toEqual({
      bits: 4,
      signed: true,
      scale: 1,
    });
  });

  it("rejects what is no range", () => {
    expect(() => affineFromRange({ min: 1, max: 0 }, { bits: 4 })).toThrow(
      "range: expected finite min <= max, got 1 .. 0",
    );
    expect(() => affineFromRange({ min: 0, max: Number.POSITIVE_INFINITY }, { bits: 4 })).toThrow(RangeError);
  });
});

onEachBackend(() => {
  it("a constant tensor gets one index, its own value and a zero gradient of the entropy", () => {
    for (const c of [0, 2.5, -2.5, 1e-44]) {
      for (const signed of [false, true]) {
        const x = tf.fill([50], c);
        for (const range of [
          minMaxRange(x),
          sigmaRange(moments(x)),
          laplaceRange(x, 4),
          gaussRange(moments(x), 4),
          percentileRange(x),
          mseRange(x, { bits: 4, signed }),
        ]) {
          const q = affineQuantizer(affineFromRange(range, { bits: 4, signed }));
          expect(new Set(q.quantize(x).dataSync()).size).toBe(1);
          expect(q.fakeQuantize(x).dataSync()[0]).toBeCloseTo(c, 6);
        }
      }
    }
  });
});

function error(x: Float32Array, range: Range, width: number): number {
  const { scale, zeroPoint } = affineFromRange(range, { bits: width }) as {
    scale: number;
    zeroPoint: number;
  };
  let sum = 0;
  for (const v of x) {
    const index = Math.min(2 ** width - 1, Math.max(0, Math.round(v / scale) + zeroPoint));
    sum += (v - (index - zeroPoint) * scale) ** 2;
  }
  return sum / x.length;
}
