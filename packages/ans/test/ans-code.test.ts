import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ansCode, CorruptInputError, normalizeCounts } from "../src/index.js";
import { readPayload, writePayload } from "./reference.js";
import { firstDifference, geometric, random } from "./sources.js";

/** Frequencies of some alphabet at some table log, and symbols drawn by them. */
const coded = fc
  .record({
    counts: fc
      .array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 300 })
      .filter((c) => c.some((n) => n > 0)),
    tableLog: fc.integer({ min: 9, max: 14 }),
    length: fc.oneof(
      fc.nat({ max: 40 }),
      fc.nat({ max: 3000 }),
      fc.constantFrom(511, 512, 513, 8191, 8192, 8193),
    ),
    seed: fc.integer(),
  })
  .map(({ counts, tableLog, length, seed }) => {
    const frequencies = normalizeCounts(counts, tableLog);
    const owners = Array.from(frequencies).flatMap((frequency, symbol) =>
      new Array<number>(frequency).fill(symbol),
    );
    const next = random(seed);
    const symbols = Array.from({ length }, () => owners[Math.floor(next() * owners.length)]);
    return { frequencies, symbols };
  });

describe("ansCode", () => {
  it("decodes what it encoded, for any frequencies and lengths", () => {
    fc.assert(
      fc.property(coded, ({ frequencies, symbols }) => {
        const code = ansCode(frequencies);
        expect(Array.from(code.decode(code.encode(symbols), symbols.length))).toEqual(symbols);
      }),
      { numRuns: 200 },
    );
  });

  it("writes the bytes of the reference encoder, which the reference decoder reads", () => {
    fc.assert(
      fc.property(coded, ({ frequencies, symbols }) => {
        const some = symbols.slice(0, 700);
        const bytes = ansCode(frequencies).encode(some);
        expect(readPayload(bytes, some.length, [Array.from(frequencies)])).toEqual(some);
        const few = symbols.slice(0, 40);
        expect(ansCode(frequencies).encode(few)).toEqual(writePayload(few, [Array.from(frequencies)]));
      }),
      { numRuns: 40 },
    );
  });

  it("round-trips a million symbols at every entropy, as long as estimated", () => {
    for (const decay of [0.001, 0.05, 0.3, 0.7, 0.95]) {
      const symbols = geometric(1_000_000, decay, 256);
      const counts = new Uint32Array(256);
      for (const symbol of symbols) counts[symbol]++;
      for (const tableLog of [11, 12, 14]) {
        const code = ansCode(normalizeCounts(counts, tableLog));
        const bytes = code.encode(symbols);
        expect(firstDifference(code.decode(bytes, symbols.length), symbols)).toBe(-1);
        expect(code.encodedBits(symbols)).toBe(8 * bytes.length);
      }
    }
  });

  it("codes 4,096 symbols of 16 bits, as 16-bit words", () => {
    const next = random(3);
    const frequencies = new Uint16Array(65536);
    const present = Array.from({ length: 4096 }, (_, i) => i * 16 + Math.floor(16 * next()));
    present.forEach((symbol) => {
      frequencies[symbol] = 4;
    });
    const symbols = Uint16Array.from({ length: 20_001 }, () => present[Math.floor(next() * 4096)]);
    const code = ansCode(frequencies);
    const bytes = code.encode(symbols);
    expect(code.decode(bytes, symbols.length)).toEqual(symbols);
    expect(bytes.length).toBeLessThan((20_001 * 12) / 8 + 16);
  });

  it("spends no bits on a symbol that has the whole table", () => {
    const code = ansCode([0, 512]);
    const bytes = code.encode(new Uint8Array(100_000).fill(1));
    expect(bytes.length).toBe(5);
    expect(firstDifference(code.decode(bytes, 100_000), new Uint8Array(100_000).fill(1))).toBe(-1);
    expect(code.encode([])).toEqual(new Uint8Array(0));
    expect(code.decode(new Uint8Array(0), 0)).toEqual(new Uint8Array(0));
  });

  it("names the symbol that it cannot code", () => {
    const code = ansCode([256, 0, 256]);
    expect(() => code.encode([0, 1])).toThrow(
      new RangeError("symbols[1]: expected a symbol of frequency > 0, got 1"),
    );
    expect(() => code.encode([0, 3])).toThrow(new RangeError("symbols[1]: expected an integer 0..2, got 3"));
    expect(() => code.encodedBits([-1])).toThrow(RangeError);
    expect(() => code.encode([0.5])).toThrow(RangeError);
  });

  it("refuses frequencies that are no table", () => {
    expect(() => ansCode([300, 300])).toThrow(
      new RangeError("frequencies: expected a sum of 2^1 .. 2^14, got 600"),
    );
    expect(() => ansCode([])).toThrow(RangeError);
    expect(() => ansCode([513, -1])).toThrow(RangeError);
    expect(() => ansCode(new Uint16Array(8192).fill(2))).toThrow(/at most 4096/);
  });

  it("tells corrupt bytes from wrong arguments", () => {
    const code = ansCode(normalizeCounts([5, 3, 1], 9));
    const symbols = geometric(2000, 0.4, 3);
    const bytes = code.encode(symbols);
    for (const wrong of [bytes.subarray(1), bytes.subarray(0, -1), new Uint8Array(0), new Uint8Array(40)]) {
      expect(() => code.decode(wrong, 2000)).toThrow(CorruptInputError);
    }
    for (const count of [0, 1, 511, 1999, 2001, 1e9]) {
      expect(() => code.decode(bytes, count)).toThrow(CorruptInputError);
    }
    expect(() => code.decode(bytes, -1)).toThrow(RangeError);
    expect(() => code.decode([1, 2] as unknown as Uint8Array, 2)).toThrow(TypeError);
  });

  it("reads and leaves alone bytes in the middle of a larger buffer", () => {
    const code = ansCode(normalizeCounts([5, 3, 1], 9));
    const symbols = geometric(3000, 0.4, 3);
    const bytes = code.encode(symbols);
    const larger = new Uint8Array(bytes.length + 20).fill(255);
    larger.set(bytes, 9);
    expect(code.decode(larger.subarray(9, 9 + bytes.length), 3000)).toEqual(symbols);
    expect(code.encode(symbols.subarray(1, 2000))).toEqual(
      code.encode(Array.from(symbols.subarray(1, 2000))),
    );
  });

  it("writes bytes as it writes any other array of their values, and refuses them alike", () => {
    const code = ansCode(normalizeCounts([600, 0, 300, 80, 9], 10));
    for (const length of [0, 1, 511, 512, 20_003]) {
      const symbols = Uint8Array.from({ length }, (_, i) => [0, 2, 0, 3, 0, 4, 2][(i * i) % 7]);
      expect(code.encode(symbols)).toEqual(code.encode(Array.from(symbols)));
      expect(code.encodedBits(symbols)).toBe(8 * code.encode(symbols).length);
    }
    for (const wrong of [1, 5, 255]) {
      const symbols = Uint8Array.of(0, 2, wrong, 0);
      expect(() => code.encode(symbols)).toThrow(RangeError);
      let message = "";
      try {
        code.encode(Array.from(symbols));
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message).toMatch(/symbols\[2\]/);
      expect(() => code.encodedBits(symbols)).toThrow(message);
    }
  });
});
