import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countSymbols, shannonEntropy } from "@bitdiet/huffman";
import { CorruptInputError, decodeModel, memoryFiles, readModel } from "bitdiet";
import { describe, expect, it } from "vitest";
import { selfDescribing } from "../src/coders.js";
import { fuzz } from "../src/fuzz.js";
import { corpusAt } from "../src/fuzz-corpus.js";
import { alteredFiles, bothReaders, forgedFiles, hasPython } from "../src/fuzz-files.js";
import { formats, originals } from "../src/fuzz-formats.js";
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
    async (_, subject) => {
      const report = await fuzz(subject, slice);
      expect(report.failures).toEqual([]);
      expect(report.cases).toBe(1000);
      expect(report.refused).toBeGreaterThan(900);
    },
  );

  it("finds none in a slice of altered files", async () => {
    const report = await fuzz(alteredFiles(), slice);
    expect(report.failures).toEqual([]);
    expect(report.refused).toBeGreaterThan(950);
  });

  it("finds none in a slice of forged files, of which some are models", async () => {
    const report = await fuzz(forgedFiles(), slice);
    expect(report.failures).toEqual([]);
    expect(report.refused).toBeGreaterThan(500);
    expect(report.other).toBeGreaterThan(30);
  });

  it.skipIf(!hasPython())("finds none on which the readers disagree", async () => {
    const report = await fuzz(bothReaders, { ...slice, cases: 300 });
    expect(report.failures).toEqual([]);
    expect(report.other).toBeGreaterThan(10);
  });

  it.each(formats.map((subject) => [subject.name, subject] as const))(
    "finds none in a slice of %s",
    async (_, subject) => {
      const report = await fuzz(subject, slice);
      expect(report.failures).toEqual([]);
      expect(report.refused).toBeGreaterThan(100);
      expect(report.other).toBeGreaterThan(20);
    },
  );

  it("begins with models that all are read", async () => {
    for (const [files, name] of originals)
      expect((await readModel(memoryFiles(files), name)).tensors.length).toBeGreaterThan(0);
  });

  it("keeps the shortest input of each reason to refuse, and tries it first", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bitdiet-corpus-"));
    const [subject] = formats;
    await fuzz(subject, few, corpusAt(folder, subject.name));
    const kept = corpusAt(folder, subject.name).all();
    expect(kept.length).toBeGreaterThan(5);
    const tried: Uint8Array[] = [];
    const noting = { ...subject, cases: () => [], decode: (bytes: Uint8Array) => void tried.push(bytes) };
    await fuzz(noting, { ...few, cases: kept.length }, corpusAt(folder, subject.name));
    expect(tried).toEqual(kept);
    rmSync(folder, { recursive: true });
  });

  it("notices a decoder that gives other values, and one that throws what is no corrupt-input error", async () => {
    const [coder] = selfDescribing;
    const nothing = { tensors: [], metadata: [] };
    for (const subject of [
      streamsOf({ ...coder, decode: () => Uint8Array.of(1, 2, 3) }),
      streamsOf({ ...coder, decode: untyped }),
      alteredFiles(async () => nothing),
      alteredFiles(untyped),
      forgedFiles(untyped),
    ])
      expect((await fuzz(subject, few)).failures.length).toBeGreaterThan(30);
    const refusing = alteredFiles(async (bytes) => {
      await decodeModel(bytes);
      throw new CorruptInputError("never");
    });
    expect((await fuzz(refusing, few)).failures).toEqual([]);
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
