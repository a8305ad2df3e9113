import { describe, expect, it } from "vitest";
import { uniform } from "../../src/data/random.js";
import { cornersOf, decodeBoxes, encodeBox, overlap } from "../../src/detection/boxes.js";
import { detectionsOf, suppress } from "../../src/detection/detections.js";
import { matchPriors } from "../../src/detection/matching.js";
import { priorBoxes, SSD300, SSD512 } from "../../src/detection/priors.js";
import { distance, hasPython, reference } from "./reference.js";

describe("boxes", () => {
  it("overlap by intersection over union, also where corners are pixels", () => {
    expect(overlap([0, 0, 2, 2], 0, [9, 9, 9, 9, 1, 0, 3, 2], 1)).toBeCloseTo(1 / 3, 12);
    expect(overlap([0, 0, 1, 1], 0, [1, 0, 2, 1], 0)).toBe(0);
    expect(overlap([0, 0, 1, 1], 0, [1, 0, 2, 1], 0, 1)).toBeCloseTo(1 / 3, 12);
    expect(overlap([0, 0, 1, 1], 0, [2, 2, 3, 3], 0)).toBe(0); // no product of two negative sides
  });

  it("are told from a prior and read back", () => {
    const prior = [0.5, 0.5, 0.2, 0.4];
    // Half a width to the right, twice as wide: 0.5 / 0.1 and ln 2 / 0.2.
    const offsets = encodeBox([0.4, 0.3, 0.8, 0.7], 0, prior, 0);
    expect(distance(offsets, [5, 0, Math.log(2) / 0.2, 0])).toBeLessThan(1e-12);
    expect(distance(decodeBoxes(offsets, prior), [0.4, 0.3, 0.8, 0.7])).toBeLessThan(1e-6);
    expect(distance(cornersOf([0.25, 0.5, 0.5, 1]), [0, 0, 0.5, 1])).toBe(0);
  });

  it("of a class that overlap too much leave the best", () => {
    const boxes = [0, 0, 1, 1, 0, 0, 1, 0.6, 0, 0, 1, 0.5, 0.9, 0.9, 1, 1];
    const limits = { leastScore: 0.1, mostOverlap: 0.5, most: 9 };
    // The third has 5/6 in common with the second, which is gone, and exactly half with the first.
    expect(suppress(boxes, [0.8, 0.7, 0.6, 0.1], limits)).toEqual([0, 2]);
    expect(suppress(boxes, [0.6, 0.9, 0.7, 0.2], limits)).toEqual([1, 3]);
    expect(suppress(boxes, [0.8, 0.7, 0.6, 0.5], { ...limits, most: 2 })).toEqual([0]);
  });
});

describe("priors", () => {
  it("are as many as the paper says, the first and the last as in its models", () => {
    const [small, large] = [SSD300, SSD512].map(priorBoxes);
    expect([small.length / 4, large.length / 4]).toEqual([8732, 24564]);
    const root = Math.SQRT2;
    const first = [
      0.1,
      0.1,
      Math.sqrt(0.02),
      Math.sqrt(0.02),
      0.1 * root,
      0.1 / root,
      0.1 / root,
      0.1 * root,
    ];
    for (let i = 0; i < 4; i++) {
      const wanted = [4 / 300, 4 / 300, first[2 * i], first[2 * i + 1]];
      expect(distance(small.subarray(4 * i, 4 * i + 4), wanted)).toBeLessThan(1e-7);
    }
    // The widest of the last map is 0.88 times the root of 2: clipped to 1.
    expect(distance(small.subarray(-8, -4), [0.5, 0.5, 1, 0.88 / root])).toBeLessThan(1e-6);
    expect(distance(large.subarray(0, 4), [4 / 512, 4 / 512, 0.07, 0.07])).toBeLessThan(1e-7);
  });
});

describe("matching", () => {
  const priors = Float32Array.of(0.25, 0.5, 0.5, 1, 0.75, 0.5, 0.5, 1, 0.5, 0.5, 0.1, 0.1);

  it("gives each box its best prior, and priors their best box from half on", () => {
    // The second box is small: its best prior shares 0.04 with it. The third prior shares with nobody.
    const boxes = Float32Array.of(0, 0, 0.5, 0.8, 0.9, 0, 1, 0.2);
    const { labels, offsets } = matchPriors({ boxes, labels: [3, 5] }, priors);
    expect([...labels]).toEqual([3, 5, 0]);
    expect(distance(offsets.subarray(0, 4), [0, -1, 0, Math.log(0.8) / 0.2])).toBeLessThan(1e-5);
    expect([...offsets.subarray(8)]).toEqual([0, 0, 0, 0]);
  });

  it("lets a box have its best prior, though another one overlaps more", () => {
    const boxes = Float32Array.of(0, 0, 0.5, 1, 0.1, 0, 0.5, 0.9);
    expect([...matchPriors({ boxes, labels: [1, 2] }, priors).labels]).toEqual([2, 0, 0]);
    expect([...matchPriors({ boxes: new Float32Array(0), labels: [] }, priors).labels]).toEqual([0, 0, 0]);
  });
});

describe.skipIf(!hasPython)("beside the second implementation", () => {
  const random = uniform(7);
  const table = { ...SSD300, maps: SSD300.maps.slice(2) };

  it("priors of both tables are the same", () => {
    for (const whole of [SSD300, SSD512]) {
      expect(distance(priorBoxes(whole), reference({ priors: whole }).priors)).toBeLessThan(1e-6);
    }
  });

  it("matches are the same for crowds of boxes", () => {
    // Of slightly different sizes: boxes that hold a prior, or lie in one, would be as far from many.
    const priors = priorBoxes(table).map((value) => value * (1 - 0.02 * random()));
    const labels = Array.from({ length: 40 }, () => 1 + Math.floor(20 * random()));
    const centres = Float32Array.from({ length: 160 }, (_, i) =>
      i % 4 < 2 ? random() : 0.05 + 0.8 * random(),
    );
    const boxes = cornersOf(centres).map((value) => Math.min(1, Math.max(0, value)));
    const { match } = reference({ match: { priors, boxes, labels } });
    const own = matchPriors({ boxes, labels }, priors);
    expect(own.labels.filter((label) => label > 0).length).toBeGreaterThan(60);
    expect([...own.labels]).toEqual(match.labels);
    expect(distance(own.offsets, match.offsets)).toBeLessThan(1e-4);
  });

  it("detections are the same", () => {
    const priors = priorBoxes(table);
    const count = priors.length / 4;
    const offsets = Float32Array.from({ length: 4 * count }, () => 2 * random() - 1);
    const logits = Float32Array.from({ length: 4 * count }, () => 4 * random());
    const rows = Array.from({ length: count }, (_, i) => logits.subarray(4 * i, 4 * i + 4));
    const { detect } = reference({ detect: { priors, offsets, logits: rows } });
    const own = detectionsOf(offsets, logits, priors).map(({ label, score, box }) => [label, score, ...box]);
    expect(own.length).toBe(200);
    expect(own.map(([label]) => label)).toEqual(detect.map(([label]: number[]) => label));
    expect(distance(own.flat(), detect.flat())).toBeLessThan(1e-5);
  });
});
