// Mean average precision as Pascal VOC's development kit computes it (VOCevaldet.m): detections of a class over all pictures, best
// first, each right if it overlaps a marked box by half or more that no better one has found. Difficult boxes count
// neither way. Example: one object, found by the second of two detections: precision 0, 1/2, recall 0, 1; average precision 1/2.
import { overlap } from "./boxes.js";

/** A box somewhere in the pictures; corners are pixels counted from 1, the last one inside. */
export interface PlacedBox {
  image: string;
  /** Name of the class. */
  name: string;
  box: ArrayLike<number>;
}

export interface MarkedBox extends PlacedBox {
  isDifficult: boolean;
}

export interface FoundBox extends PlacedBox {
  score: number;
}

/** Precision and recall after each detection, from the best one on. */
export interface PrecisionRecall {
  precision: number[];
  recall: number[];
}

/** Average precision from a curve, 0 .. 1. */
export type AveragePrecision = (curve: PrecisionRecall) => number;

/** The rule until 2009: the mean over recalls 0, 0.1, …, 1 of the largest precision at this recall or more. */
export const elevenPoints: AveragePrecision = ({ precision, recall }) => {
  let sum = 0;
  for (let tenth = 0; tenth <= 10; tenth++) {
    // Recalls are fractions of whole numbers: 3/10 is no less than 0.3, whatever the last bit says.
    const from = recall.findIndex((value) => value >= tenth / 10 - 1e-12);
    if (from >= 0) sum += largestFrom(precision, from);
  }
  return sum / 11;
};

/** The rule from 2010 on: the area under the curve, once it is made to fall. */
export const allPoints: AveragePrecision = ({ precision, recall }) => {
  let area = 0;
  let largest = 0;
  for (let i = precision.length - 1; i >= 0; i--) {
    largest = Math.max(largest, precision[i]);
    area += largest * (recall[i] - (recall[i - 1] ?? 0));
  }
  return area;
};

/**
 * The curve of one class; without detections, an empty one.
 *
 * @param marked at least one that is not difficult
 * @param least overlap of a detection that is right
 */
export function precisionRecall(
  found: readonly FoundBox[],
  marked: readonly MarkedBox[],
  least = 0.5,
): PrecisionRecall {
  const inImage = new Map<string, MarkedBox[]>();
  for (const box of marked) inImage.set(box.image, [...(inImage.get(box.image) ?? []), box]);
  const total = marked.filter(({ isDifficult }) => !isDifficult).length;
  const taken = new Set<MarkedBox>();
  const curve: PrecisionRecall = { precision: [], recall: [] };
  let right = 0;
  let counted = 0;
  for (const { image, box } of [...found].sort((a, b) => b.score - a.score)) {
    let best: MarkedBox | undefined;
    let most = -1;
    for (const candidate of inImage.get(image) ?? []) {
      const shared = overlap(box, 0, candidate.box, 0, 1);
      if (shared > most) [best, most] = [candidate, shared];
    }
    const hit = most >= least ? best : undefined;
    if (hit?.isDifficult) continue;
    counted++;
    if (hit && !taken.has(hit)) {
      taken.add(hit);
      right++;
    }
    curve.precision.push(right / counted);
    curve.recall.push(right / total);
  }
  return curve;
}

/** Each class's average precision, and their mean over the classes that are marked (not only as difficult). */
export interface MeanAveragePrecision {
  mean: number;
  classes: Record<string, number>;
}

export function meanAveragePrecision(
  found: readonly FoundBox[],
  marked: readonly MarkedBox[],
  rule: AveragePrecision,
): MeanAveragePrecision {
  const easy = new Set(marked.filter(({ isDifficult }) => !isDifficult).map(({ name }) => name));
  const classes: Record<string, number> = {};
  for (const name of [...easy].sort()) {
    const own = <T extends PlacedBox>(boxes: readonly T[]) => boxes.filter((box) => box.name === name);
    classes[name] = rule(precisionRecall(own(found), own(marked)));
  }
  const all = Object.values(classes);
  return { mean: all.reduce((sum, one) => sum + one, 0) / all.length, classes };
}

function largestFrom(values: readonly number[], from: number): number {
  let largest = 0;
  for (let i = from; i < values.length; i++) largest = Math.max(largest, values[i]);
  return largest;
}
