import { describe, expect, it } from "vitest";
import { uniform } from "../../src/data/random.js";
import {
  allPoints,
  elevenPoints,
  type FoundBox,
  type MarkedBox,
  meanAveragePrecision,
  precisionRecall,
} from "../../src/detection/average-precision.js";
import { hasPython, reference } from "./reference.js";

const marked = (image: string, box: number[], isDifficult = false): MarkedBox => ({
  image,
  name: "cat",
  box,
  isDifficult,
});
const found = (image: string, box: number[], score: number): FoundBox => ({ image, name: "cat", box, score });

describe("average precision", () => {
  it("of a worked example", () => {
    const cats = [
      marked("a", [1, 1, 10, 10]),
      marked("b", [1, 1, 10, 10]),
      marked("b", [21, 1, 30, 10], true),
    ];
    const detections = [
      found("b", [1, 1, 10, 10], 0.7), // right, but behind a wrong one
      found("a", [1, 1, 10, 10], 0.9), // right
      found("a", [2, 1, 10, 10], 0.8), // found already: wrong
      found("b", [21, 1, 30, 10], 0.75), // difficult: neither
      found("b", [22, 1, 30, 10], 0.74), // the same once more: neither
    ];
    const curve = precisionRecall(detections, cats);
    expect(curve).toEqual({ precision: [1, 1 / 2, 2 / 3], recall: [1 / 2, 1 / 2, 1] });
    // Recalls 0 .. 0.5 at precision 1, 0.6 .. 1 at 2/3.
    expect(elevenPoints(curve)).toBeCloseTo((6 + 5 * (2 / 3)) / 11, 12);
    expect(allPoints(curve)).toBeCloseTo(1 / 2 + 1 / 3, 12);
  });

  it("counts an overlap of exactly half, by pixels", () => {
    const cats = [marked("a", [1, 1, 10, 10])];
    expect(precisionRecall([found("a", [1, 1, 10, 5], 1)], cats).precision).toEqual([1]);
    expect(precisionRecall([found("a", [1, 1, 10, 4], 1)], cats).precision).toEqual([0]);
  });

  it("takes recalls of tenths for tenths, and is 0 without detections", () => {
    const cats = Array.from({ length: 10 }, (_, i) => marked(`${i}`, [1, 1, 9, 9]));
    const three = cats.slice(0, 3).map(({ image, box }) => found(image, box as number[], 1));
    expect(elevenPoints(precisionRecall(three, cats))).toBeCloseTo(4 / 11, 12);
    expect(meanAveragePrecision([], cats, allPoints)).toEqual({ mean: 0, classes: { cat: 0 } });
  });

  it("leaves classes out that are marked only as difficult", () => {
    const boxes = [marked("a", [1, 1, 9, 9]), { ...marked("a", [1, 1, 9, 9], true), name: "dog" }];
    const both = [found("a", [1, 1, 9, 9], 1), { ...found("a", [1, 1, 9, 9], 1), name: "bird" }];
    expect(meanAveragePrecision(both, boxes, allPoints)).toEqual({ mean: 1, classes: { cat: 1 } });
  });
});

it.skipIf(!hasPython)("average precision is that of the second implementation, by both rules", () => {
  const random = uniform(3);
  const whole = (most: number) => Math.floor(random() * most);
  const anyBox = () => {
    const [x, y] = [1 + whole(60), 1 + whole(60)];
    return [x, y, x + 4 + whole(30), y + 4 + whole(30)];
  };
  const names = ["cat", "dog", "bird"];
  const boxes = Array.from(
    { length: 150 },
    (_, i): MarkedBox => ({
      image: `${i % 20}`,
      name: names[whole(3)],
      box: anyBox(),
      isDifficult: random() < 0.2,
    }),
  );
  const detections = Array.from({ length: 900 }, (): FoundBox => {
    const like = boxes[whole(150)];
    const box = random() < 0.5 ? (like.box as number[]).map((side) => side + whole(7) - 3) : anyBox();
    return { image: like.image, name: names[whole(3)], box, score: random() };
  });
  const { averagePrecision } = reference({ averagePrecision: { marked: boxes, found: detections } });
  for (const [rule, at] of [
    [elevenPoints, 0],
    [allPoints, 1],
  ] as const) {
    const { mean, classes } = meanAveragePrecision(detections, boxes, rule);
    expect(mean).toBeGreaterThan(0.02);
    for (const name of names) expect(classes[name]).toBeCloseTo(averagePrecision[name][at], 10);
  }
});
