import { describe, expect, test } from "vitest";
import { softHistogram } from "../src/index.js";
import { levelGrid, toCoordinates } from "../src/levels.js";
import { tf } from "./setup.js";

const coordinatesOf = (levels: number[], x: number[]) => {
  const result = new Float64Array(x.length);
  toCoordinates(levelGrid(tf.tensor1d(levels)), Float32Array.from(x), 0, x.length, result);
  return [...result];
};

describe("level coordinates", () => {
  test("are linear between levels, and go on beyond them by the outermost gaps", () => {
    expect(coordinatesOf([0, 1, 4], [-1, 0, 0.5, 1, 2.5, 4, 7])).toEqual([-1, 0, 0.5, 1, 1.5, 2, 3]);
    expect(coordinatesOf([-2, 0, 2], [-4, -1, 0, 3])).toEqual([-1, 0.5, 1, 2.5]);
    expect(coordinatesOf([1, 2, 4, 8, 16], [1, 3, 6, 12, 24])).toEqual([0, 1.5, 2.5, 3.5, 5]);
  });

  test("levels that are even but for float32 rounding count as even", () => {
    const tenths = Array.from({ length: 16 }, (_, k) => 0.1 * k);
    expect(levelGrid(tf.tensor1d(tenths)).spacing).toBeCloseTo(0.1, 7);
    expect(levelGrid(tf.tensor1d([0, 1, 2.001])).spacing).toBe(0);
    expect(levelGrid(tf.tensor1d([7])).spacing).toBe(1);
    // An ulp is a large part of these gaps.
    expect(levelGrid(tf.tensor1d([2 ** 20, 2 ** 20 + 0.125, 2 ** 20 + 0.5])).spacing).toBe(0);
  });

  test("a variable's new levels are read after it was assigned", () => {
    const levels = tf.variable(tf.tensor1d([0, 1]));
    const x = tf.tensor1d([3]);
    expect(softHistogram(x, levels, { sharpness: 100 }).dataSync()[1]).toBe(1);
    levels.assign(tf.tensor1d([3, 9]));
    expect(softHistogram(x, levels, { sharpness: 100 }).dataSync()[0]).toBe(1);
    levels.dispose();
  });
});

test("values are divided between uneven levels in the middle of each gap", () => {
  const levels = tf.tensor1d([0, 1, 10]);
  const shares = (value: number) => [...softHistogram(tf.tensor1d([value]), levels).dataSync()];
  expect(shares(0.5)[0]).toBeCloseTo(0.5, 4);
  expect(shares(0.5)[1]).toBeCloseTo(0.5, 4);
  expect(shares(5.5)[1]).toBeCloseTo(0.5, 4);
  expect(shares(5.5)[2]).toBeCloseTo(0.5, 4);
  // The same place in a gap nine times as wide
  expect(shares(1 + 9 * 0.4)[2]).toBeCloseTo(shares(0.4)[1], 4);
});
