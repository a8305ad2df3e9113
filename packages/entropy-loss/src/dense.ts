/**
 * The soft histogram in tensor operations alone, for backends that keep their data on a GPU: a softmax over all
 * levels for every value, in chunks, so that memory stays bounded whatever the size of x. Values and gradients are
 * those of the window form, to float32 rounding.
 *
 * 1 M values and 256 levels: 64 chunks of 16,384 values, 16 MiB a tensor, instead of 1 GiB
 */
import {
  add,
  addN,
  clipByValue,
  concat,
  div,
  gather,
  greaterEqual,
  mul,
  range,
  reshape,
  slice,
  softmax,
  square,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tensor1d,
  tidy,
} from "@tensorflow/tfjs-core";
import type { LevelGrid } from "./levels.js";

/** Elements of a chunk's values x levels matrix: 16 MiB of float32. */
const CHUNK_ELEMENTS = 2 ** 22;

/**
 * Coordinates are held within this of the outermost levels, because inf - inf is NaN. So far out a value belongs to
 * the outermost level alone (for T > 1e-4).
 */
const FARTHEST = 1e6;

/** Mean soft assignment to each level: shape [levels], sums to 1. NaN throughout if x holds a NaN. */
export function denseHistogram(
  x: Tensor,
  grid: LevelGrid,
  sharpness: number,
  chunkElements = CHUNK_ELEMENTS,
): Tensor1D {
  return tidy(() => {
    const sums = chunks(x, grid, chunkElements).map((chunk) =>
      tidy(() => sum(assignment(coordinates(chunk, grid).y, grid, sharpness).q, 0)),
    );
    return div<Tensor1D>(addN(sums), x.size);
  });
}

/** Gradient of a loss by x, given its gradient v by the histogram: (2 T / N) Cov_q(k, v) dy/dx. Same shape as x. */
export function denseGradient(
  x: Tensor,
  grid: LevelGrid,
  sharpness: number,
  byHistogram: Tensor,
  chunkElements = CHUNK_ELEMENTS,
): Tensor {
  return tidy(() => {
    const gradients = chunks(x, grid, chunkElements).map((chunk) =>
      tidy(() => {
        const { y, gap } = coordinates(chunk, grid);
        const { q, distance } = assignment(y, grid, sharpness);
        // Covariance by the distances (k - y) and by v less its mean: both are small where q is not.
        const offsets = sub(byHistogram, sum(mul(q, byHistogram), 1, true));
        return div<Tensor1D>(sum(mul(mul(q, distance), offsets), 1), gap);
      }),
    );
    return reshape(mul(concat(gradients), (2 * sharpness) / x.size), x.shape);
  });
}

/** Columns of x, [values, 1] each, of which the values x levels matrix has at most `chunkElements` elements. */
function chunks(x: Tensor, grid: LevelGrid, chunkElements: number): Tensor2D[] {
  const column: Tensor2D = reshape(x, [-1, 1]);
  const rows = Math.max(1, Math.floor(chunkElements / grid.values.length));
  const starts = Array.from({ length: Math.ceil(x.size / rows) }, (_, index) => index * rows);
  return starts.map((start) => slice(column, [start, 0], [Math.min(rows, x.size - start), 1]));
}

/** Level coordinates, [values, 1], and the gap each value lies in, [values] or one number. */
function coordinates(x: Tensor2D, { values, spacing }: LevelGrid): { y: Tensor2D; gap: Tensor1D | number } {
  const last = values.length - 1;
  const bounded = (y: Tensor): Tensor2D => clipByValue(y as Tensor2D, -FARTHEST, last + FARTHEST);
  if (spacing > 0) return { y: bounded(div(sub(x, values[0]), spacing)), gap: spacing };
  const levels = tensor1d(Float32Array.from(values));
  // As many interior levels as x has reached: the index of its gap.
  const index: Tensor1D = sum(greaterEqual(x, slice(levels, 1, last - 1)), 1);
  const gap: Tensor1D = gather(sub<Tensor1D>(slice(levels, 1), slice(levels, 0, last)), index);
  const offset = div(sub(reshape(x, [-1]), gather(levels, index)), gap);
  return { y: bounded(reshape(add(offset, index), [-1, 1])), gap };
}

/** Soft assignment q and distance k - y, both [values, levels]. */
function assignment(y: Tensor2D, { values }: LevelGrid, sharpness: number): { q: Tensor; distance: Tensor } {
  const distance = sub(range(0, values.length), y);
  return { q: softmax(mul(square(distance), -sharpness)), distance };
}
