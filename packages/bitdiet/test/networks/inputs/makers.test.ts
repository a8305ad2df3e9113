import { expect, test } from "vitest";
import { byTurns, drawn, type Makers, natural } from "../../../src/networks/inputs/makers.js";
import { uniform } from "../../../src/networks/random.js";

const size = { height: 48, width: 40, channels: 3 };
const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;
/** Share of the horizontal differences of a picture that are nothing at all. */
const flatness = ({ picture }: Makers) => {
  const pixels = picture(size, uniform(4));
  const differences = pixels.subarray(3).map((value, i) => Math.abs(value - pixels[i]));
  return differences.filter((difference) => difference === 0).length / differences.length;
};

test.each([
  ["natural", natural],
  ["drawn", drawn],
])("%s: pictures of 0 to 1, sound of -1 to 1, known words, numbers of variance 1", (_, makers) => {
  const next = uniform(2);
  const pictures = Array.from({ length: 12 }, () => makers.picture(size, next));
  for (const pixels of pictures) expect(pixels.every((value) => value >= 0 && value <= 1)).toBe(true);
  expect(new Set(pictures.map(mean)).size).toBe(12);
  const sound = makers.sound(16_000, 16_000, next);
  expect(sound.every((value) => Math.abs(value) <= 1)).toBe(true);
  expect(sound.some((value) => Math.abs(value) > 0.05)).toBe(true);
  const words = Array.from({ length: 4000 }, () => makers.word(50, next));
  expect(words.every((word) => Number.isInteger(word) && word >= 0 && word < 50)).toBe(true);
  const numbers = Float32Array.from({ length: 20_000 }, () => makers.number(next));
  expect(mean(numbers)).toBeCloseTo(0, 1);
  expect(mean(numbers.map((value) => value * value))).toBeCloseTo(1, 1);
});

test("clouds and drawings have little in common", () => {
  expect(flatness(natural)).toBeLessThan(0.05);
  expect(flatness(drawn)).toBeGreaterThan(0.5);
});

test("by turns pictures are natural and drawn", () => {
  const size = { height: 12, width: 20, channels: 3 };
  const { picture } = byTurns();
  const [first, second, third] = [1, 2, 3].map((seed) => picture(size, uniform(seed)));
  expect(first).toEqual(natural.picture(size, uniform(1)));
  expect(second).toEqual(drawn.picture(size, uniform(2)));
  expect(third).toEqual(natural.picture(size, uniform(3)));
});
