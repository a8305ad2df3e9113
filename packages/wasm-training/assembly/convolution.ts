/**
 * Any 2-D convolution and its gradients as matrix products over blocks of output pixels that stay in the cache: a row
 * of `patches` holds the filter's window of one output pixel, [filterHeight][filterWidth][inputs].
 *
 *   forward           patches · filter
 *   filter gradient   patchesᵀ · dY, summed over the blocks
 *   input gradient    dY · filterᵀ gives patches, each added back where it came from
 *
 * E.g. a 3 × 3 filter on 16 channels: rows of 144 floats.
 */
import { addRun, copyRun } from "./copy";
import { matMul } from "./gemm";

/** Output pixels a block: about 256 kB of patches. */
function pixelsPerBlock(patchSize: i32): i32 {
  return max(16, min(1024, (64 * 1024) / patchSize) & ~3);
}

/** Bytes of scratch beside that of matMul. */
export function convolutionScratch(patchSize: i32): usize {
  return <usize>pixelsPerBlock(patchSize) * <usize>patchSize * 4;
}

/** Zeros. */
// @ts-ignore: decorator
@inline
function clearRun(target: usize, floats: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= floats; i += 4) {
    v128.store(target, f32x4.splat(0));
    target += 16;
  }
  for (; i < floats; i++) {
    f32.store(target, 0);
    target += 4;
  }
}

/** Copies the windows of `count` output pixels from number `first` on; or adds them back (`scatter`). */
// @ts-ignore: decorator
@inline
function movePatches(
  x: usize, patches: usize, first: i32, count: i32, height: i32, width: i32, inputs: i32, outHeight: i32, outWidth: i32,
  filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32, top: i32, left: i32, scatter: bool,
): void {
  const pixel: usize = <usize>inputs * 4;
  let patch = patches;
  for (let t: i32 = 0; t < count; t++) {
    const index = first + t;
    const column = (index % outWidth) * strideWidth - left;
    const rest = index / outWidth;
    const row = (rest % outHeight) * strideHeight - top;
    const image = x + <usize>(rest / outHeight) * <usize>height * <usize>width * pixel;
    // The columns of the window that lie inside the image are one run of memory.
    const begin = min(filterWidth, max(0, -column));
    const end = max(begin, min(filterWidth, width - column));
    for (let r: i32 = 0; r < filterHeight; r++) {
      const y = row + r;
      const line = patch;
      patch += <usize>filterWidth * pixel;
      if (y < 0 || y >= height || begin == end) {
        if (!scatter) clearRun(line, filterWidth * inputs);
        continue;
      }
      const source = image + (<usize>y * <usize>width + <usize>(column + begin)) * pixel;
      const inner = line + <usize>begin * pixel;
      const floats = (end - begin) * inputs;
      if (scatter) {
        addRun(source, inner, floats);
      } else {
        clearRun(line, begin * inputs);
        copyRun(inner, source, floats);
        clearRun(line + <usize>end * pixel, (filterWidth - end) * inputs);
      }
    }
  }
}

/** y [batch][outHeight][outWidth][outputs] of x [batch][height][width][inputs] and the filter. */
export function convolution(
  x: usize, filter: usize, y: usize, batch: i32, height: i32, width: i32, inputs: i32, outHeight: i32, outWidth: i32,
  outputs: i32, filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32, top: i32, left: i32,
  scratch: usize, matMulScratch: usize,
): void {
  const size = filterHeight * filterWidth * inputs;
  const total = batch * outHeight * outWidth;
  const block = pixelsPerBlock(size);
  for (let first: i32 = 0; first < total; first += block) {
    const count = min(block, total - first);
    movePatches(
      x, scratch, first, count, height, width, inputs, outHeight, outWidth, filterHeight, filterWidth, strideHeight,
      strideWidth, top, left, false,
    );
    matMul(scratch, filter, y + <usize>first * <usize>outputs * 4, count, outputs, size, false, false, false, matMulScratch);
  }
}

/** filterGradient [filterHeight][filterWidth][inputs][outputs] of x [batch][height][width][inputs] and dy. */
export function convolutionFilterGradient(
  x: usize, dy: usize, filterGradient: usize, batch: i32, height: i32, width: i32, inputs: i32, outHeight: i32,
  outWidth: i32, outputs: i32, filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32, top: i32,
  left: i32, scratch: usize, matMulScratch: usize,
): void {
  const size = filterHeight * filterWidth * inputs;
  const total = batch * outHeight * outWidth;
  const block = pixelsPerBlock(size);
  for (let first: i32 = 0; first < total; first += block) {
    const count = min(block, total - first);
    movePatches(
      x, scratch, first, count, height, width, inputs, outHeight, outWidth, filterHeight, filterWidth, strideHeight,
      strideWidth, top, left, false,
    );
    matMul(
      scratch, dy + <usize>first * <usize>outputs * 4, filterGradient, size, outputs, count, true, false, first > 0,
      matMulScratch,
    );
  }
}

/** dx [batch][height][width][inputs] of dy and filter [filterHeight][filterWidth][inputs][outputs]. */
export function convolutionInputGradient(
  dy: usize, filter: usize, dx: usize, batch: i32, height: i32, width: i32, inputs: i32, outHeight: i32, outWidth: i32,
  outputs: i32, filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32, top: i32, left: i32,
  scratch: usize, matMulScratch: usize,
): void {
  const size = filterHeight * filterWidth * inputs;
  const total = batch * outHeight * outWidth;
  const block = pixelsPerBlock(size);
  memory.fill(dx, 0, <usize>batch * <usize>height * <usize>width * <usize>inputs * 4);
  for (let first: i32 = 0; first < total; first += block) {
    const count = min(block, total - first);
    matMul(dy + <usize>first * <usize>outputs * 4, filter, scratch, count, size, outputs, false, true, false, matMulScratch);
    movePatches(
      dx, scratch, first, count, height, width, inputs, outHeight, outWidth, filterHeight, filterWidth, strideHeight,
      strideWidth, top, left, true,
    );
  }
}
