/**
 * Levels and level coordinates. A value's coordinate is its position among the levels, in units of the spacing:
 * level j sits at j, and between two levels the coordinate is linear, so the middle of a gap, where a quantizer
 * decides, is always at j + 0.5. The soft assignment then works on coordinates alone, with one sharpness for
 * every scale and for uneven codebooks too. Beyond the outermost levels the first or last gap goes on.
 *
 * levels [0, 1, 4]: x = 0.5 -> 0.5, x = 2.5 -> 1.5, x = 4 -> 2, x = 7 -> 3, x = -1 -> -1
 */
import { type DataId, Tensor, type Tensor1D } from "@tensorflow/tfjs-core";

export interface LevelGrid {
  /** The levels, finite and strictly ascending. */
  values: Float64Array;
  /** The distance between neighbours where it is the same throughout, to float32 rounding; otherwise 0. */
  spacing: number;
}

/** Grids already read and checked. A tensor's data never changes (a variable gets a new id when assigned). */
const known = new WeakMap<DataId, LevelGrid>();

/**
 * Reads and checks the levels: once for each tensor, because reading stalls a GPU.
 *
 * @throws {TypeError} if `levels` is no tensor of rank 1; RangeError if it is empty, not finite or not strictly ascending
 */
export function levelGrid(levels: Tensor1D): LevelGrid {
  if (!(levels instanceof Tensor) || levels.rank !== 1) {
    throw new TypeError(`levels: expected a tensor of rank 1, got ${describe(levels)}`);
  }
  let grid = known.get(levels.dataId);
  if (!grid) {
    grid = checkedGrid(new Float64Array(levels.dataSync()));
    known.set(levels.dataId, grid);
  }
  return grid;
}

function checkedGrid(values: Float64Array): LevelGrid {
  if (values.length === 0) throw new RangeError("levels: expected at least one level, got none");
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (!Number.isFinite(value))
      throw new RangeError(`levels: expected finite values, got levels[${index}] = ${value}`);
    if (index > 0 && value <= values[index - 1]) {
      throw new RangeError(
        `levels: expected strictly ascending values, got levels[${index}] = ${value} after ${values[index - 1]}`,
      );
    }
  }
  return { values, spacing: evenSpacing(values) };
}

/** Levels such as 0.1 * j are rounded to float32, by up to an ulp: they count as even, and get exact even steps. */
function evenSpacing(values: Float64Array): number {
  const last = values.length - 1;
  if (last === 0) return 1;
  const spacing = (values[last] - values[0]) / last;
  const tolerance = Math.min(2 ** -23 * Math.max(Math.abs(values[0]), Math.abs(values[last])), spacing / 100);
  const even = values.every((value, j) => Math.abs(value - (values[0] + j * spacing)) <= tolerance);
  return even ? spacing : 0;
}

/** The gap that decides x's coordinate, j for [levels[j], levels[j + 1]); the outermost gaps reach to infinity. */
export function gapIndex(values: Float64Array, x: number): number {
  let low = 0;
  let high = values.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (x >= values[middle]) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Coordinates of x[from .. from + count) into `coordinates[0 .. count)`; NaN and infinities pass through. */
export function toCoordinates(
  { values, spacing }: LevelGrid,
  x: Float32Array,
  from: number,
  count: number,
  coordinates: Float64Array,
): void {
  const first = values[0];
  if (spacing > 0) {
    for (let i = 0; i < count; i++) coordinates[i] = (x[from + i] - first) / spacing;
    return;
  }
  for (let i = 0; i < count; i++) {
    const gap = gapIndex(values, x[from + i]);
    coordinates[i] = gap + (x[from + i] - values[gap]) / (values[gap + 1] - values[gap]);
  }
}

/** What came instead of a tensor, for a message. */
export function describe(value: unknown): string {
  return value instanceof Tensor
    ? `${value.dtype} of shape [${value.shape}]`
    : value === null
      ? "null"
      : typeof value;
}
