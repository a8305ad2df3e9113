/**
 * Boxes as detectors mean them, and how many of the original's are still there.
 *
 *     sameYoloxBoxes(outputs, original); // { same: 41, of: 43 }: of the same class, intersection over union at least 1/2
 */
import type { Outputs } from "./subjects.js";

interface Box {
  /** left, top, right, bottom */
  place: readonly [number, number, number, number];
  score: number;
  kind: number;
}

const SIDE = 416;
const STRIDES = [8, 16, 32];
/** What counts as an answer, what as the same object, and what as the same box. */
const [MIN_SCORE, SAME_OBJECT, SAME_BOX] = [0.3, 0.45, 0.5];
/** Bins of NanoDet's distances. */
const BINS = 8;

export function sameYoloxBoxes(outputs: Outputs, original: Outputs) {
  return sameBoxes(yoloxBoxes(outputs), yoloxBoxes(original));
}

export function sameNanodetBoxes(outputs: Outputs, original: Outputs) {
  return sameBoxes(nanodetBoxes(outputs), nanodetBoxes(original));
}

function sameBoxes(found: readonly Box[], original: readonly Box[]): { same: number; of: number } {
  const left = new Set(found);
  const same = original.filter(({ place, kind }) => {
    const match = [...left].find((other) => other.kind === kind && overlap(other.place, place) >= SAME_BOX);
    return match !== undefined && left.delete(match);
  });
  return { same: same.length, of: original.length };
}

/** Centres and sizes in cells, objectness, 80 classes (Ge et al., arXiv 2107.08430). */
function yoloxBoxes(outputs: Outputs): Box[] {
  const { data, shape } = [...outputs.values()][0];
  const width = shape.at(-1)!;
  const boxes = cells().flatMap(({ x, y, stride }, i): Box[] => {
    const at = i * width;
    const { kind, score } = bestOf(data, at + 5, width - 5);
    const [cx, cy] = [(Number(data[at]) + x) * stride, (Number(data[at + 1]) + y) * stride];
    const [w, h] = [Math.exp(Number(data[at + 2])) * stride, Math.exp(Number(data[at + 3])) * stride];
    const place = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] as const;
    return [{ place, kind, score: score * Number(data[at + 4]) }];
  });
  return withoutDoubles(boxes);
}

/** For each stride 80 classes and, after those, distances to the four sides as distributions (Li et al., arXiv 2006.04388). */
function nanodetBoxes(outputs: Outputs): Box[] {
  const all = [...outputs.values()];
  const joined = (width: number) =>
    all
      .filter(({ shape }) => shape.at(-1) === width)
      .sort((a, b) => b.shape[1] - a.shape[1])
      .flatMap(({ data }) => Array.from(data as Float32Array));
  const [classes, distances] = [joined(80), joined(4 * BINS)];
  const boxes = cells().map(({ x, y, stride }, i): Box => {
    const [left, top, right, bottom] = [0, 1, 2, 3].map(
      (side) => stride * meanBin(distances, (4 * i + side) * BINS),
    );
    const [cx, cy] = [(x + 0.5) * stride, (y + 0.5) * stride];
    return { place: [cx - left, cy - top, cx + right, cy + bottom], ...bestOf(classes, 80 * i, 80) };
  });
  return withoutDoubles(boxes);
}

/** The cells of all strides in the order of the outputs. */
function cells(): { x: number; y: number; stride: number }[] {
  return STRIDES.flatMap((stride) => {
    const extent = SIDE / stride;
    return Array.from({ length: extent * extent }, (_, i) => ({
      x: i % extent,
      y: Math.floor(i / extent),
      stride,
    }));
  });
}

function bestOf(data: ArrayLike<number | bigint>, from: number, count: number) {
  let kind = 0;
  for (let i = 1; i < count; i++) if (data[from + i] > data[from + kind]) kind = i;
  return { kind, score: Number(data[from + kind]) };
}

function meanBin(logits: readonly number[], from: number): number {
  let [sum, mean] = [0, 0];
  for (let bin = 0; bin < BINS; bin++) {
    const weight = Math.exp(logits[from + bin]);
    sum += weight;
    mean += weight * bin;
  }
  return mean / sum;
}

/** The surest boxes, of each object one. */
function withoutDoubles(boxes: readonly Box[]): Box[] {
  const kept: Box[] = [];
  for (const box of boxes.filter(({ score }) => score > MIN_SCORE).sort((a, b) => b.score - a.score)) {
    const isNew = !kept.some(
      (other) => other.kind === box.kind && overlap(other.place, box.place) > SAME_OBJECT,
    );
    if (isNew) kept.push(box);
  }
  return kept;
}

/** Intersection over union. */
function overlap(a: Box["place"], b: Box["place"]): number {
  const area = ([left, top, right, bottom]: Box["place"]) =>
    Math.max(0, right - left) * Math.max(0, bottom - top);
  const both = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return both / (area(a) + area(b) - both);
}
