import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codedBits, codeLengths, countSymbols, shannonEntropy } from "../src/index.js";
import { geometric, random } from "./reference.js";

/** Every descending list of n lengths up to `limit` with Kraft sum 1, the shortest ones last. */
function* completeCodes(n: number, limit: number, room = 1, most = limit): Generator<number[]> {
  if (n === 0) {
    if (room === 0) yield [];
    return;
  }
  for (let length = 1; length <= most; length++) {
    const rest = room - 2 ** -length;
    if (rest < 0) continue;
    for (const others of completeCodes(n - 1, limit, rest, length)) yield [length, ...others];
  }
}

/** The textbook: merge the two lightest until one is left. Its cost is the sum of all merged weights. */
function huffmanCost(counts: number[]): number {
  const heap = counts.filter((count) => count > 0);
  let cost = 0;
  while (heap.length > 1) {
    heap.sort((a, b) => b - a);
    const merged = heap.pop()! + heap.pop()!;
    cost += merged;
    heap.push(merged);
  }
  return cost;
}

const kraft = (lengths: Uint8Array) => lengths.reduce((sum, l) => (l > 0 ? sum + 2 ** -l : sum), 0);

describe("codeLengths", () => {
  it("costs what the best of all codes costs, for every limit on small alphabets", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 2, maxLength: 7 }), (counts) => {
        const sorted = [...counts].sort((a, b) => a - b);
        for (let limit = Math.ceil(Math.log2(counts.length)); limit <= 7; limit++) {
          let best = Number.POSITIVE_INFINITY;
          for (const lengths of completeCodes(counts.length, limit)) {
            best = Math.min(best, codedBits(sorted, lengths));
          }
          const lengths = codeLengths(counts, limit);
          expect(Math.max(...lengths)).toBeLessThanOrEqual(limit);
          expect(kraft(lengths)).toBe(1);
          expect(codedBits(counts, lengths)).toBe(best);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("costs what Huffman's merging costs where no limit binds", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 120 }), (counts) => {
        if (counts.every((count) => count === 0)) return;
        expect(codedBits(counts, codeLengths(counts, 20))).toBe(huffmanCost(counts));
      }),
    );
  });

  it("stays within the limit on Fibonacci counts, whose Huffman code is as deep as it can be", () => {
    const counts = [1, 1];
    while (counts.length < 40) counts.push(counts.at(-1)! + counts.at(-2)!);
    let last = Number.POSITIVE_INFINITY;
    for (let limit = 6; limit <= 20; limit++) {
      const lengths = codeLengths(counts, limit);
      expect(Math.max(...lengths)).toBe(limit);
      expect(kraft(lengths)).toBe(1);
      const bits = codedBits(counts, lengths);
      expect(bits).toBeLessThanOrEqual(last);
      expect(bits).toBeGreaterThanOrEqual(huffmanCost(counts));
      last = bits;
    }
  });

  it("makes complete codes of alphabets up to 65,536, at the tightest limit and the default one", () => {
    const next = random(3);
    for (const n of [1, 2, 255, 256, 257, 4096, 65535, 65536]) {
      const counts = Uint32Array.from({ length: n }, () => 1 + Math.floor(1 / (1e-9 + next())));
      for (const lengths of [
        codeLengths(counts),
        codeLengths(counts, Math.max(1, Math.ceil(Math.log2(n)))),
      ]) {
        expect(kraft(lengths)).toBe(n === 1 ? 0.5 : 1);
      }
    }
    const flat = codeLengths(new Uint32Array(65536).fill(1));
    expect(new Set(flat)).toEqual(new Set([16]));
  });

  it("keeps exact sums at counts of 2^32 - 1", () => {
    const counts = new Uint32Array(65536).fill(0xffffffff);
    counts[0] = 1;
    const lengths = codeLengths(counts, 17);
    expect(kraft(lengths)).toBe(1);
    expect(lengths[0]).toBeGreaterThanOrEqual(16);
  });

  it("gives unused symbols 0, a lone symbol 1, and no symbols nothing", () => {
    expect([...codeLengths([0, 9, 0])]).toEqual([0, 1, 0]);
    expect([...codeLengths([0, 0])]).toEqual([0, 0]);
    expect([...codeLengths([1, 1, 2, 4])]).toEqual([3, 3, 2, 1]);
    expect([...codeLengths([1, 1, 2, 4], 2)]).toEqual([2, 2, 2, 2]);
  });

  it("names the argument that is wrong", () => {
    expect(() => codeLengths([])).toThrow(/counts: expected 1 \.\. 65536/);
    expect(() => codeLengths([1, -1])).toThrow(/counts\[1\].*got -1/);
    expect(() => codeLengths([1, 0.5])).toThrow(/counts\[1\]/);
    expect(() => codeLengths([1, 1, 1], 1)).toThrow(/maxLength: expected an integer in 2 \.\. 20, got 1/);
    expect(() => codeLengths([1, 1], 21)).toThrow(RangeError);
  });
});

describe("codedBits", () => {
  it("lies between the entropy and one bit a symbol more", () => {
    const next = random(4);
    for (const p of [0.1, 0.5, 0.9, 0.99]) {
      const counts = countSymbols(geometric(new Uint8Array(20_000), 256, p, next));
      const bits = codedBits(counts, codeLengths(counts)) / 20_000;
      expect(bits).toBeGreaterThanOrEqual(shannonEntropy(counts));
      expect(bits).toBeLessThan(shannonEntropy(counts) + 1);
    }
  });

  it("is 0 for a code of one symbol, and refuses a symbol without a code", () => {
    expect(codedBits([5, 0], [1, 0])).toBe(0);
    expect(() => codedBits([5, 1, 1], [1, 1, 0])).toThrow(/lengths\[2\]/);
    expect(() => codedBits([0, 1], [1])).toThrow(/lengths\[1\]/);
  });
});
