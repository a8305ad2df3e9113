import { symmetricEigen } from "@bitdiet/dct-transform";
import { describe, expect, it } from "vitest";
import { sweep } from "../src/rate-distortion.js";
import { markdownTable } from "../src/report.js";
import { gaussianRate, gaussMarkovCovariance, gaussMarkovRows } from "../src/sources.js";

describe("sources of known R(D)", () => {
  it("give half a bit per factor of 2 in a single variance, and reverse water-filling over several", () => {
    expect(gaussianRate([1], 0.25)).toBeCloseTo(1, 10);
    // Variances 16, 4, 1, 0.1 at distortion (3 · 0.25 + 0.1) / 4 take 3, 2, 1, 0 bits.
    expect(gaussianRate([16, 4, 1, 0.1], 0.2125)).toBeCloseTo(1.5, 10);
  });

  it("have the covariance they claim", () => {
    const rows = gaussMarkovRows(0.9, 4, 50_000, 3);
    const covariance = gaussMarkovCovariance(0.9, 4);
    for (const [i, j] of [
      [0, 0],
      [0, 3],
      [2, 3],
    ]) {
      let sum = 0;
      for (let at = 0; at < rows.length; at += 4) sum += rows[at + i] * rows[at + j];
      expect(Math.abs(sum / 50_000 - covariance[4 * i + j])).toBeLessThan(0.02);
    }
  });

  it("are never coded below R(D), by a codec swept over them", () => {
    const rows = gaussMarkovRows(0, 1, 4096, 1);
    const [fine, coarse] = sweep(
      [0.5, 2],
      rows,
      (samples, step) => [new Uint8Array(Int8Array.from(samples, (x) => Math.round(x / step)).buffer)],
      ([bytes], step) => Float32Array.from(new Int8Array(bytes.buffer), (level) => level * step),
    );
    expect(fine.rate).toBe(8);
    expect(fine.distortion).toBeCloseTo(0.25 / 12, 2);
    expect(coarse.distortion).toBeGreaterThan(10 * fine.distortion);
    const { values } = symmetricEigen(gaussMarkovCovariance(0, 1), 1);
    expect(fine.rate).toBeGreaterThan(gaussianRate(values, fine.distortion));
  });
});

describe("the report", () => {
  it("pads a Markdown table, numbers to the right, absent values empty", () => {
    const table = markdownTable([
      { step: 1, name: "a" },
      { step: 0.5, name: "bcd", bits: 2 },
    ]);
    expect(table.split("\n")).toEqual([
      "| step | name | bits |",
      "| ---: | ---- | ---: |",
      "|    1 | a    |      |",
      "|  0.5 | bcd  |    2 |",
    ]);
  });
});
