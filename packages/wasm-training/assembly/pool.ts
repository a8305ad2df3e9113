/**
 * Gradient of max pooling: each dy goes to the first position (row by row) of its window that holds the maximum.
 * E.g. the window (−3, −1, −1, −2) sends dy to its second position; a window of NaN or −∞ alone sends it nowhere.
 */
export function maxPoolGradient(
  dy: usize, x: usize, dx: usize, batch: i32, height: i32, width: i32, channels: i32, outHeight: i32, outWidth: i32,
  filterHeight: i32, filterWidth: i32, strideHeight: i32, strideWidth: i32, top: i32, left: i32,
): void {
  const pixel: usize = <usize>channels * 4;
  memory.fill(dx, 0, <usize>batch * <usize>height * <usize>width * pixel);
  let gradient = dy;
  for (let n: i32 = 0; n < batch; n++) {
    const image: usize = <usize>n * <usize>height * <usize>width * pixel;
    for (let oy: i32 = 0; oy < outHeight; oy++) {
      const firstRow = oy * strideHeight - top;
      const beginRow = max(0, firstRow);
      const endRow = min(height, firstRow + filterHeight);
      for (let ox: i32 = 0; ox < outWidth; ox++) {
        const firstColumn = ox * strideWidth - left;
        const beginColumn = max(0, firstColumn);
        const endColumn = min(width, firstColumn + filterWidth);
        let at: usize = 0;
        for (; at + 16 <= pixel; at += 16) {
          let best = f32x4.splat(-Infinity);
          let where = i32x4.splat(-1);
          for (let r = beginRow; r < endRow; r++) {
            for (let s = beginColumn; s < endColumn; s++) {
              const offset: usize = image + <usize>(r * width + s) * pixel + at;
              const value = v128.load(x + offset);
              const greater = f32x4.gt(value, best);
              best = v128.bitselect(value, best, greater);
              where = v128.bitselect(i32x4.splat(<i32>offset), where, greater);
            }
          }
          const p0 = i32x4.extract_lane(where, 0), p1 = i32x4.extract_lane(where, 1);
          const p2 = i32x4.extract_lane(where, 2), p3 = i32x4.extract_lane(where, 3);
          if (p0 != -1) addAt(dx + <usize>p0, gradient + at);
          if (p1 != -1) addAt(dx + <usize>p1 + 4, gradient + at + 4);
          if (p2 != -1) addAt(dx + <usize>p2 + 8, gradient + at + 8);
          if (p3 != -1) addAt(dx + <usize>p3 + 12, gradient + at + 12);
        }
        for (; at < pixel; at += 4) {
          let best: f32 = -Infinity;
          let where: usize = usize.MAX_VALUE;
          for (let r = beginRow; r < endRow; r++) {
            for (let s = beginColumn; s < endColumn; s++) {
              const offset: usize = image + <usize>(r * width + s) * pixel + at;
              const value = f32.load(x + offset);
              if (value > best) {
                best = value;
                where = offset;
              }
            }
          }
          if (where != usize.MAX_VALUE) addAt(dx + where, gradient + at);
        }
        gradient += pixel;
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function addAt(target: usize, source: usize): void {
  f32.store(target, f32.load(target) + f32.load(source));
}
