import { MAX_VALUES } from "@bitdiet/zoo/ring/link";
import { describe, expect, it } from "vitest";
import { sumSeconds } from "../src/ring-simulation.js";

const PIECE = 4 * MAX_VALUES;
/** A piece takes a second on a link. */
const network = { bitsPerSecond: 8 * PIECE, latency: 0.25 };

describe("the simulated sum", () => {
  it.each([
    // One piece goes once to the last rank, and from there to the one before it: 2 (ranks - 1) links.
    [1, 1, 0],
    [2, 1, 2 * 1.25],
    [5, 1, 8 * 1.25],
    // With two ranks each link carries every piece once, both at a time.
    [2, 10, 10 + 0.25 + 1.25],
  ])("of %i ranks and %i pieces takes %d s", (ranks, pieces, seconds) => {
    expect(sumSeconds(ranks, pieces * PIECE, network)).toBeCloseTo(seconds, 9);
  });

  it("of many pieces takes at most as long as a link carries them twice, and the way around", () => {
    const [ranks, pieces] = [8, 200];
    const seconds = sumSeconds(ranks, pieces * PIECE, network);
    expect(seconds).toBeGreaterThanOrEqual(2 * pieces - 1);
    expect(seconds).toBeLessThan(2 * pieces + 2 * ranks * 1.25 + 1);
  });
});
