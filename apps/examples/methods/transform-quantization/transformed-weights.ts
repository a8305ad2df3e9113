// A filter as the product of two matrices, W = Sᵀ T by position: T holds its coefficients in another basis, S the basis
// (Young et al., arXiv 2009.01174). Both are what is quantized and stored. The basis turns input channels ("row transform",
// a 1 x 1 convolution before the filter), or output channels where these are fewer. Example: a filter [3, 3, 16, 32] has 288
// vectors of 16 input channels: T is 16 x 288, S 16 x 16.
import {
  eltTransform,
  forward,
  identityTransform,
  secondMoment,
  symmetricEigen,
  type Transform,
} from "@bitdiet/dct-transform";

/** Where the vectors of a tfjs filter [height, width, in, out] or matrix [in, out] lie. */
export interface Vectors {
  axis: "input" | "output";
  /** Length of a vector: channels of that axis. */
  size: number;
  /** How many vectors. */
  count: number;
  /** Channels of the other axis. */
  others: number;
}

/** @param axis "row transform" turns input channels, "column transform" output channels; the fewer of both unless given */
export function vectorsOf(shape: readonly number[], axis?: Vectors["axis"]): Vectors {
  const [inputs, outputs] = shape.slice(-2);
  const count = shape.reduce((product, side) => product * side, 1);
  return (axis ?? (inputs <= outputs ? "input" : "output")) === "input"
    ? { axis: "input", size: inputs, others: outputs, count: count / inputs }
    : { axis: "output", size: outputs, others: inputs, count: count / outputs };
}

/** The vectors of a filter, [count, size]; its memory order where the axis is the last. */
export function toVectors(filter: Float32Array, { axis, size, others, count }: Vectors): Float32Array {
  if (axis === "output") return filter;
  const vectors = new Float32Array(filter.length);
  for (let v = 0; v < count; v++) {
    const from = Math.floor(v / others) * size * others + (v % others);
    for (let i = 0; i < size; i++) vectors[v * size + i] = filter[from + i * others];
  }
  return vectors;
}

/** The inverse of toVectors. */
export function toFilter(vectors: Float32Array, { axis, size, others, count }: Vectors): Float32Array {
  if (axis === "output") return vectors;
  const filter = new Float32Array(vectors.length);
  for (let v = 0; v < count; v++) {
    const to = Math.floor(v / others) * size * others + (v % others);
    for (let i = 0; i < size; i++) filter[to + i * others] = vectors[v * size + i];
  }
  return filter;
}

/** A transform from the vectors' second moment Ct and the outputs' sensitivity to them, Cg. */
export type TransformOf = (ct: Float64Array, cg: Float64Array, size: number) => Transform | undefined;

/** Orthonormal, of the weights alone. */
export const klt: TransformOf = (ct, _cg, size) => ({
  basis: Float32Array.from(symmetricEigen(ct, size).vectors),
  rows: size,
  size,
});

/** Transform of weights and sensitivity, its synthesis vectors of unit length. */
export const elt: TransformOf = (ct, cg, size) => {
  const { basis, synthesis } = eltTransform(ct, cg);
  for (let k = 0; k < size; k++) {
    const row = synthesis.subarray(k * size, (k + 1) * size);
    const length = Math.hypot(...row);
    for (let i = 0; i < size; i++) {
      row[i] /= length;
      basis[k * size + i] *= length;
    }
  }
  return { basis, synthesis, rows: size, size };
};

/** No transform, and no basis to store. */
export const none: TransformOf = () => undefined;

/** Coefficients and basis of one filter; rows are components. */
export interface Factors {
  /** size x count: row k holds coefficient k of all vectors. */
  coefficients: Float32Array;
  /** size x size: row k is what coefficient k adds; absent where it is the identity. */
  basis?: Float32Array;
}

/** Splits a filter, and finds what an error in either factor costs, from gradients of the outputs (see sensitivity.ts). */
export function factorize(
  vectors: Float32Array,
  draws: readonly Float32Array[],
  { size, count }: Vectors,
  transformOf: TransformOf,
): { factors: Factors; curvature: Factors } {
  const ct = secondMoment(vectors, size);
  const cg = draws
    .map((draw) => secondMoment(draw, size))
    .reduce((sum, moment) => sum.map((value, i) => value + moment[i]));
  const transform = transformOf(ct, cg, size);
  const { basis, rows, synthesis = basis } = transform ?? identityTransform(size);
  const coefficients = transposed(forward({ basis, rows, size }, vectors), count, size);
  const curvature: Factors = { coefficients: new Float32Array(coefficients.length) };
  if (transform) curvature.basis = new Float32Array(size * size);
  for (const draw of draws) {
    // d output / d coefficient k of a vector: the draw in the direction that coefficient adds.
    const gradient = transposed(forward({ basis: synthesis, rows, size }, draw), count, size);
    for (let i = 0; i < gradient.length; i++) curvature.coefficients[i] += gradient[i] ** 2 / draws.length;
    if (curvature.basis) addSquares(curvature.basis, products(coefficients, draw, size, count), draws.length);
  }
  return { factors: { coefficients, ...(transform && { basis: synthesis }) }, curvature };
}

/** The vectors that factors stand for, [count, size]. */
export function multiply({ coefficients, basis }: Factors, { size, count }: Vectors): Float32Array {
  const rows = transposed(coefficients, size, count);
  if (!basis) return rows;
  const vectors = new Float32Array(rows.length);
  for (let v = 0; v < count; v++) {
    for (let k = 0; k < size; k++) {
      const coefficient = rows[v * size + k];
      for (let i = 0; i < size; i++) vectors[v * size + i] += coefficient * basis[k * size + i];
    }
  }
  return vectors;
}

/** A matrix [rows, columns] as [columns, rows]. */
function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) result[c * rows + r] = matrix[r * columns + c];
  return result;
}

/** coefficients [size, count] times vectors [count, size]. */
function products(
  coefficients: Float32Array,
  vectors: Float32Array,
  size: number,
  count: number,
): Float32Array {
  const result = new Float32Array(size * size);
  for (let k = 0; k < size; k++) {
    for (let v = 0; v < count; v++) {
      const coefficient = coefficients[k * count + v];
      for (let i = 0; i < size; i++) result[k * size + i] += coefficient * vectors[v * size + i];
    }
  }
  return result;
}

function addSquares(sums: Float32Array, values: Float32Array, draws: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] += values[i] ** 2 / draws;
}
