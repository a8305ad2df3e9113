import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dequantize } from "../../src/file/quantized-tensor.js";
import { toRows } from "../../src/file/rows.js";
import { gridIndex, gridOf, nearestOnGrid, stepAt } from "../../src/file/step-grid.js";

const parts = fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128);
/** The float32 numbers around x. */
const neighbours = (x: number) => {
  const bits = new Int32Array(Float32Array.of(x).buffer)[0];
  return [...new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer)];
};

describe("the grid of steps", () => {
  test("is 2^(k / parts), to the last bit but one of a float32", () => {
    fc.assert(
      fc.property(parts, fc.double({ min: -126, max: 127.99, noNaN: true }), (p, octaves) => {
        const index = Math.floor(octaves * p);
        expect(neighbours(Math.fround(2 ** (index / p)))).toContain(stepAt(index, p));
      }),
    );
    expect(stepAt(-2, 1)).toBe(0.25);
    expect(stepAt(1, 2)).toBe(Math.fround(Math.SQRT2));
    expect(stepAt(-126, 1)).toBe(2 ** -126);
    expect(stepAt(127, 1)).toBe(2 ** 127);
  });

  test("gives back the place of each of its numbers, and the nearest place to any other", () => {
    fc.assert(
      fc.property(parts, fc.double({ min: -125, max: 126, noNaN: true }), (p, octaves) => {
        const index = Math.round(octaves * p) + 0;
        expect(gridIndex(stepAt(index, p), p) + 0).toBe(index);
        const ratio = nearestOnGrid(2 ** octaves, p) / 2 ** octaves;
        expect(Math.abs(Math.log2(ratio))).toBeLessThanOrEqual(0.5 / p + 1e-6);
      }),
    );
    expect(nearestOnGrid(0, 4)).toBe(0);
    expect(nearestOnGrid(1e-60, 4)).toBe(2 ** -126);
  });

  test("is found for steps that lie on one, the coarsest", () => {
    expect(gridOf(Float32Array.of(0.5, 2, 0))).toBe(1);
    expect(gridOf(Float32Array.of(0.5, stepAt(3, 4)))).toBe(4);
    expect(gridOf(Float32Array.of(0.3))).toBeUndefined();
  });

  test("names what it cannot take", () => {
    expect(() => stepAt(0, 3)).toThrow(new RangeError("partsPerOctave: expected 1, 2, 4 … 128, got 3"));
    expect(() => stepAt(128, 1)).toThrow(new RangeError("index: expected -126 to 127, got 128"));
    expect(() => gridIndex(0, 4)).toThrow(new RangeError("step: expected a number above 0, got 0"));
  });
});

test("dequantize takes each row's step, and gives rows of the first axis or columns of the last in the tensor's order", () => {
  const integers = Int32Array.of(1, 0, -2, 4, 4, 1);
  const rows = { shape: [2, 3], integers, axis: 0 };
  const columns = { shape: [3, 2], integers, axis: 1 };
  const steps = Float32Array.of(0.5, 0.25);
  expect(dequantize({ ...rows, steps })).toEqual(Float32Array.of(0.5, 0, -1, 1, 1, 0.25));
  expect(dequantize({ ...columns, steps })).toEqual(Float32Array.of(0.5, 1, 0, 1, -1, 0.25));
  expect(dequantize({ ...columns, steps: Float32Array.of(0.5, 0) })).toEqual(
    Float32Array.of(0.5, 0, 0, 0, -1, 0),
  );
  expect(dequantize({ ...columns, steps: Float32Array.of(0.5) })).toEqual(
    Float32Array.of(0.5, 2, 0, 2, -1, 0.5),
  );
});

test("toRows gives each slice along the axis in one piece, input channels before the kernel", () => {
  expect(toRows(Int32Array.of(1, 2, 3, 4, 5, 6), [3, 2], 1)).toEqual(Int32Array.of(1, 3, 5, 2, 4, 6));
  const hwio = Float32Array.from({ length: 2 * 2 * 3 * 2 }, (_, i) => i);
  expect(toRows(hwio, [2, 2, 3, 2], 3)).toEqual(
    Float32Array.of(0, 6, 12, 18, 2, 8, 14, 20, 4, 10, 16, 22, 1, 7, 13, 19, 3, 9, 15, 21, 5, 11, 17, 23),
  );
});
