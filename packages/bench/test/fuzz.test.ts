import { countSymbols, shannonEntropy } from "@bitdiet/huffman";
import { describe, expect, it } from "vitest";
import { selfDescribing } from "../src/coders.js";
import { fuzz } from "../src/fuzz.js";
import { featureMapSource, laplaceSource, uniformSource } from "../src/sources.js";

describe("the mutation fuzzer", () => {
  it.each(selfDescribing.map((coder) => [coder.name, coder] as const))(
    "finds no hang, no untyped throw and no wrong decoding in a slice of %s",
    (_, coder) => {
      const [report] = fuzz([coder], { cases: 1000, seconds: 50, seed: 7 });
      expect(report.failures).toEqual([]);
      expect(report.cases).toBe(1000);
      expect(report.refused).toBeGreaterThan(900);
    },
  );

  it("notices a decoder that returns other symbols, and one that throws what is no corrupt-input error", () => {
    const [coder] = selfDescribing;
    const limits = { cases: 50, seconds: 50, seed: 1 };
    const careless = { ...coder, decode: () => Uint8Array.of(1, 2, 3) };
    const untyped = {
      ...coder,
      decode: () => {
        throw new RangeError("Offset is outside the bounds of the DataView");
      },
    };
    for (const [report] of [fuzz([careless], limits), fuzz([untyped], limits)]) {
      expect(report.failures.length).toBeGreaterThan(40);
    }
  });
});

describe("sources", () => {
  it("have the entropy that they are named for", () => {
    for (const bits of [0.5, 1, 2.5, 4, 6]) {
      const { symbols } = laplaceSource(bits, 200_000);
      expect(Math.abs(shannonEntropy(countSymbols(symbols)) - bits)).toBeLessThan(0.01);
    }
    expect(shannonEntropy(countSymbols(uniformSource(16, 200_000).symbols))).toBeGreaterThan(3.999);
  });

  it("draw the same symbols for the same seed, and others for another", () => {
    const [a, b, c] = [1, 1, 2].map((seed) => laplaceSource(2.5, 1000, seed).symbols);
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });

  it("make feature maps with the share of zeros asked for, and the entropy that the benchmark is to have", () => {
    for (const [zeros, bits] of [
      [0.75, 1.386],
      [0.9, 0.668],
    ]) {
      const { symbols } = featureMapSource(zeros, 1000);
      const counts = countSymbols(symbols, 16);
      expect(Math.abs(counts[0] / symbols.length - zeros)).toBeLessThan(0.003);
      expect(Math.abs(shannonEntropy(counts) / bits - 1)).toBeLessThan(0.02);
      // Given the neighbour on the left alone, 0 or not, a symbol is much less uncertain.
      const left = [0, 1].map((kind) =>
        symbols.filter((_, i) => i % 32 > 0 && (symbols[i - 1] > 0 ? 1 : 0) === kind),
      );
      const given = left.reduce((sum, part) => sum + part.length * shannonEntropy(countSymbols(part)), 0);
      expect(given / (left[0].length + left[1].length)).toBeLessThan(0.8 * bits);
    }
  });
});
