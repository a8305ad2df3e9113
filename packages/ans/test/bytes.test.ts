import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CorruptInputError, compress, decodeBytes, encodeBytes, encodedBits } from "../src/index.js";
import { aligned, frequencyBits, readPayload, writePayload } from "./reference.js";
import { firstDifference, geometric, random } from "./sources.js";

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** What encodeBytes writes, from parts: a table log, frequencies, bytes. */
const written = (tableLog: number, frequencies: readonly number[], bytes: readonly number[]): Uint8Array => {
  const logBits = Array.from({ length: 4 }, (_, i) => (tableLog >> i) & 1).join("");
  const table = aligned(logBits + frequencyBits(frequencies, tableLog));
  return Uint8Array.of(...table, ...writePayload(bytes, [frequencies]));
};

describe("encodeBytes and decodeBytes", () => {
  it("give back the bytes, as long as estimated, for any distribution and length", () => {
    const inputs = fc.record({
      decay: fc.double({ min: 0.001, max: 0.999, noNaN: true }),
      alphabet: fc.integer({ min: 1, max: 256 }),
      length: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 2000 }), fc.nat({ max: 70_000 })),
      seed: fc.integer(),
    });
    fc.assert(
      fc.property(inputs, ({ decay, alphabet, length, seed }) => {
        const bytes = geometric(length, decay, alphabet, seed);
        const coded = encodeBytes(bytes);
        expect(firstDifference(decodeBytes(coded, length), bytes)).toBe(-1);
        expect(encodedBits(bytes)).toBe(8 * coded.length);
      }),
      { numRuns: 100 },
    );
  });

  it("are the table and the payload that FORMAT.md describes, and nothing else", () => {
    expect(hex(encodeBytes(Uint8Array.of(0, 0, 1)))).toBe("a9 aa 15 70 2c");
    expect(encodeBytes(Uint8Array.of(0, 0, 1))).toEqual(written(9, [341, 171], [0, 0, 1]));
    const bytes = geometric(3000, 0.4, 4);
    const coded = encodeBytes(bytes);
    const frequencies = [307, 123, 49, 33];
    const own = written(9, frequencies, [...bytes]);
    expect(firstDifference(decodeBytes(own, 3000), bytes)).toBe(-1);
    expect(Math.abs(own.length - coded.length)).toBeLessThan(12);
    expect(
      readPayload(own.subarray(own.length - writePayload([...bytes], [frequencies]).length), 3000, [
        frequencies,
      ]),
    ).toEqual([...bytes]);
  });

  it("take 6 bytes or more less than a whole stream where that codes single symbols", () => {
    for (const length of [200, 5000, 20_000]) {
      const bytes = geometric(length, 0.6, 12);
      const stream = compress(bytes);
      expect(stream[1] & 7).toBe(2);
      expect(stream.length - encodeBytes(bytes).length).toBeGreaterThanOrEqual(6);
    }
  });

  it("spend nothing on no bytes, and a dozen bytes on any number of equal ones", () => {
    expect(encodeBytes(new Uint8Array(0))).toHaveLength(0);
    expect(decodeBytes(new Uint8Array(0), 0)).toHaveLength(0);
    const coded = encodeBytes(new Uint8Array(1_000_000).fill(255));
    expect(coded.length).toBeLessThanOrEqual(13);
    expect(decodeBytes(coded, 1_000_000).every((byte) => byte === 255)).toBe(true);
  });

  it("refuse another count, cut bytes, and bytes that follow", () => {
    const bytes = geometric(1500, 0.5, 12);
    const coded = encodeBytes(bytes);
    for (const count of [0, 1, 511, 1499, 1501, 2 ** 40])
      expect(() => decodeBytes(coded, count)).toThrow(CorruptInputError);
    for (let end = 0; end < coded.length; end++)
      expect(() => decodeBytes(coded.subarray(0, end), 1500)).toThrow(CorruptInputError);
    expect(() => decodeBytes(Uint8Array.of(...coded, 0), 1500)).toThrow(CorruptInputError);
    expect(() => decodeBytes(Uint8Array.of(0), 0)).toThrow(CorruptInputError);
  });

  it("refuse unknown table logs, and tables beyond bytes or the sum", () => {
    for (const tableLog of [0, 8, 15]) {
      const coded = written(9, [256, 256], [0, 1, 0]);
      coded[0] = (coded[0] & 0xf0) | tableLog;
      expect(() => decodeBytes(coded, 3)).toThrow(CorruptInputError);
    }
    const far = written(9, [...new Array(256).fill(0), 512], [256, 256]);
    expect(() => decodeBytes(far, 2)).toThrow(CorruptInputError);
    expect(() => decodeBytes(Uint8Array.of(9 + 16 * 14, 255, 255, 255, 255), 2)).toThrow(CorruptInputError);
  });

  it("never hang, throw anything else or give another number of bytes, however mutated", () => {
    const next = random(Number(process.env.FUZZ_SEED ?? 1));
    const pick = (n: number): number => Math.floor(n * next());
    const list = [1, 40, 511, 700, 3000].map((length) => geometric(length, 0.7, 40));
    for (let round = 0; round < 3000; round++) {
      const bytes = list[pick(list.length)];
      const mutant = Array.from(encodeBytes(bytes));
      for (let change = 1 + pick(3); change > 0; change--) {
        const what = pick(3);
        if (what === 0) mutant[pick(mutant.length)] ^= 1 << pick(8);
        else if (what === 1) mutant.splice(pick(mutant.length), 1 + pick(3));
        else mutant.splice(pick(mutant.length), 0, pick(256));
      }
      try {
        expect(decodeBytes(Uint8Array.from(mutant), bytes.length)).toHaveLength(bytes.length);
      } catch (error) {
        if (!(error instanceof CorruptInputError)) throw error;
      }
    }
  });

  it("allocate no more than comes out, and name wrong arguments", () => {
    const before = process.memoryUsage().arrayBuffers;
    const coded = encodeBytes(geometric(1500, 0.5, 12));
    for (const count of [2 ** 31, 2 ** 52])
      expect(() => decodeBytes(coded, count)).toThrow(CorruptInputError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
    expect(() => decodeBytes([1] as never, 1)).toThrow(/bytes: expected a Uint8Array/);
    for (const count of [-1, 1.5, Number.NaN]) expect(() => decodeBytes(coded, count)).toThrow(RangeError);
    expect(() => encodeBytes([1] as never)).toThrow(TypeError);
    expect(() => encodedBits("a" as never)).toThrow(TypeError);
  });
});
