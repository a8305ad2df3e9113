import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeWeights, estimateBits, weightContexts, weightRateModel } from "../src/index.js";
import { geometric, kernels } from "./sources.js";

const shape = { rowLength: 144, kernel: [3, 3] as const };

describe("estimateBits", () => {
  it("is the written payload to within 0.1 % and one byte, whatever the levels", () => {
    const cases = [
      { levels: kernels(64, 16, 1), ...shape },
      { levels: geometric(100_000, 0.05, 2), rowLength: 100 },
      { levels: geometric(50_000, 0.99, 3), rowLength: 50, kernel: [5, 5] as const },
      { levels: new Int32Array(30_000), rowLength: 10 },
    ];
    for (const { levels, ...options } of cases) {
      const written = 8 * encodeWeights(levels, options).length;
      expect(Math.abs(written - estimateBits(levels, options))).toBeLessThan(0.001 * written + 8);
    }
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), { maxLength: 50 }),
        (values) => {
          const levels = Int32Array.from(values);
          const written = 8 * encodeWeights(levels).length;
          expect(Math.abs(written - estimateBits(levels))).toBeLessThan(0.001 * written + 8);
        },
      ),
    );
  });

  it("teaches given contexts what encoding would teach them", () => {
    const levels = kernels(16, 16, 4);
    const estimated = weightContexts();
    const encoded = weightContexts();
    estimateBits(levels, { ...shape, contexts: estimated });
    encodeWeights(levels, { ...shape, contexts: encoded });
    expect(estimated).toEqual(encoded);
  });
});

describe("weightRateModel", () => {
  it("sums to estimateBits, however many other levels are priced on the way", () => {
    const levels = kernels(20, 16, 6);
    const model = weightRateModel(shape);
    let bits = 0;
    for (const level of levels) {
      for (const other of [level + 1, -level, 0, 12, 2 ** 31 - 1]) model.bits(other);
      bits += model.bits(level);
      model.update(level);
    }
    expect(bits).toBeCloseTo(estimateBits(levels, shape), 6);
  });

  it("prices all levels as one probability distribution", () => {
    const model = weightRateModel(shape);
    for (const level of kernels(4, 16, 8)) {
      let total = 0;
      for (let k = -600; k <= 600; k++) total += 2 ** -model.bits(k);
      expect(total).toBeGreaterThan(0.998);
      expect(total).toBeLessThan(1.000001);
      model.update(level);
    }
  });

  it("makes a zero cheap where all neighbours are zeros, and the neighbours' sign cheaper than the other", () => {
    const model = weightRateModel(shape);
    const start = model.bits(0);
    for (let i = 0; i < 144; i++) model.update(0);
    expect(model.bits(0)).toBeLessThan(0.2 * start);
    const smooth = weightRateModel(shape);
    for (const level of kernels(64, 16, 9)) smooth.update(Math.abs(level));
    smooth.update(3);
    expect(smooth.bits(3)).toBeLessThan(smooth.bits(-3) - 1);
  });
});
