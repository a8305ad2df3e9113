import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { search } from "../../src/quantize/search.js";
import { goalOf } from "../../src/quantize/target.js";

/** Sizes as a quantized network's: about half a bit a weight for each octave, flat near nothing, with jumps of a grid. */
function sizeAt(lambda: number, weights: number, jump: number): number {
  const octaves = -Math.log2(lambda);
  const smooth = (weights / 16) * Math.log2(1 + 2 ** octaves) + 500;
  return Math.ceil(smooth + jump * weights * Math.sin(40 * octaves));
}
const sized = (bytes: number) => ({ bytes, bits: Number.NaN });

describe("search", () => {
  it("ends within 1 % below any size, in few trials, never above and never twice at one lambda", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10_000, max: 10_000_000 }),
        fc.double({ min: 0.2, max: 6, noNaN: true }),
        fc.double({ min: -20, max: 4, noNaN: true }),
        async (weights, bits, octave) => {
          const maxBytes = Math.round((bits * weights) / 8 + 600);
          const { best, trials } = await search(
            goalOf({ maxBytes }, weights),
            2 ** octave,
            async (lambda) => ({ ...sized(sizeAt(lambda, weights, 0.0003)), lambda }),
            24,
          );
          expect(best?.made.bytes).toBeLessThanOrEqual(maxBytes);
          expect(best?.made.bytes).toBeGreaterThanOrEqual(0.99 * maxBytes);
          expect(best?.made.lambda).toBe(best?.lambda);
          expect(trials.length).toBeLessThanOrEqual(20);
          expect(new Set(trials.map(({ lambda }) => lambda)).size).toBe(trials.length);
        },
      ),
    );
  });

  it("takes few trials from a start that is not far off", async () => {
    const { trials } = await search(goalOf({ maxBytes: 50_000 }, 270_000), 2 ** -2, async (lambda) =>
      sized(sizeAt(lambda, 270_000, 0.0003)),
    );
    expect(trials.length).toBeLessThanOrEqual(5);
  });

  it("finds the largest lambda whose divergence is within the limit, noise or not", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: -4, max: -0.5, noNaN: true }),
        fc.double({ min: 0.6, max: 1.4, noNaN: true }),
        fc.double({ min: 0, max: 0.1, noNaN: true }),
        async (exponent, power, noise) => {
          const limit = 10 ** exponent;
          const divergenceAt = (lambda: number) =>
            3 * lambda ** power * (1 + noise * Math.sin(100 * Math.log2(lambda)));
          const { best, trials } = await search(
            goalOf({ divergence: limit }, 1000),
            4 ** -5,
            async (lambda) => ({
              ...sized(0),
              judgement: { value: divergenceAt(lambda) },
            }),
          );
          expect(best?.made.judgement.value).toBeLessThanOrEqual(limit);
          expect(best?.made.judgement.value).toBeGreaterThan(0.7 * limit);
          expect(trials.length).toBeLessThanOrEqual(14);
        },
      ),
    );
  });

  it("finds a step, such as a score that falls: of equal drops the coarsest lambda", async () => {
    const { best } = await search(goalOf({ divergence: 0.005 }, 1000), 4 ** -5, async (lambda) => ({
      ...sized(0),
      judgement: { value: lambda < 0.013 ? -0.001 : 0.2 },
    }));
    expect(best?.lambda).toBeLessThan(0.013);
    expect(best?.lambda).toBeGreaterThan(0.013 / 1.2);
  });

  it("says when nothing is within the limit, and keeps the nearest where measures jump over it", async () => {
    const nothing = await search(goalOf({ maxBytes: 400 }, 10_000), 1, async (lambda) =>
      sized(sizeAt(lambda, 10_000, 0)),
    );
    expect(nothing.best).toBeUndefined();
    const jump = await search(goalOf({ maxBytes: 1000 }, 10_000), 1, async (lambda) =>
      sized(lambda < 0.1 ? 2000 : 800),
    );
    expect(jump.best?.made.bytes).toBe(800);
    const unsteady = await search(goalOf({ divergence: 0.01 }, 10), 0.1, async () => ({
      ...sized(0),
      judgement: { value: Number.NaN },
    }));
    expect(unsteady.best).toBeUndefined();
  });

  it("ends at the finest lambda where everything fits", async () => {
    const { best, trials } = await search(goalOf({ maxBytes: 1e9 }, 1000), 1, async () => sized(900));
    expect(best?.made.bytes).toBe(900);
    expect(trials.length).toBeLessThan(12);
  });
});
