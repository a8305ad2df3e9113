// From what an SSD says to boxes: scores by softmax, boxes by the priors, and of boxes of a class that overlap the best one only
// (Liu et al. 2016, section 2.2, "inference"). Example: two boxes that share 0.6 of their union at scores 0.9 and 0.8: one is left, 0.9.
import { decodeBoxes, overlap } from "./boxes.js";

export interface Detection {
  /** Class, counted from 1. */
  label: number;
  /** Probability, 0 .. 1. */
  score: number;
  /** Corners, in shares of the picture's sides. */
  box: Float32Array;
}

export interface DetectionLimits {
  /** Boxes of this score or less are left out. */
  leastScore: number;
  /** Boxes that overlap a better one of the class by more are left out. */
  mostOverlap: number;
  /** Boxes of a class that are looked at. */
  perClass: number;
  /** Boxes of a picture that are given. */
  perPicture: number;
}

/** As the paper evaluates. */
export const PAPER_LIMITS: DetectionLimits = {
  leastScore: 0.01,
  mostOverlap: 0.45,
  perClass: 400,
  perPicture: 200,
};

/**
 * Detections in one picture, best first.
 *
 * @param offsets 4 for each prior
 * @param logits of background and classes, for each prior
 * @param priors in centre form
 */
export function detectionsOf(
  offsets: ArrayLike<number>,
  logits: Float32Array,
  priors: Float32Array,
  { leastScore, mostOverlap, perClass, perPicture }: DetectionLimits = PAPER_LIMITS,
): Detection[] {
  const count = priors.length / 4;
  const classes = logits.length / count;
  const boxes = decodeBoxes(offsets, priors);
  const scores = softmaxRows(logits, classes);
  const found: Detection[] = [];
  for (let label = 1; label < classes; label++) {
    const own = Float32Array.from({ length: count }, (_, prior) => scores[prior * classes + label]);
    for (const prior of suppress(boxes, own, { leastScore, mostOverlap, most: perClass })) {
      found.push({ label, score: own[prior], box: boxes.slice(4 * prior, 4 * prior + 4) });
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, perPicture);
}

/**
 * Greedy non-maximum suppression: indices of the boxes that stay, best first.
 *
 * @param boxes corners
 * @param most so many of the best are looked at
 */
export function suppress(
  boxes: ArrayLike<number>,
  scores: ArrayLike<number>,
  { leastScore, mostOverlap, most }: { leastScore: number; mostOverlap: number; most: number },
): number[] {
  const candidates = Array.from(scores, (_, index) => index).filter((index) => scores[index] > leastScore);
  const kept: number[] = [];
  for (const index of candidates.sort((a, b) => scores[b] - scores[a]).slice(0, most)) {
    if (kept.every((better) => overlap(boxes, better, boxes, index) <= mostOverlap)) kept.push(index);
  }
  return kept;
}

function softmaxRows(logits: Float32Array, width: number): Float32Array {
  const shares = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += width) {
    let largest = -Infinity;
    for (let at = from; at < from + width; at++) largest = Math.max(largest, logits[at]);
    let sum = 0;
    for (let at = from; at < from + width; at++) sum += shares[at] = Math.exp(logits[at] - largest);
    for (let at = from; at < from + width; at++) shares[at] /= sum;
  }
  return shares;
}
