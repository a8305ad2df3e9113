import { estimateBits, weightRateModel } from "@bitdiet/cabac";
import { describe, expect, it } from "vitest";
import { dequantize } from "../../src/file/quantized-tensor.js";
import { cheapest, quantizeWeights } from "../../src/quantize/weights.js";

/** Reproducible Laplace-like numbers: products of two uniform ones. */
function noise(count: number, scale = 1): Float32Array {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Float32Array.from({ length: count }, () => scale * next() * next());
}

const errorOf = (values: Float32Array, other: Float32Array) =>
  Math.sqrt(values.reduce((sum, value, i) => sum + (value - other[i]) ** 2, 0) / values.length);

describe("quantizeWeights", () => {
  it("halves the error and adds about a bit a weight for each unit of fineness", () => {
    const values = noise(64 * 256);
    const [coarse, fine] = [3, 4].map(
      (fineness) => quantizeWeights({ values, shape: [64, 256], axis: 0 }, fineness)!,
    );
    const ratio = errorOf(values, dequantize(coarse)) / errorOf(values, dequantize(fine));
    expect(ratio).toBeGreaterThan(1.8);
    expect(ratio).toBeLessThan(2.1);
    const bits = (integers: Int32Array) => estimateBits(integers, { rowLength: 256 }) / integers.length;
    expect(bits(fine.integers) - bits(coarse.integers)).toBeCloseTo(1, 0);
  });

  it("gives each row the same relative error, whatever its scale", () => {
    const values = noise(4 * 1000);
    for (let i = 1000; i < 2000; i++) values[i] *= 1000;
    const { steps } = quantizeWeights({ values, shape: [4, 1000], axis: 0 }, 4)!;
    expect(steps[1] / steps[0]).toBeGreaterThan(800);
    expect(steps[1] / steps[0]).toBeLessThan(1250);
  });

  it("costs less than rounding to the nearest level at equal error", () => {
    const values = noise(64 * 256);
    const quantized = quantizeWeights({ values, shape: [64, 256], axis: 0 }, 0)!;
    const error = errorOf(values, dequantize(quantized));
    // The step at which plain rounding makes the same error.
    let step = 0.2;
    const rounded = () => Int32Array.from(values, (value) => Math.round(value / step));
    while (
      errorOf(
        values,
        Float32Array.from(rounded(), (l) => l * step),
      ) < error
    )
      step *= 1.05;
    const shape = { rowLength: 256 };
    expect(estimateBits(quantized.integers, shape)).toBeLessThan(0.98 * estimateBits(rounded(), shape));
  });

  it("treats a kernel alike in the layouts of torch and TF.js", () => {
    const [height, width, inputs, outputs] = [3, 3, 8, 16];
    const hwio = noise(height * width * inputs * outputs);
    const oihw = new Float32Array(hwio.length);
    for (let p = 0; p < height * width; p++)
      for (let i = 0; i < inputs; i++)
        for (let o = 0; o < outputs; o++)
          oihw[(o * inputs + i) * height * width + p] = hwio[(p * inputs + i) * outputs + o];
    const a = quantizeWeights({ values: hwio, shape: [height, width, inputs, outputs], axis: 3 }, 3)!;
    const b = quantizeWeights({ values: oihw, shape: [outputs, inputs, height, width], axis: 0 }, 3)!;
    expect(a.integers).toEqual(b.integers);
    expect(a.steps).toEqual(b.steps);
  });

  it("prunes rows of zeros and rows that round to zeros, and leaves alone what is not finite", () => {
    const values = Float32Array.of(0, 0, 0, 0, 1, -2, 3, 1);
    const { steps, integers } = quantizeWeights({ values, shape: [2, 4], axis: 0 }, 4)!;
    expect(steps[0]).toBe(0);
    expect(steps[1]).toBeGreaterThan(0);
    expect(integers.subarray(0, 4)).toEqual(new Int32Array(4));
    const coarse = quantizeWeights({ values: noise(64), shape: [1, 64], axis: 0 }, -8)!;
    expect(coarse.steps[0]).toBe(0);
    expect(
      quantizeWeights({ values: Float32Array.of(1, Number.NaN), shape: [2], axis: 0 }, 4),
    ).toBeUndefined();
    expect(quantizeWeights({ values: new Float32Array(4), shape: [4], axis: 0 }, 4)).toBeUndefined();
    expect(() => quantizeWeights({ values, shape: [3, 4], axis: 0 }, 4)).toThrow(/values: expected 12/);
  });
});

describe("cheapest", () => {
  it("finds the least cost of all integers near the value", () => {
    const model = weightRateModel({ rowLength: 64 });
    for (let i = 0; i < 64; i++) {
      const exact = 3 * Math.sin(7 * i);
      for (const rate of [0, 0.05, 0.5]) {
        const costs = Array.from({ length: 11 }, (_, k) => (exact - (k - 5)) ** 2 + rate * model.bits(k - 5));
        const chosen = cheapest(exact, rate, model);
        // Levels between 0 and the neighbour towards 0 are never looked at.
        const least = Math.min(costs[Math.round(exact) + 5], costs[Math.trunc(exact) + 5], costs[5]);
        expect((exact - chosen) ** 2 + rate * model.bits(chosen)).toBeLessThanOrEqual(least + 1e-12);
      }
      model.update(Math.round(exact));
    }
  });
});
