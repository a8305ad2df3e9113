// Boxes, four numbers each, one behind the other. Corners: xmin, ymin, xmax, ymax; centres: x and y of the middle, width,
// height. Both in shares of the picture's sides, 0 .. 1, unless said otherwise.
// Example: the left half of a picture has corners 0, 0, 0.5, 1 and is in centre form 0.25, 0.5, 0.5, 1.

/** Corners of boxes in centre form. */
export function cornersOf(centres: ArrayLike<number>): Float32Array {
  const corners = new Float32Array(centres.length);
  for (let at = 0; at < centres.length; at += 4) {
    for (const axis of [0, 1]) {
      const half = centres[at + 2 + axis] / 2;
      corners[at + axis] = centres[at + axis] - half;
      corners[at + 2 + axis] = centres[at + axis] + half;
    }
  }
  return corners;
}

/**
 * Intersection over union of the boxes with corners a[4 i …] and b[4 j …], 0 .. 1.
 *
 * @param pixel 1 for corners that are whole pixels of which the last is inside, as VOC's are: a box of 3 .. 5 is 3 wide
 */
export function overlap(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, pixel = 0): number {
  const [p, q] = [4 * i, 4 * j];
  const width = Math.min(a[p + 2], b[q + 2]) - Math.max(a[p], b[q]) + pixel;
  const height = Math.min(a[p + 3], b[q + 3]) - Math.max(a[p + 1], b[q + 1]) + pixel;
  if (!(width > 0 && height > 0)) return 0;
  const both = width * height;
  return both / (areaOf(a, p, pixel) + areaOf(b, q, pixel) - both);
}

const areaOf = (corners: ArrayLike<number>, at: number, pixel: number): number =>
  (corners[at + 2] - corners[at] + pixel) * (corners[at + 3] - corners[at + 1] + pixel);

/** What offsets of centres and logarithms of sides are divided by, which gives them a spread of about 1. */
const VARIANCES = [0.1, 0.2] as const;

/**
 * Offsets of a box from a prior (SSD: Liu et al. 2016, equation 2), over the variances: 0, 0, 0, 0 if it is the prior.
 *
 * @param corners of boxes, the j-th is taken; @param priors in centre form, the i-th
 */
export function encodeBox(
  corners: ArrayLike<number>,
  j: number,
  priors: ArrayLike<number>,
  i: number,
): number[] {
  const axis = (a: 0 | 1, of: (low: number, high: number, middle: number, side: number) => number) =>
    of(corners[4 * j + a], corners[4 * j + 2 + a], priors[4 * i + a], priors[4 * i + 2 + a]);
  const shift = (low: number, high: number, middle: number, side: number) =>
    ((low + high) / 2 - middle) / (VARIANCES[0] * side);
  const stretch = (low: number, high: number, _: number, side: number) =>
    Math.log((high - low) / side) / VARIANCES[1];
  return [axis(0, shift), axis(1, shift), axis(0, stretch), axis(1, stretch)];
}

/** Corners of the boxes that lie at these offsets from the priors: the inverse of `encodeBox`, row by row. */
export function decodeBoxes(offsets: ArrayLike<number>, priors: ArrayLike<number>): Float32Array {
  const centres = Float32Array.from(priors, (value, at) =>
    at % 4 < 2
      ? value + offsets[at] * VARIANCES[0] * priors[at + 2]
      : value * Math.exp(offsets[at] * VARIANCES[1]),
  );
  return cornersOf(centres);
}
