import { shannonEntropy } from "@bitdiet/huffman";
import { describe, expect, test } from "vitest";
import { normal, uniform } from "../../src/data/random.js";
import { alike, byChannel, learnMapCoder } from "../../src/shipping/feature-maps.js";
import { mapBits } from "../../src/shipping/measured.js";

const gaussian = normal(uniform(1));

describe("feature maps as bytes", () => {
  test("come back as they were, for less than their order-0 entropy where neighbours are alike", () => {
    const shape = { height: 16, width: 16, channels: 2 };
    const map = (seed: number) =>
      Uint8Array.from({ length: 40 * 512 }, (_, i) =>
        Math.max(0, 4 * Math.sin(seed + (i >> 1) / 9) + uniform(i + seed)()),
      );
    const coder = learnMapCoder("layer", map(1), alike(map(1), shape), 8);
    expect(coder.pass(map(2))).toEqual(map(2));
    expect(coder.pass(map(3))).toEqual(map(3));
    const total = coder.total();
    const counts = new Array(8).fill(0);
    for (const symbol of [...map(2), ...map(3)]) counts[symbol]++;
    expect(total.counts).toEqual(counts);
    expect(total.entropy).toBeCloseTo(shannonEntropy(counts), 9);
    const { coded, entropy } = mapBits([total]);
    expect(coded).toBeLessThan(0.8 * entropy);
  });

  // Channel 0 is wide, the others narrow: one table for all would cost more than two.
  const rows = (count: number) =>
    Uint8Array.from({ length: count * 16 }, (_, i) => {
      const level = Math.round((i % 16 === 0 ? 3 : 0.4) * gaussian());
      return 7 + Math.max(-7, Math.min(7, level));
    });

  test("cost less than the order-0 entropy where channels differ, and that is their context", () => {
    const coder = learnMapCoder("x", rows(500), byChannel(16), 15);
    const symbols = rows(2000);
    expect(coder.pass(symbols)).toEqual(symbols);
    expect(coder.pass(symbols.subarray(0, 16))).toEqual(symbols.subarray(0, 16));
    const { values, counts, entropy, codedBytes } = coder.total();
    expect(values).toBe(2001 * 16);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values);
    expect((8 * codedBytes) / values).toBeLessThan(0.95 * entropy);
  });

  test("may hold levels that training never showed", () => {
    const coder = learnMapCoder("x", new Uint8Array(64), byChannel(2), 15);
    const symbols = Uint8Array.from({ length: 30 }, (_, i) => i >> 1);
    expect(coder.pass(symbols)).toEqual(symbols);
  });
});
