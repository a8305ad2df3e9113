import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeWeights, estimateBits, weightContexts, weightRateModel } from "../src/index.js";
import { geometric, kernels } from "./sources.js";

const shape = { rowLength: 144, kernel: [3, 3] as const };

describe("estimateBits", () => {
  it("is the written payload to within 0.1 % and one byte, whatever the integers", () => {
    const cases = [
      { integers: kernels(64, 16, 1), ...shape },
      { integers: geometric(100_000, 0.05, 2), rowLength: 100 },
      { integers: geometric(50_000, 0.99, 3), rowLength: 50, kernel: [5, 5] as const },
      { integers: new Int32Array(30_000), rowLength: 10 },
    ];
    for (const { integers, ...options } of cases) {
      const written = 8 * encodeWeights(integers, options).length;
      expect(Math.abs(written - estimateBits(integers, options))).toBeLessThan(0.001 * written + 8);
    }
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), { maxLength: 50 }),
        (values) => {
          const integers = Int32Array.from(values);
          const written = 8 * encodeWeights(integers).length;
          expect(Math.abs(written - estimateBits(integers))).toBeLessThan(0.001 * written + 8);
        },
      ),
    );
  });

  it("teaches given contexts what encoding would teach them", () => {
    const integers = kernels(16, 16, 4);
    const estimated = weightContexts();
    const encoded = weightContexts();
    estimateBits(integers, shape, estimated);
    encodeWeights(integers, shape, encoded);
    expect(estimated).toEqual(encoded);
  });
});

describe("weightRateModel", () => {
  it("sums to estimateBits, however many other integers are priced on the way", () => {
    const integers = kernels(20, 16, 6);
    const model = weightRateModel(shape);
    let bits = 0;
    for (const integer of integers) {
      for (const other of [integer + 1, -integer, 0, 12, 2 ** 31 - 1]) model.bits(other);
      bits += model.bits(integer);
      model.update(integer);
    }
    expect(bits).toBeCloseTo(estimateBits(integers, shape), 6);
  });

  it("prices all integers as one probability distribution", () => {
    const model = weightRateModel(shape);
    for (const integer of kernels(4, 16, 8)) {
      let total = 0;
      for (let k = -600; k <= 600; k++) total += 2 ** -model.bits(k);
      expect(total).toBeGreaterThan(0.998);
      expect(total).toBeLessThan(1.000001);
      model.update(integer);
    }
  });

  it("makes a zero cheap where all neighbours are zeros, and the neighbours' sign cheaper than the other", () => {
    const model = weightRateModel(shape);
    const start = model.bits(0);
    for (let i = 0; i < 144; i++) model.update(0);
    expect(model.bits(0)).toBeLessThan(0.2 * start);
    const smooth = weightRateModel(shape);
    for (const integer of kernels(64, 16, 9)) smooth.update(Math.abs(integer));
    smooth.update(3);
    expect(smooth.bits(3)).toBeLessThan(smooth.bits(-3) - 1);
  });
});
