import { countSymbols, shannonEntropy } from "@bitdiet/huffman";
import { CorruptInputError, decodeModel } from "bitdiet";
import { describe, expect, it } from "vitest";
import { selfDescribing } from "../src/coders.js";
import { fuzz } from "../src/fuzz.js";
import { alteredFiles, bothReaders, forgedFiles, hasPython } from "../src/fuzz-files.js";
import { streams, streamsOf } from "../src/fuzz-streams.js";
import { featureMapSource, laplaceSource, uniformSource } from "../src/sources.js";

const slice = { cases: 1000, seconds: 50, seed: 7 };
const few = { cases: 50, seconds: 50, seed: 1 };
const untyped = () => {
  throw new RangeError("Offset is outside the bounds of the DataView");
};

describe("the mutation fuzzer", () => {
  it.each(streams.map((subject) => [subject.name, subject] as const))(
    "finds no hang, no untyped throw and no wrong decoding in a slice of %s",
    (_, subject) => {
      const report = fuzz(subject, slice);
      expect(report.failures).toEqual([]);
      expect(report.cases).toBe(1000);
      expect(report.refused).toBeGreaterThan(900);
    },
  );

  it("finds none in a slice of altered files", () => {
    const report = fuzz(alteredFiles(), slice);
    expect(report.failures).toEqual([]);
    expect(report.refused).toBeGreaterThan(950);
  });

  it("finds none in a slice of forged files, of which some are models", () => {
    const report = fuzz(forgedFiles(), slice);
    expect(report.failures).toEqual([]);
    expect(report.refused).toBeGreaterThan(500);
    expect(report.other).toBeGreaterThan(30);
  });

  it.skipIf(!hasPython())("finds none on which the readers disagree", () => {
    const report = fuzz(bothReaders, { ...slice, cases: 300 });
    expect(report.failures).toEqual([]);
    expect(report.other).toBeGreaterThan(10);
  });

  it("notices a decoder that gives other values, and one that throws what is no corrupt-input error", () => {
    const [coder] = selfDescribing;
    const nothing = { tensors: [], metadata: [] };
    for (const subject of [
      streamsOf({ ...coder, decode: () => Uint8Array.of(1, 2, 3) }),
      streamsOf({ ...coder, decode: untyped }),
      alteredFiles(() => nothing),
      alteredFiles(untyped),
      forgedFiles(untyped),
    ])
      expect(fuzz(subject, few).failures.length).toBeGreaterThan(30);
    const refusing = alteredFiles((bytes) => {
      decodeModel(bytes);
      throw new CorruptInputError("never");
    });
    expect(fuzz(refusing, few).failures).toEqual([]);
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
