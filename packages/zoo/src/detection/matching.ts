// What a detector should say for each prior box of a picture (Liu et al. 2016, section 2.2, "matching strategy"): every box that is
// marked gets the prior that overlaps most, and every other prior that overlaps by half or more. Example: a prior with an overlap of
// 0.6 with a dog and of 0.7 with a cat is the cat's, unless it is the dog's best.
import { cornersOf, encodeBox, overlap } from "./boxes.js";

/** The marked boxes of a picture. */
export interface Truths {
  /** Corners. */
  boxes: Float32Array;
  /** Classes, counted from 1: 0 is the background. */
  labels: readonly number[];
}

/** Targets of a picture's priors, or of those of a batch. */
export interface Targets {
  /** A class for each prior, 0 if it has nothing to show. */
  labels: Int32Array;
  /** Four for each prior; zeros where the label is 0. */
  offsets: Float32Array;
}

/** @param priors in centre form */
export function matchPriors({ boxes, labels }: Truths, priors: Float32Array, threshold = 0.5): Targets {
  const corners = cornersOf(priors);
  const count = priors.length / 4;
  const most = new Float64Array(count);
  const truthOf = new Int32Array(count).fill(-1);
  const bestPriors = labels.map((_, truth) => {
    let best = 0;
    let bestOverlap = -1;
    for (let prior = 0; prior < count; prior++) {
      const shared = overlap(boxes, truth, corners, prior);
      if (shared > bestOverlap) [best, bestOverlap] = [prior, shared];
      if (shared >= threshold && shared > most[prior]) [truthOf[prior], most[prior]] = [truth, shared];
    }
    return best;
  });
  // Where two boxes have the same best prior the later one takes it, as in the common implementations.
  for (const [truth, prior] of bestPriors.entries()) truthOf[prior] = truth;
  const targets: Targets = { labels: new Int32Array(count), offsets: new Float32Array(4 * count) };
  for (const [prior, truth] of truthOf.entries()) {
    if (truth < 0) continue;
    targets.labels[prior] = labels[truth];
    targets.offsets.set(encodeBox(boxes, truth, priors, prior), 4 * prior);
  }
  return targets;
}

/** Targets of a batch, one picture behind the other. */
export function joinTargets(pictures: readonly Targets[]): Targets {
  const priors = pictures.reduce((sum, { labels }) => sum + labels.length, 0);
  const joined: Targets = { labels: new Int32Array(priors), offsets: new Float32Array(4 * priors) };
  let at = 0;
  for (const { labels, offsets } of pictures) {
    joined.labels.set(labels, at);
    joined.offsets.set(offsets, 4 * at);
    at += labels.length;
  }
  return joined;
}
