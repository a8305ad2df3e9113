import fc from "fast-check";
import { expect, test } from "vitest";
import { affineGridOf, gridValues } from "../../src/file/affine-grid.js";

/** As a converter finds them: the range in 255 steps, moved so that a code is 0 or close. */
const converters = fc.record({
  least: fc.double({ min: -100, max: -0.01, noNaN: true }),
  most: fc.double({ min: 0.01, max: 100, noNaN: true }),
  nudged: fc.boolean(),
  codes: fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { minLength: 130, maxLength: 256 }),
});

test("the grid of what converters quantize to a byte is found from the floats, and gives their bits", () => {
  let found = 0;
  let tried = 0;
  fc.assert(
    fc.property(converters, ({ least, most, nudged, codes }) => {
      const scale = (most - least) / 255;
      const min = nudged ? -Math.round(-least / scale) * scale : least;
      const sorted = codes.slice().sort((a, b) => a - b);
      const values = Float32Array.from(sorted, (code) => code * scale + min);
      const grid = affineGridOf(values, 256);
      tried++;
      if (!grid) return;
      found++;
      const all = gridValues(grid, grid.codes[grid.codes.length - 1] + 1);
      grid.codes.forEach((code, i) => void expect(Object.is(all[code], values[i])).toBe(true));
    }),
    { numRuns: 500, seed: 1 },
  );
  expect(found / tried).toBeGreaterThan(0.8);
});

test.each([
  ["one value", [1]],
  ["values on no grid", [0, 1, 1.5001, 3.7, 4.9]],
  ["more codes than there may be", [0, 1, 300]],
  ["not a number", [0, 1, NaN]],
  ["infinity", [-Infinity, 0, 1]],
])("%s: there is none", (_, values) => {
  expect(affineGridOf(Float32Array.from(values), 256)).toBeUndefined();
});

test("zeros of either sign are told apart", () => {
  const grid = affineGridOf(Float32Array.of(-0.5, -0, 0.5), 256);
  expect(grid === undefined || Object.is(gridValues(grid, 3)[1], -0)).toBe(true);
});

test("a grid never has more codes than there may be, however floats round the least gap", () => {
  for (let i = 0; i < 4000; i++) {
    const scale = 0.001 * (1 + i / 4000);
    const codes = [0, 1, 3 + (i % 200), 256];
    const grid = affineGridOf(
      Float32Array.from(codes, (code) => code * scale + 0.5 + i / 1000),
      256,
    );
    expect(grid?.codes[3] ?? 0).toBeLessThan(256);
  }
});
