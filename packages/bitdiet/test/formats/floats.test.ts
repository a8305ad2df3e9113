import fc from "fast-check";
import { expect, test } from "vitest";
import { floatBytes, floatValues } from "../../src/formats/floats.js";

const words = Uint16Array.from({ length: 65536 }, (_, i) => i);

test("every half and every bfloat16 number comes back bit for bit", () => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const values = floatValues(dtype, new Uint8Array(words.buffer));
    const back = new Uint16Array(floatBytes(dtype, values).buffer);
    const wrong = words.findIndex((word, i) => back[i] !== word && !Number.isNaN(values[i]));
    expect(wrong).toBe(-1);
  }
});

test("halves are what their definition says", () => {
  const values = floatValues("float16", new Uint8Array(words.buffer));
  for (const word of words) {
    const [sign, exponent, fraction] = [word & 0x8000 ? -1 : 1, (word >> 10) & 31, word & 1023];
    const expected =
      exponent === 31
        ? fraction
          ? NaN
          : sign * Infinity
        : exponent === 0
          ? sign * fraction * 2 ** -24
          : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    expect(Object.is(values[word], expected)).toBe(true);
  }
});

test("a float is rounded to the nearest half, the even one of two", () => {
  const all = [...floatValues("float16", new Uint8Array(words.buffer).slice(0, 2 * 0x7c00))];
  const nearest = (x: number) => {
    let low = 0;
    let high = all.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (all[middle] <= x) low = middle;
      else high = middle;
    }
    const [below, above] = [x - all[low], all[high] - x];
    if (below === above) return low % 2 === 0 ? low : high;
    return below < above ? low : high;
  };
  const round = (x: number) => new Uint16Array(floatBytes("float16", Float32Array.of(x)).buffer)[0];
  const inputs = fc.oneof(
    fc.float({ min: 0, max: 65519, noNaN: true }),
    fc.float({ min: 0, max: Math.fround(1e-4), noNaN: true }),
    // Ties: half way between neighbours.
    fc.integer({ min: 0, max: all.length - 2 }).map((i) => (all[i] + all[i + 1]) / 2),
  );
  fc.assert(
    fc.property(inputs, (x) => {
      expect(round(x)).toBe(nearest(x));
    }),
    { numRuns: 3000 },
  );
  expect(round(65520)).toBe(0x7c00);
  expect(round(-1e9)).toBe(0xfc00);
});
