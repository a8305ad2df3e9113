/**
 * The soft histogram of CAT (Baskin et al., "CAT: Compression-Aware Training for bandwidth reduction", JMLR 22, 2021):
 * each value belongs to every level by a softmax over -T distance^2, in units of the level spacing, and the histogram
 * is the mean of these assignments. It is differentiable where counting is not, and T to infinity is counting.
 *
 * x = [0, 1.35, 3], levels 0..3, T = 10: [0.3333, 0.3176, 0.0158, 0.3333]; counting gives [1/3, 1/3, 0, 1/3]
 */
import {
  clipByValue,
  customGrad,
  div,
  getBackend,
  Tensor,
  type Tensor1D,
  tensor,
  tensor1d,
  tidy,
  zerosLike,
} from "@tensorflow/tfjs-core";
import { denseGradient, denseHistogram } from "./dense.js";
import { describe, type LevelGrid, levelGrid } from "./levels.js";
import { sampleElements } from "./sample.js";
import { windowGradient, windowHistogram } from "./window.js";

export interface SoftHistogramOptions {
  /** T > 0 of the soft assignment: larger is nearer to counting, and reaches fewer values. 10 by default, as in CAT. */
  sharpness?: number;
  /**
   * What a level is multiplied by to be in units of x, such as a quantizer's learned step: a float32 tensor of rank 0,
   * differentiable. As dividing x by it, but after sampling, and for less. 1 by default.
   */
  scale?: Tensor;
  /** Look at this many elements instead of all: an unbiased estimate of the histogram. See `sampleElements`. */
  sampleSize?: number;
  /** Which sample; 0 by default. Pass the number of the training step, or every step sees the same elements. */
  seed?: number;
}

/**
 * Probabilities of the levels, softly counted. Differentiable in x and in `scale` (first order); the levels are
 * constants.
 *
 * Between two levels the distance is in units of their gap, so values are always divided between levels at the middle
 * of a gap. Values beyond the outermost levels, infinities included, belong to the outermost one, with a gradient that
 * vanishes as they go. NaN in x makes every probability NaN. One level gives [1] and no gradient, whatever x.
 *
 * @param x float32 tensor of any shape, not empty
 * @param levels strictly ascending, finite, in units of x, or of `scale`
 * @returns shape [levels], sums to 1
 * @throws {TypeError} if x is no float32 tensor, levels none of rank 1 or scale none of rank 0; RangeError if x is empty, if levels are not
 *   ascending and finite, if sharpness is not positive and finite, or sampleSize or seed no integer in range
 */
export function softHistogram(x: Tensor, levels: Tensor1D, options?: SoftHistogramOptions): Tensor1D {
  return tidy(() => histogramOf(softAssignment(x, levels, options)));
}

/** A power of two near the largest float32. */
const LARGEST = 2 ** 127;

/** The checked arguments of a soft histogram, x sampled. */
export interface SoftAssignment {
  x: Tensor;
  /** Not yet applied to x. */
  scale?: Tensor;
  grid: LevelGrid;
  sharpness: number;
}

/** To be called within `tidy`. */
export function softAssignment(
  x: Tensor,
  levels: Tensor1D,
  { sharpness = 10, scale, sampleSize, seed = 0 }: SoftHistogramOptions = {},
): SoftAssignment {
  if (!(x instanceof Tensor) || x.dtype !== "float32") {
    throw new TypeError(`x: expected a float32 tensor, got ${describe(x)}`);
  }
  if (x.size === 0) throw new RangeError(`x: expected at least one element, got shape [${x.shape}]`);
  if (!(sharpness > 0 && Number.isFinite(sharpness))) {
    throw new RangeError(`sharpness: expected a positive finite number, got ${sharpness}`);
  }
  if (scale !== undefined && !(scale instanceof Tensor && scale.rank === 0 && scale.dtype === "float32")) {
    throw new TypeError(`scale: expected a float32 tensor of rank 0, got ${describe(scale)}`);
  }
  const grid = levelGrid(levels);
  return { x: sampleSize === undefined ? x : sampleElements(x, sampleSize, seed), scale, grid, sharpness };
}

/** To be called within `tidy`. */
export function histogramOf({ x, scale, grid, sharpness }: SoftAssignment): Tensor1D {
  // Finite, because an infinite value times its gradient, 0, would make the scale's gradient NaN.
  const values = scale ? div(clipByValue(x, -LARGEST, LARGEST), scale) : x;
  if (grid.values.length === 1) {
    return customGrad<Tensor1D>((input) => ({
      value: tensor1d([1]),
      gradFunc: () => zerosLike(input as Tensor),
    }))(values);
  }
  return (dataAtHand() ? histogramByWindow : histogramByDense)(values, grid, sharpness);
}

/** The values are read once, and kept for the gradient as an array: a saved tensor would be copied, and read again. */
function histogramByWindow(x: Tensor, grid: LevelGrid, sharpness: number): Tensor1D {
  const { shape } = x;
  return customGrad<Tensor1D>((input) => {
    const values = (input as Tensor).dataSync<"float32">();
    return {
      value: tensor1d(windowHistogram(values, grid, sharpness)),
      gradFunc: (dy: Tensor1D) => tensor(windowGradient(values, grid, sharpness, dy.dataSync()), shape),
    };
  })(x);
}

function histogramByDense(x: Tensor, grid: LevelGrid, sharpness: number): Tensor1D {
  return customGrad<Tensor1D>((input, save) => {
    (save as (tensors: Tensor[]) => void)([input as Tensor]);
    return {
      value: denseHistogram(input as Tensor, grid, sharpness),
      gradFunc: (dy: Tensor1D, [saved]: Tensor[]) => denseGradient(saved, grid, sharpness, dy),
    };
  })(x);
}

/**
 * Whether tensor data can be read without waiting for a device. These three backends compute on the CPU and hand their
 * data over at once; on any other (webgl, webgpu, or one we don't know) reading would stall the pipeline in every
 * layer of every step, so the histogram stays in tensor operations there.
 */
export function dataAtHand(): boolean {
  return ["cpu", "wasm", "tensorflow"].includes(getBackend());
}
