import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptInputError, decodeWeights, encodedWeightBits, encodeWeights } from "../src/index.js";
import { frozenTable, PROFILES } from "../src/weights-frozen.js";
import { referenceDecode } from "./weights-reference.js";

/** Deterministic numbers, 0 .. 1. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Integers of a Laplace distribution whose mean magnitude differs by row and column, smooth along each kernel. */
function weights(rows: number, rowLength: number, width: number, scale: number, seed = 1): Int32Array {
  const next = random(seed);
  const columns = Float64Array.from({ length: rowLength }, () => 16 ** (next() - 0.5));
  const integers = new Int32Array(rows * rowLength);
  for (let row = 0, i = 0; row < rows; row++) {
    const rowScale = scale * 16 ** (next() - 0.5);
    for (let j = 0; j < rowLength; j++, i++) {
      const laplace = Math.log(next() + 1e-9) * (next() < 0.5 ? -1 : 1) * rowScale * columns[j];
      const left = width > 1 && j % width > 0 ? integers[i - 1] : 0;
      integers[i] = Math.round(0.7 * laplace + 0.5 * left);
    }
  }
  return integers;
}

/** Tensors of every kind: matrices, kernels, few rows, long rows, dense and sparse. */
const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 11 }),
  kernels: fc.integer({ min: 1, max: 40 }),
  kernel: fc.constantFrom([1, 1], [3, 3], [1, 3], [3, 1], [5, 5], [1, 7], [2, 2]) as fc.Arbitrary<
    [number, number]
  >,
  scale: fc.constantFrom(0.02, 0.2, 1, 3, 10, 40, 300, 1e5),
  seed: fc.nat(),
});

describe("weights", () => {
  test("decode to the integers that were encoded, and take as many bytes as was said", () => {
    fc.assert(
      fc.property(shapes, ({ rows, kernels, kernel, scale, seed }) => {
        const rowLength = kernels * kernel[0] * kernel[1];
        const integers = weights(rows, rowLength, kernel[1], scale, seed);
        const shape = { rowLength, kernel };
        const bytes = encodeWeights(integers, shape);
        expect(decodeWeights(bytes, integers.length, shape)).toEqual(integers);
        expect(encodedWeightBits(integers, shape)).toBe(8 * bytes.length);
      }),
      { numRuns: 150 },
    );
  });

  test("decode by FORMAT.md as a slow program to the same integers", () => {
    fc.assert(
      fc.property(shapes, ({ rows, kernels, kernel, scale, seed }) => {
        const rowLength = kernels * kernel[0] * kernel[1];
        const integers = weights(rows, rowLength, kernel[1], scale, seed);
        const bytes = encodeWeights(integers, { rowLength, kernel });
        expect(referenceDecode(bytes, integers.length, rowLength, kernel)).toEqual([...integers]);
      }),
      { numRuns: 40 },
    );
  });

  test("survive any integers up to 2^30 - 1", () => {
    const integer = fc.oneof(
      fc.integer({ min: -3, max: 3 }),
      fc.integer({ min: -100, max: 100 }),
      fc.integer({ min: -(2 ** 30) + 1, max: 2 ** 30 - 1 }),
    );
    fc.assert(
      fc.property(fc.array(integer, { maxLength: 700 }), (values) => {
        const integers = Int32Array.from(values);
        expect(decodeWeights(encodeWeights(integers), integers.length)).toEqual(integers);
      }),
    );
  });

  test.each([
    ["no weights", [], {}, ""],
    ["one weight", [0], {}, "000000800300000000"],
    ["eight weights", [0, 1, -1, 0, 0, 2, -3, 0], { rowLength: 4 }, "60170030108e000040cb17"],
    [
      "kernels",
      [9, 5, 2, 1, -4, 0, 3, 1, 80],
      { kernel: [3, 3] as const },
      "e025024e012836000000a0c1903b8300",
    ],
  ])("write %s as exactly these bytes", (_, values, shape, hex) => {
    const bytes = encodeWeights(Int32Array.from(values), shape);
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
  });

  test("of two bits are coded within 3 % of their distribution's entropy, of few weights too", () => {
    const next = random(3);
    // Discrete Laplace: P(k) = (1 - q) / (1 + q) q^|k|.
    const q = 0.5;
    const draw = () => {
      const geometric = () => Math.floor(Math.log(next() + 1e-12) / Math.log(q));
      return geometric() - geometric();
    };
    let entropy = 0;
    for (let k = -60; k <= 60; k++) {
      const p = ((1 - q) / (1 + q)) * q ** Math.abs(k);
      entropy -= p * Math.log2(p);
    }
    for (const [rows, tolerance] of [
      [4, 1.12],
      [512, 1.03],
    ]) {
      const integers = Int32Array.from({ length: rows * 64 }, draw);
      const bits = encodedWeightBits(integers, { rowLength: 64 }) / integers.length;
      expect(bits).toBeGreaterThan(0.9 * entropy);
      expect(bits).toBeLessThan(tolerance * entropy);
    }
  });

  test("of rows and columns with scales of their own cost far less than their histogram's entropy", () => {
    const integers = weights(64, 576, 1, 3);
    const counts = new Map<number, number>();
    for (const value of integers) counts.set(value, (counts.get(value) ?? 0) + 1);
    let entropy = 0;
    for (const count of counts.values()) entropy -= count * Math.log2(count / integers.length);
    expect(encodedWeightBits(integers, { rowLength: 576 })).toBeLessThan(0.97 * entropy);
  });
});

describe("bytes of weights that are not their encoder's", () => {
  const cases = [
    { integers: weights(12, 90, 3, 2), shape: { rowLength: 90, kernel: [3, 3] as const } },
    { integers: weights(10, 64, 1, 30), shape: { rowLength: 64 } },
    { integers: weights(3, 20, 1, 0.3), shape: { rowLength: 20 } },
    { integers: weights(4, 200, 200, 5), shape: { rowLength: 200, kernel: [1, 200] as const } },
  ].map((one) => ({ ...one, coded: encodeWeights(one.integers, one.shape) }));

  test("raise CorruptInputError, or decode to other integers: never hang, never another error", () => {
    const next = random(7);
    let caught = 0;
    for (let round = 0; round < 6000; round++) {
      const { integers, shape, coded } = cases[round % cases.length];
      let bytes = coded.slice();
      const kind = next();
      if (kind < 0.2) bytes = bytes.slice(0, next() * bytes.length);
      else if (kind < 0.3) bytes = Uint8Array.from([...bytes, next() * 256]);
      else {
        for (let k = 0; k <= next() * 3; k++) bytes[Math.floor(next() * bytes.length)] ^= 1 << (next() * 8);
      }
      try {
        expect(decodeWeights(bytes, integers.length, shape).length).toBe(integers.length);
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptInputError);
        caught++;
      }
    }
    expect(caught).toBeGreaterThan(3000);
  });

  test("are refused where a lane that has no row is not at its end: each of its bits counts", () => {
    for (const width of [1, 3]) {
      const shape = { rowLength: 18, kernel: [1, width] as [number, number] };
      const integers = weights(3, 18, width, 3);
      const bytes = encodeWeights(integers, shape);
      // Two bytes, and the LEB128 bytes of low bits; then a bit that starts, and four states of 10 bits.
      const start = 3 + bytes[2];
      const state = 8 * start + 32 - Math.clz32(bytes[start] & -bytes[start]) + 30;
      expect(decodeWeights(bytes, integers.length, shape)).toEqual(integers);
      for (let bit = state; bit < state + 10; bit++) {
        const altered = bytes.slice();
        altered[bit >> 3] ^= 1 << (bit & 7);
        expect(() => decodeWeights(altered, integers.length, shape)).toThrow(CorruptInputError);
      }
    }
  });

  test("cannot claim more weights than they could hold", () => {
    const bytes = encodeWeights(Int32Array.of(1, 2, 3));
    expect(() => decodeWeights(bytes, 1e9)).toThrow(CorruptInputError);
    expect(() => decodeWeights(new Uint8Array(0), 4)).toThrow(CorruptInputError);
    expect(() => decodeWeights(bytes, 0)).toThrow(CorruptInputError);
  });

  test.each([
    ["a profile that is none", 0, 15],
    ["a mean beyond the largest", 1, 48],
    ["a number longer than it need be", 2, 0x80],
  ])("are refused for %s", (_, at, byte) => {
    const bytes = cases[0].coded.slice();
    bytes[at] = byte;
    if (at === 2) bytes[3] = 0;
    expect(() => decodeWeights(bytes, cases[0].integers.length, cases[0].shape)).toThrow(CorruptInputError);
  });
});

describe("arguments of weights", () => {
  test("are refused by name", () => {
    const integers = Int32Array.of(1, 2, 3, 4);
    expect(() => encodeWeights([1, 2] as unknown as Int32Array)).toThrow(/integers: expected an Int32Array/);
    expect(() => encodeWeights(Int32Array.of(0, 2 ** 30))).toThrow(/integers: expected .* at index 1/);
    expect(() => encodeWeights(integers, { rowLength: 3 })).toThrow(/rowLength: expected a divisor of 4/);
    expect(() => encodeWeights(integers, { kernel: [3, 1] })).toThrow(/kernel: expected whole kernels/);
    expect(() => decodeWeights("x" as unknown as Uint8Array, 1)).toThrow(/bytes: expected a Uint8Array/);
    expect(() => decodeWeights(new Uint8Array(4), -1)).toThrow(/count: expected a whole number/);
  });
});

test("all frozen tables have frequencies that sum to 1024, with an escape and a symbol for zero or its neighbours", () => {
  for (let profile = 0; profile < PROFILES; profile++) {
    for (let scale = 0; scale < 40; scale++) {
      const tables = [frozenTable(true, profile, scale)];
      for (let k = 0; k < 8 && scale < 20; k++) tables.push(frozenTable(false, profile, scale, k));
      for (const { frequencies, limit } of tables) {
        expect(frequencies.reduce((sum, f) => sum + f)).toBe(1024);
        expect(Math.max(...frequencies)).toBeLessThan(1024);
        expect(frequencies[0]).toBeGreaterThan(0);
        for (let k = -limit; k <= limit; k++) expect(frequencies[64 + k]).toBeGreaterThan(0);
      }
    }
  }
});
