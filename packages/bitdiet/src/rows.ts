/**
 * Tensors as rows, one a slice along the axis of the output channels, in the order in which the coders see them: an output
 * channel's kernels one after the other, each line by line, however the framework lays out its weights.
 *
 *     rowsOf([3, 3, 16, 32], 3)   // HWIO of TF.js: 32 rows of 16 kernels 3×3, levels 32, 1 and 512 apart
 *     rowsOf([32, 16, 3, 3], 0)   // OIHW of torch: the same rows, already in order
 */

/** Level k of row i, with k = j * extents[2] + l, lies at i * strides[0] + j * strides[1] + l * strides[2] in the tensor. */
export interface Rows {
  extents: [number, number, number];
  strides: [number, number, number];
  /** Height and width of the kernels in a row. */
  kernel: [number, number];
}

/**
 * If the axis is one of the last two of three or more, then the axes before these are the kernel's (HWIO), and a row runs
 * through the other one of the two first. Else a row runs through all other axes in their order (OIHW), and the last two
 * that are not the first two of the tensor are the kernel's.
 */
export function rowsOf(shape: readonly number[], axis: number): Rows {
  const rank = shape.length;
  const product = (from: number, to: number) => shape.slice(from, to).reduce((a, b) => a * b, 1);
  const kernelOf = (axes: readonly number[]): [number, number] => [axes.at(-2) ?? 1, axes.at(-1) ?? 1];
  if (rank >= 3 && axis >= rank - 2) {
    const kernels = product(0, rank - 2);
    const other = 2 * rank - 3 - axis;
    const strideOf = (a: number) => (a === rank - 1 ? 1 : shape[rank - 1]);
    return {
      extents: [shape[axis], shape[other], kernels],
      strides: [strideOf(axis), strideOf(other), shape[axis] * shape[other]],
      kernel: kernelOf(shape.slice(0, rank - 2)),
    };
  }
  const rows = shape[axis] ?? 1;
  const inner = product(axis + 1, rank);
  return {
    extents: [rows, product(0, axis), inner],
    strides: [inner, rows * inner, 1],
    kernel: kernelOf(shape.slice(2)),
  };
}

/** Rows that are gathered or scattered together, so that neighbours in memory are touched together. */
const TILE = 16;

/** The rows `kept` of a tensor's values, one after the other. */
export function gatherRows(
  values: Int32Array,
  { extents, strides }: Rows,
  kept: ArrayLike<number>,
): Int32Array {
  const [, middle, inner] = extents;
  const length = middle * inner;
  const gathered = new Int32Array(kept.length * length);
  for (let first = 0; first < kept.length; first += TILE) {
    const last = Math.min(first + TILE, kept.length);
    for (let j = 0, k = 0; j < middle; j++) {
      for (let l = 0; l < inner; l++, k++) {
        const at = j * strides[1] + l * strides[2];
        for (let i = first; i < last; i++) gathered[i * length + k] = values[at + kept[i] * strides[0]];
      }
    }
  }
  return gathered;
}

/** The inverse of `gatherRows`. @param values where the tensor goes, zeros so far */
export function scatterRows(
  values: Float32Array,
  levels: Int32Array | Float32Array | Uint8Array,
  { extents, strides }: Rows,
  kept: ArrayLike<number>,
  factors: ArrayLike<number>,
): Float32Array {
  const [, middle, inner] = extents;
  const length = middle * inner;
  if (middle * strides[2] === 1) {
    for (let i = 0; i < kept.length; i++)
      multiply(values, kept[i] * length, levels, i * length, length, factors[i]);
    return values;
  }
  // Rows of a power of two would all compete for the same few lines of the cache.
  const pitch = length + 16;
  const tile = new Float32Array(Math.min(TILE, kept.length) * pitch);
  for (let first = 0; first < kept.length; first += TILE) {
    const last = Math.min(first + TILE, kept.length);
    for (let i = first; i < last; i++)
      multiply(tile, (i - first) * pitch, levels, i * length, length, factors[i]);
    for (let j = 0, k = 0; j < middle; j++) {
      for (let l = 0; l < inner; l++, k++) {
        const at = j * strides[1] + l * strides[2];
        for (let i = first, from = k; i < last; i++, from += pitch)
          values[at + kept[i] * strides[0]] = tile[from];
      }
    }
  }
  return values;
}

/** `length` levels times a factor. Bytes are levels as zigzag.ts writes them. */
function multiply(
  target: Float32Array,
  to: number,
  levels: Int32Array | Float32Array | Uint8Array,
  from: number,
  length: number,
  factor: number,
): void {
  if (levels instanceof Uint8Array) {
    for (let k = 0; k < length; k++) {
      const symbol = levels[from + k];
      target[to + k] = ((symbol >>> 1) ^ -(symbol & 1)) * factor;
    }
  } else for (let k = 0; k < length; k++) target[to + k] = levels[from + k] * factor;
}
