/**
 * Gradients of a depthwise convolution: every channel has `multiplier` filters of its own. E.g. 3 × 3 on 16 channels
 * with multiplier 1: a filter [3][3][16][1]. The sum of an image is finished before it joins the total, which keeps
 * float32 sums short.
 */

/** target[length] += a[length] · b[length]. */
// @ts-ignore: decorator
@inline
function addProducts(target: usize, a: usize, b: usize, length: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= length; i += 4) {
    v128.store(target, f32x4.add(v128.load(target), f32x4.mul(v128.load(a), v128.load(b))));
    target += 16;
    a += 16;
    b += 16;
  }
  for (; i < length; i++) {
    f32.store(target, f32.load(target) + f32.load(a) * f32.load(b));
    target += 4;
    a += 4;
    b += 4;
  }
}

/** filterGradient [filterHeight][filterWidth][channels][multiplier]; scratch: as many floats. */
export function depthwiseFilterGradient(
  x: usize, dy: usize, filterGradient: usize, batch: i32, height: i32, width: i32, channels: i32, multiplier: i32,
  outHeight: i32, outWidth: i32, filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32,
  dilationHeight: i32, dilationWidth: i32, top: i32, left: i32, scratch: usize,
): void {
  const outputs = channels * multiplier;
  const size = filterHeight * filterWidth * outputs;
  const bytes: usize = <usize>size * 4;
  memory.fill(filterGradient, 0, bytes);
  for (let n: i32 = 0; n < batch; n++) {
    memory.fill(scratch, 0, bytes);
    for (let oy: i32 = 0; oy < outHeight; oy++) {
      for (let ox: i32 = 0; ox < outWidth; ox++) {
        const gradient = dy + <usize>((n * outHeight + oy) * outWidth + ox) * <usize>outputs * 4;
        for (let r: i32 = 0; r < filterHeight; r++) {
          const row = oy * strideHeight - top + r * dilationHeight;
          if (row < 0 || row >= height) continue;
          for (let s: i32 = 0; s < filterWidth; s++) {
            const column = ox * strideWidth - left + s * dilationWidth;
            if (column < 0 || column >= width) continue;
            const pixel = x + <usize>((n * height + row) * width + column) * <usize>channels * 4;
            const tap = scratch + <usize>((r * filterWidth + s) * outputs) * 4;
            if (multiplier == 1) {
              addProducts(tap, pixel, gradient, channels);
            } else {
              for (let o: usize = 0; o < <usize>outputs; o++) {
                const at = tap + o * 4;
                f32.store(at, f32.load(at) + f32.load(pixel + (o / multiplier) * 4) * f32.load(gradient + o * 4));
              }
            }
          }
        }
      }
    }
    for (let i: usize = 0; i < bytes; i += 4) {
      f32.store(filterGradient + i, f32.load(filterGradient + i) + f32.load(scratch + i));
    }
  }
}

/** dx [batch][height][width][channels]. */
export function depthwiseInputGradient(
  dy: usize, filter: usize, dx: usize, batch: i32, height: i32, width: i32, channels: i32, multiplier: i32,
  outHeight: i32, outWidth: i32, filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32,
  dilationHeight: i32, dilationWidth: i32, top: i32, left: i32,
): void {
  const outputs = channels * multiplier;
  memory.fill(dx, 0, <usize>batch * <usize>height * <usize>width * <usize>channels * 4);
  for (let n: i32 = 0; n < batch; n++) {
    for (let oy: i32 = 0; oy < outHeight; oy++) {
      for (let ox: i32 = 0; ox < outWidth; ox++) {
        const gradient = dy + <usize>((n * outHeight + oy) * outWidth + ox) * <usize>outputs * 4;
        for (let r: i32 = 0; r < filterHeight; r++) {
          const row = oy * strideHeight - top + r * dilationHeight;
          if (row < 0 || row >= height) continue;
          for (let s: i32 = 0; s < filterWidth; s++) {
            const column = ox * strideWidth - left + s * dilationWidth;
            if (column < 0 || column >= width) continue;
            const pixel = dx + <usize>((n * height + row) * width + column) * <usize>channels * 4;
            const tap = filter + <usize>((r * filterWidth + s) * outputs) * 4;
            if (multiplier == 1) {
              addProducts(pixel, tap, gradient, channels);
            } else {
              for (let o: usize = 0; o < <usize>outputs; o++) {
                const at = pixel + (o / multiplier) * 4;
                f32.store(at, f32.load(at) + f32.load(tap + o * 4) * f32.load(gradient + o * 4));
              }
            }
          }
        }
      }
    }
  }
}
