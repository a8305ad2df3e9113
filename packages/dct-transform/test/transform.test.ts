import fc from "fast-check";
import { expect, test } from "vitest";
import { dctTransform } from "../src/dct.js";
import { forward, identityTransform, inverse, keep, type Transform } from "../src/transform.js";
import { relativeError, uniform } from "./samples.js";

const r = Math.SQRT1_2;
const haar: Transform = {
  basis: Float32Array.of(r, r, r, -r),
  rows: 2,
  size: 2,
  mean: Float32Array.of(1, 1),
};

/** Not orthogonal: measures x₀ and x₀ + x₁, so it rebuilds with (1, −1) and (0, 1). */
const skewed: Transform = {
  basis: Float32Array.of(1, 0, 1, 1),
  synthesis: Float32Array.of(1, -1, 0, 1),
  rows: 2,
  size: 2,
};

test("forward and inverse of a hand-made transform", () => {
  const coefficients = forward(haar, Float32Array.of(4, 2, 1, 1));
  expect(relativeError(coefficients, [4 * r, 2 * r, 0, 0])).toBeLessThan(1e-7);
  expect(relativeError(inverse(haar, coefficients), [4, 2, 1, 1])).toBeLessThan(1e-7);
  expect([...forward(skewed, Float32Array.of(3, 4))]).toEqual([3, 7]);
  expect([...inverse(skewed, Float32Array.of(3, 7))]).toEqual([3, 4]);
});

test("forward and inverse equal the sums of the definition for every number of rows, vectors and values", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      fc.integer(),
      (count, rows, size, withMean, seed) => {
        const t: Transform = { basis: uniform(rows * size, seed), rows, size };
        if (withMean) t.mean = uniform(size, seed + 1);
        const x = uniform(count * size, seed + 2);
        const y = forward(t, x);
        const exact: number[] = [];
        for (let i = 0; i < count; i++) {
          for (let k = 0; k < rows; k++) {
            let sum = 0;
            for (let j = 0; j < size; j++)
              sum += (x[i * size + j] - (t.mean?.[j] ?? 0)) * t.basis[k * size + j];
            exact.push(Math.fround(sum));
          }
        }
        expect([...y]).toEqual(exact);
        const back: number[] = [];
        for (let i = 0; i < count; i++) {
          for (let j = 0; j < size; j++) {
            let sum = t.mean?.[j] ?? 0;
            for (let k = 0; k < rows; k++) sum += y[i * rows + k] * t.basis[k * size + j];
            back.push(Math.fround(sum));
          }
        }
        expect([...inverse(t, y)]).toEqual(back);
      },
    ),
    { numRuns: 200, seed: 1 },
  );
});

test("a small deviation from a large mean keeps its digits", () => {
  const t: Transform = {
    basis: Float32Array.of(r, r, r, -r),
    rows: 2,
    size: 2,
    mean: Float32Array.of(2 ** 23, 2 ** 23),
  };
  expect(forward(t, Float32Array.of(2 ** 23 + 1, 2 ** 23))[1]).toBe(Math.fround(Math.fround(r)));
});

test("identityTransform changes nothing, to the bit", () => {
  const x = uniform(35, 1);
  expect(forward(identityTransform(7), x)).toEqual(x);
  expect(inverse(identityTransform(7), x)).toEqual(x);
});

test("keep with a count or with flags drops basis and synthesis rows alike", () => {
  expect(keep(skewed, 1)).toEqual({
    basis: Float32Array.of(1, 0),
    synthesis: Float32Array.of(1, -1),
    rows: 1,
    size: 2,
  });
  expect(keep(skewed, [0, 1]).basis).toEqual(Float32Array.of(1, 1));
  expect(keep(skewed, [false, true]).synthesis).toEqual(Float32Array.of(0, 1));
  expect(keep(haar, Uint8Array.of(1, 0)).mean).toEqual(haar.mean);
  expect(keep(haar, 2)).toEqual(haar);
});

test("a truncated DCT projects: keeping more never rebuilds worse, and projecting twice changes nothing", () => {
  const size = 12;
  const x = uniform(size * 20, 4);
  let before = Number.POSITIVE_INFINITY;
  for (let kept = 1; kept <= size; kept++) {
    const t = keep(dctTransform(size), kept);
    const once = inverse(t, forward(t, x));
    const error = relativeError(once, x);
    expect(error).toBeLessThan(before);
    expect(relativeError(inverse(t, forward(t, once)), once)).toBeLessThan(2e-7);
    before = error;
  }
  expect(before).toBeLessThan(2e-7);
});

test("a transform survives being stored as plain numbers", () => {
  const { basis, rows, size } = dctTransform(5);
  const stored = JSON.parse(JSON.stringify({ basis: [...basis], rows, size }));
  const x = uniform(10, 1);
  expect(forward({ ...stored, basis: Float32Array.from(stored.basis) }, x)).toEqual(
    forward(dctTransform(5), x),
  );
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => forward(haar, new Float32Array(3))).toThrow(
    new RangeError("rows: expected a whole number of rows of 2 values, got 3 values"),
  );
  expect(() => inverse(keep(dctTransform(4), 3), new Float32Array(4))).toThrow(
    new RangeError("coefficients: expected a whole number of rows of 3 values, got 4 values"),
  );
  expect(() => forward(haar, new Float64Array(2) as unknown as Float32Array)).toThrow(
    new TypeError("rows: expected a Float32Array, got Float64Array"),
  );
  expect(() => forward({ ...haar, rows: 3 }, new Float32Array(2))).toThrow(
    new RangeError("transform.basis: expected 6 values, got 4"),
  );
  expect(() => inverse({ ...haar, mean: new Float32Array(1) }, new Float32Array(2))).toThrow(
    new RangeError("transform.mean: expected 2 values, got 1"),
  );
  expect(() => forward({ ...skewed, synthesis: new Float32Array(1) }, new Float32Array(2))).toThrow(
    new RangeError("transform.synthesis: expected 4 values, got 1"),
  );
  expect(() => keep(haar, 3)).toThrow(new RangeError("selection: expected at most 2 coefficients, got 3"));
  expect(() => keep(haar, 0)).toThrow(new RangeError("selection: expected a positive integer, got 0"));
  expect(() => keep(haar, [1])).toThrow(
    new RangeError("selection: expected a count or 2 flags, got 1 flags"),
  );
  expect(() => keep(haar, [0, 0])).toThrow(
    new RangeError("selection: expected at least one coefficient to keep, got none"),
  );
  expect(() => identityTransform(0)).toThrow(new RangeError("size: expected a positive integer, got 0"));
});
