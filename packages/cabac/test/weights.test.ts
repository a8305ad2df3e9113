import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CorruptInputError,
  decodeWeightRows,
  decodeWeights,
  encodeWeights,
  weightContexts,
} from "../src/index.js";
import { referenceDecode } from "./reference-decoder.js";
import { entropy, geometric, kernels, random } from "./sources.js";

const LARGEST = 2 ** 31 - 1;
const integer = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 2, arbitrary: fc.integer({ min: -40, max: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: -LARGEST, max: LARGEST }) },
  { weight: 1, arbitrary: fc.constantFrom(LARGEST, -LARGEST, 1023, 1024, -1024, 9, 10, 11) },
);
const tensor = fc
  .record({
    rows: fc.integer({ min: 0, max: 8 }),
    kernels: fc.integer({ min: 1, max: 5 }),
    height: fc.integer({ min: 1, max: 4 }),
    width: fc.integer({ min: 1, max: 4 }),
  })
  .chain(({ rows, kernels: n, height, width }) => {
    const rowLength = n * height * width;
    return fc.array(integer, { minLength: rows * rowLength, maxLength: rows * rowLength }).map((values) => ({
      integers: Int32Array.from(values),
      rowLength,
      kernel: [height, width] as [number, number],
    }));
  });

describe("encodeWeights and decodeWeights", () => {
  it("return every tensor of every shape, up to +-(2^31 - 1)", () => {
    fc.assert(
      fc.property(tensor, ({ integers, ...shape }) => {
        expect(decodeWeights(encodeWeights(integers, shape), integers.length, shape)).toEqual(integers);
      }),
      { numRuns: 300 },
    );
  });

  it("are undone by decodeWeightRows as well", () => {
    fc.assert(
      fc.property(tensor, ({ integers, rowLength, kernel: [height, width] }) => {
        const bytes = encodeWeights(integers, { rowLength, kernel: [height, width] });
        expect(decodeWeightRows(bytes, integers.length, { rowLength, height, width })).toEqual(integers);
      }),
    );
  });

  it("refuse more integers than the bytes can stand for, before any is decoded", () => {
    const tooMany = 6 * 16384 + 1;
    const shape = { rowLength: tooMany, height: 1, width: 1 };
    const error = new CorruptInputError("payload: end");
    expect(() => decodeWeights(Uint8Array.of(1, 2), tooMany)).toThrow(error);
    expect(() => decodeWeightRows(Uint8Array.of(1, 2), tooMany, shape)).toThrow(error);
  });

  it("agree with a decoder written from FORMAT.md in exact arithmetic", () => {
    fc.assert(
      fc.property(tensor, ({ integers, rowLength, kernel }) => {
        const bytes = encodeWeights(integers, { rowLength, kernel });
        expect(referenceDecode(bytes, integers.length, rowLength, ...kernel).integers).toEqual([...integers]);
      }),
      { numRuns: 150 },
    );
    for (const [integers, rowLength, height, width] of [
      [kernels(24, 8, 1), 72, 3, 3],
      [geometric(6000, 0.6, 2), 60, 1, 1],
      [geometric(3000, 0.97, 3), 75, 5, 5],
      [geometric(3000, 0.5, 4), 750, 1, 1],
    ] as const) {
      const bytes = encodeWeights(integers, { rowLength, kernel: [height, width] });
      expect(referenceDecode(bytes, integers.length, rowLength, height, width).integers).toEqual([
        ...integers,
      ]);
    }
  });

  it("write the same bytes for 8-, 16- and 32-bit arrays", () => {
    const integers = geometric(3000, 0.5, 7);
    const bytes = encodeWeights(integers, { rowLength: 30 });
    expect(encodeWeights(Int8Array.from(integers), { rowLength: 30 })).toEqual(bytes);
    expect(encodeWeights(Int16Array.from(integers), { rowLength: 30 })).toEqual(bytes);
  });

  it("spend no byte on nothing and 0.001 bits a weight on a long run of zeros", () => {
    expect(encodeWeights(new Int8Array(0)).length).toBe(0);
    expect(decodeWeights(new Uint8Array(0), 0).length).toBe(0);
    const zeros = new Int8Array(1_000_000);
    const bytes = encodeWeights(zeros);
    expect(bytes.length).toBeLessThan(125);
    expect(decodeWeights(bytes, zeros.length).every((integer) => integer === 0)).toBe(true);
    const constant = new Int16Array(100_000).fill(-300);
    expect(encodeWeights(constant).length).toBeLessThan(1000);
  });

  it("stay within 0.5 % of the entropy of independent integers", () => {
    for (const ratio of [0.15, 0.35, 0.7]) {
      const integers = geometric(400_000, ratio, 11);
      const bits = (8 * encodeWeights(integers, { rowLength: 400 }).length) / integers.length;
      expect(bits).toBeGreaterThan(0.999 * entropy(integers));
      expect(bits).toBeLessThan(1.005 * entropy(integers));
    }
  });

  it("beat the entropy by far where kernels are smooth and channels differ, most when told of the kernel", () => {
    const integers = kernels(64, 64, 5);
    const plain = 8 * encodeWeights(integers, { rowLength: 576 }).length;
    const shaped = 8 * encodeWeights(integers, { rowLength: 576, kernel: [3, 3] }).length;
    expect(shaped).toBeLessThan(0.97 * plain);
    expect(shaped).toBeLessThan(0.85 * entropy(integers) * integers.length);
  });

  it("carry learned probabilities from tensor to tensor in given contexts", () => {
    const tensors = [1, 2, 3, 4].map((seed) => kernels(8, 8, seed));
    const shape = { rowLength: 72, kernel: [3, 3] as const };
    const contexts = weightContexts();
    const carried = tensors.map((integers) => encodeWeights(integers, shape, contexts));
    const alone = tensors.map((integers) => encodeWeights(integers, shape));
    const total = (parts: Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0);
    expect(total(carried)).toBeLessThan(0.99 * total(alone));
    const again = weightContexts();
    for (let i = 0; i < 4; i++) {
      expect(decodeWeights(carried[i], 576, shape, again)).toEqual(tensors[i]);
    }
    expect(again).toEqual(contexts);
  });

  it("name the wrong argument", () => {
    const integers = new Int8Array(12);
    expect(() => encodeWeights(integers, { rowLength: 5 })).toThrow(RangeError);
    expect(() => encodeWeights(integers, { rowLength: 5 })).toThrow(
      "rowLength: expected a divisor of 12 weights, got 5",
    );
    expect(() => encodeWeights(integers, { rowLength: 0 })).toThrow("rowLength");
    expect(() => encodeWeights(integers, { kernel: [3, 3] })).toThrow(
      "kernel: expected whole kernels in 12 weights a row, got [3,3]",
    );
    expect(() => encodeWeights(integers, { kernel: [0, 3] })).toThrow("kernel: expected whole");
    expect(() => encodeWeights(Int32Array.of(0, -(2 ** 31)))).toThrow("got -2^31 at index 1");
    expect(() => encodeWeights([1, 2] as unknown as Int8Array)).toThrow(TypeError);
    expect(() => encodeWeights(integers, {}, new Int32Array(3))).toThrow("contexts");
    // Probabilities of zero would make empty intervals, which no byte ends.
    const empty = new Int32Array(weightContexts().length);
    expect(() => encodeWeights(integers, {}, empty)).toThrow("contexts: expected those of");
    expect(() => decodeWeights(new Uint8Array(1), -1)).toThrow("count");
    expect(() => decodeWeights(new Uint8Array(1), 1.5)).toThrow("count");
  });
});

describe("decodeWeights on wrong bytes", () => {
  const integers = kernels(8, 4, 9);
  const shape = { rowLength: 36, kernel: [3, 3] as const };
  const bytes = encodeWeights(integers, shape);

  it("rejects a payload with a byte too many, and every truncation that does not decode to fewer bytes", () => {
    expect(() => decodeWeights(Uint8Array.of(...bytes, 0), integers.length, shape)).toThrow(
      CorruptInputError,
    );
    expect(() => decodeWeights(Uint8Array.of(...bytes, 1), integers.length, shape)).toThrow(
      CorruptInputError,
    );
    for (let length = 0; length < bytes.length - 4; length++) {
      expect(() => decodeWeights(bytes.subarray(0, length), integers.length, shape)).toThrow(
        CorruptInputError,
      );
    }
  });

  it("stops where the bytes end, however many integers are asked for", () => {
    const next = random(15);
    const junk = Uint8Array.from({ length: 1000 }, () => 256 * next());
    const start = performance.now();
    expect(() => decodeWeights(junk, 2 ** 31)).toThrow(CorruptInputError);
    expect(() => decodeWeights(junk, 2 ** 31, { rowLength: 2 ** 24 })).toThrow(CorruptInputError);
    expect(() => decodeWeights(junk, 2 ** 31, { kernel: [2 ** 15, 2 ** 15] })).toThrow(CorruptInputError);
    expect(performance.now() - start).toBeLessThan(500);
  });

  it("accepts exactly one spelling of the same integers", () => {
    // Whatever decodes without an error re-encodes to the very same bytes.
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.integer({ min: 0, max: 12 }), (junk, count) => {
        let decoded: Int32Array;
        try {
          decoded = decodeWeights(junk, count);
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptInputError);
          return;
        }
        expect(encodeWeights(decoded)).toEqual(junk);
      }),
      { numRuns: 3000 },
    );
  });
});
