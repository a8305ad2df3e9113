import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countSymbols, shannonEntropy } from "../src/index.js";
import { random } from "./reference.js";

describe("countSymbols", () => {
  it("counts what a loop counts, at every length and both widths", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 70 }), (values) => {
        for (const symbols of [Uint16Array.from(values), Uint8Array.from(values, (v) => v & 255)]) {
          const expected = new Array(Math.max(0, ...symbols) + 1).fill(0);
          for (const symbol of symbols) expected[symbol]++;
          expect([...countSymbols(symbols)]).toEqual(expected);
        }
      }),
    );
  });

  it("counts large inputs by pairs to the same result, at any offset in the buffer", () => {
    const next = random(1);
    const buffer = Uint8Array.from({ length: 300_007 }, () => Math.floor(next() * 200));
    for (const from of [0, 1, 2, 3]) {
      const symbols = buffer.subarray(from);
      const expected = new Uint32Array(256);
      for (const symbol of symbols) expected[symbol]++;
      expect(countSymbols(symbols, 256)).toEqual(expected);
      expect(countSymbols(Uint16Array.from(symbols), 256)).toEqual(expected);
    }
  });

  it("pads to alphabetSize, and refuses symbols outside it", () => {
    expect([...countSymbols(Uint8Array.of(1), 4)]).toEqual([0, 1, 0, 0]);
    expect([...countSymbols(new Uint8Array(0))]).toEqual([0]);
    expect(() => countSymbols(Uint8Array.of(7), 4)).toThrow(/below alphabetSize 4, got 7/);
    expect(() => countSymbols([1] as never)).toThrow(TypeError);
    expect(() => countSymbols(Uint8Array.of(1), 0)).toThrow(RangeError);
    expect(() => countSymbols(Uint8Array.of(1), 65537)).toThrow(RangeError);
  });
});

describe("shannonEntropy", () => {
  it("is log2 n for n equal counts, and 0 for one symbol or none", () => {
    for (const n of [1, 2, 3, 16, 1000]) {
      expect(shannonEntropy(new Array(n).fill(7))).toBeCloseTo(Math.log2(n), 12);
    }
    expect(shannonEntropy([0, 5, 0])).toBe(0);
    expect(shannonEntropy([])).toBe(0);
  });

  it("is that of the worked example: counts 1 and 2 give 0.918296 bits", () => {
    expect(shannonEntropy([1, 0, 2])).toBeCloseTo(0.9182958340544896, 12);
  });
});
