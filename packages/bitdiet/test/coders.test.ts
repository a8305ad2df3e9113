import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteSymbols, fromSymbols, toSymbols } from "../src/file/zigzag.js";
import { ansCoder, type Coder, cabacCoder, huffmanCoder, smallestCoder, smallestOf } from "../src/index.js";

const coders = [huffmanCoder, ansCoder, cabacCoder];

/** Rounded Laplace variates of this scale from a small seeded generator: weights look like this. */
function laplace(count: number, scale: number, seed: number): Int32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Int32Array.from({ length: count }, () => {
    const sign = uniform() < 0.5 ? -1 : 1;
    return Math.round(-sign * scale * Math.log(uniform()));
  });
}

describe.each(coders.map((coder) => [coder.name, coder] as const))(
  "%s in the shape of all coders",
  (_, coder) => {
    test("gives back any integers that fit, alone or in rows of kernels", () => {
      fc.assert(
        fc.property(fc.array(fc.integer({ min: -32767, max: 32767 }), { maxLength: 300 }), (values) => {
          const integers = Int32Array.from(values);
          expect(coder.decode(coder.encode(integers))).toEqual(integers);
        }),
        { numRuns: 50 },
      );
      const integers = laplace(8 * 16 * 9, 1.5, 7);
      expect(coder.decode(coder.encode(integers, { rowLength: 144, kernel: [3, 3] }))).toEqual(integers);
    });

    test.each([0.2, 1, 6])(
      "estimates the size of what it writes to 0.1 %% and a few bytes, Laplace scale %d",
      (scale) => {
        const integers = laplace(50_000, scale, 1);
        const shape = { rowLength: 500 };
        const written = 8 * coder.encode(integers, shape).length;
        expect(Math.abs(coder.estimateBits(integers, shape) - written)).toBeLessThanOrEqual(
          0.001 * written + 64,
        );
      },
    );

    test("refuses to give out more than the caller allows, and bytes of another coder", () => {
      const bytes = coder.encode(laplace(1000, 1, 3));
      expect(() => coder.decode(bytes, { maxLength: 999 })).toThrow(
        expect.objectContaining({ name: "CorruptInputError" }),
      );
      for (const other of coders) {
        if (other !== coder)
          expect(() => other.decode(bytes)).toThrow(expect.objectContaining({ name: "CorruptInputError" }));
      }
    });
  },
);

describe("smallestCoder(integers)", () => {
  const kinds: [string, Int32Array][] = [
    ["nothing", new Int32Array(0)],
    ["one value again and again", new Int32Array(5000).fill(3)],
    ["a handful of values", Int32Array.of(1, -1, 0, 2)],
    ["sparse values", laplace(20_000, 0.15, 5)],
    ["small values", laplace(20_000, 1, 5)],
    ["large values", laplace(20_000, 40, 5)],
    ["values beyond 16 bits", Int32Array.of(100_000, -3, 0, 0)],
  ];

  test.each(kinds)("is the coder whose stream is shortest, to its estimates' accuracy: %s", (_, integers) => {
    const sizes = coders.map((coder) => {
      try {
        return coder.encode(integers).length;
      } catch {
        return Infinity;
      }
    });
    const chosen = smallestCoder(integers).encode(integers).length;
    expect(chosen).toBeLessThanOrEqual(1.002 * Math.min(...sizes) + 8);
  });

  test("encodes with none of them", () => {
    const watched: Coder[] = coders.map((coder) => ({
      ...coder,
      encode: () => {
        throw new Error("encoded");
      },
    }));
    expect(smallestOf(watched, laplace(1000, 1, 1)).name).toBe(smallestCoder(laplace(1000, 1, 1)).name);
  });

  test("names what is wrong with its arguments", () => {
    expect(() => smallestCoder([1, 2] as unknown as Int32Array)).toThrow(
      new TypeError("integers: expected an Int32Array, got object"),
    );
    expect(() => smallestOf([], new Int32Array(1))).toThrow(
      new RangeError("coders: expected at least one, got none"),
    );
    expect(() => huffmanCoder.encode(Int32Array.of(0, 40_000))).toThrow(
      new RangeError("integers: expected -32767 to 32767, got 40000 at index 1"),
    );
  });
});

test("zigzag puts small magnitudes first and comes back", () => {
  const integers = Int32Array.of(0, -1, 1, -2, 2, 32767, -32767);
  expect([...toSymbols(integers)]).toEqual([0, 1, 2, 3, 4, 65534, 65533]);
  expect(fromSymbols(toSymbols(integers))).toEqual(integers);
  const bytes = Int32Array.of(0, -1, 1, 127, -128);
  expect(byteSymbols(bytes)).toEqual(Uint8Array.of(0, 1, 2, 254, 255));
  for (const integer of [128, -129, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)])
    expect(byteSymbols(Int32Array.of(0, integer))).toBeUndefined();
});
