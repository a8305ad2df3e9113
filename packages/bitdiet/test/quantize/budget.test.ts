import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { meetBudget } from "../../src/quantize/budget.js";

/** Sizes as a quantized network's: about half a bit a weight for each octave, flat near nothing, with jumps of a grid. */
function sizeAt(lambda: number, weights: number, jump: number): number {
  const octaves = Math.log2(1e-3 / lambda);
  const smooth = (weights / 16) * Math.log2(1 + 2 ** octaves) + 500;
  return Math.ceil(smooth + jump * weights * Math.sin(40 * octaves));
}

describe("meetBudget", () => {
  it("ends within 1 % below any limit, in few trials, and never above", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10_000, max: 10_000_000 }),
        fc.double({ min: 0.2, max: 6, noNaN: true }),
        fc.double({ min: -16, max: -2, noNaN: true }),
        async (weights, bits, exponent) => {
          const maxBytes = Math.round((bits * weights) / 8 + 600);
          const { found, sizes } = await meetBudget({
            maxBytes,
            start: 10 ** exponent,
            weights,
            encode: async (lambda) => ({ bytes: sizeAt(lambda, weights, 0.0003), made: lambda }),
            trials: 24,
          });
          expect(found).toBeDefined();
          expect(found!.bytes).toBeLessThanOrEqual(maxBytes);
          expect(found!.bytes).toBeGreaterThanOrEqual(0.99 * maxBytes);
          expect(found!.made).toBe(found!.lambda);
          expect(sizes.length).toBeLessThanOrEqual(20);
        },
      ),
    );
  });

  it("takes few trials from a start that is not far off", async () => {
    const { sizes } = await meetBudget({
      maxBytes: 50_000,
      start: 1e-5,
      weights: 270_000,
      encode: async (lambda) => ({ bytes: sizeAt(lambda, 270_000, 0.0003), made: undefined }),
    });
    expect(sizes.length).toBeLessThanOrEqual(5);
  });

  it("says when nothing fits, and keeps the largest that fits where sizes jump over the limit", async () => {
    const nothing = await meetBudget({
      maxBytes: 400,
      start: 1e-5,
      weights: 10_000,
      encode: async (lambda) => ({ bytes: sizeAt(lambda, 10_000, 0), made: undefined }),
    });
    expect(nothing.found).toBeUndefined();
    expect(nothing.sizes).toHaveLength(12);
    const jump = await meetBudget({
      maxBytes: 1000,
      start: 1e-5,
      weights: 10_000,
      encode: async (lambda) => ({ bytes: lambda < 1e-4 ? 2000 : 800, made: "coarse" }),
      trials: 40,
    });
    expect(jump.found).toMatchObject({ bytes: 800, made: "coarse" });
    expect(jump.sizes.length).toBeLessThan(40);
  });

  it("rejects limits and starts that are none", async () => {
    const encode = async () => ({ bytes: 1, made: 0 });
    await expect(meetBudget({ maxBytes: 0, start: 1, weights: 1, encode })).rejects.toThrow(/maxBytes/);
    await expect(meetBudget({ maxBytes: 1, start: Number.NaN, weights: 1, encode })).rejects.toThrow(/start/);
  });
});
