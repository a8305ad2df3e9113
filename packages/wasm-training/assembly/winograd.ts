/**
 * Convolution with 3 × 3 filters and stride 1 by Winograd's minimal filtering F(4×4, 3×3): 36 products instead of 144
 * for a tile of 4 × 4 outputs. With the points 0, ±1, ±2, ∞ and the matrices A, B, G below,
 *
 *   forward          Y  = Aᵀ [ Σ_in   (Bᵀ d B) · (G g Gᵀ) ] A      d: 6 × 6 input tile, g: 3 × 3 filter
 *   filter gradient  dg = Gᵀ [ Σ_tile (Bᵀ d B) · (A dY Aᵀ) ] G     the same bilinear form, transposed
 *
 * and the input gradient is a forward convolution of dY with the filter turned by 180°. The sums are 36 matrix
 * products, over a block of tiles that stays in the cache. Images are [height][width][channels]; channel counts
 * are multiples of 4. E.g. 16 → 16 channels on 32 × 32: 64 tiles an image, 36 · 16 · 16 products each.
 *
 * Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
 */
import { tilesByRow, tilesByStep } from "./gemm";

/** The 36 positions of a transformed tile. */
const POSITIONS: usize = 36;

// ---- One-dimensional transforms of vectors: `from` + i·step -> `to` + i·stride ----

/** Bᵀ: 6 -> 6. */
// @ts-ignore: decorator
@inline
function inputLine(from: usize, step: usize, to: usize, stride: usize): void {
  const d0 = v128.load(from);
  const d1 = v128.load(from + step);
  const d2 = v128.load(from + 2 * step);
  const d3 = v128.load(from + 3 * step);
  const d4 = v128.load(from + 4 * step);
  const d5 = v128.load(from + 5 * step);
  const two = f32x4.splat(2), four = f32x4.splat(4), five = f32x4.splat(5);
  v128.store(to, f32x4.add(f32x4.sub(f32x4.mul(four, d0), f32x4.mul(five, d2)), d4));
  const even = f32x4.sub(d4, f32x4.mul(four, d2));
  const odd = f32x4.sub(d3, f32x4.mul(four, d1));
  v128.store(to + stride, f32x4.add(even, odd));
  v128.store(to + 2 * stride, f32x4.sub(even, odd));
  const even2 = f32x4.sub(d4, d2);
  const odd2 = f32x4.mul(two, f32x4.sub(d3, d1));
  v128.store(to + 3 * stride, f32x4.add(even2, odd2));
  v128.store(to + 4 * stride, f32x4.sub(even2, odd2));
  v128.store(to + 5 * stride, f32x4.add(f32x4.sub(f32x4.mul(four, d1), f32x4.mul(five, d3)), d5));
}

/** Aᵀ: 6 -> 4. */
// @ts-ignore: decorator
@inline
function outputLine(from: usize, step: usize, to: usize, stride: usize): void {
  const m0 = v128.load(from);
  const m1 = v128.load(from + step);
  const m2 = v128.load(from + 2 * step);
  const m3 = v128.load(from + 3 * step);
  const m4 = v128.load(from + 4 * step);
  const m5 = v128.load(from + 5 * step);
  const sum1 = f32x4.add(m1, m2), difference1 = f32x4.sub(m1, m2);
  const sum2 = f32x4.add(m3, m4), difference2 = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(m0, sum1), sum2));
  v128.store(to + stride, f32x4.add(difference1, f32x4.mul(f32x4.splat(2), difference2)));
  v128.store(to + 2 * stride, f32x4.add(sum1, f32x4.mul(f32x4.splat(4), sum2)));
  v128.store(to + 3 * stride, f32x4.add(f32x4.add(difference1, f32x4.mul(f32x4.splat(8), difference2)), m5));
}

/** A: 4 -> 6. */
// @ts-ignore: decorator
@inline
function gradientLine(from: usize, step: usize, to: usize, stride: usize): void {
  const y0 = v128.load(from);
  const y1 = v128.load(from + step);
  const y2 = v128.load(from + 2 * step);
  const y3 = v128.load(from + 3 * step);
  v128.store(to, y0);
  const even = f32x4.add(y0, y2), odd = f32x4.add(y1, y3);
  v128.store(to + stride, f32x4.add(even, odd));
  v128.store(to + 2 * stride, f32x4.sub(even, odd));
  const even2 = f32x4.add(y0, f32x4.mul(f32x4.splat(4), y2));
  const odd2 = f32x4.mul(f32x4.splat(2), f32x4.add(y1, f32x4.mul(f32x4.splat(4), y3)));
  v128.store(to + 3 * stride, f32x4.add(even2, odd2));
  v128.store(to + 4 * stride, f32x4.sub(even2, odd2));
  v128.store(to + 5 * stride, y3);
}

/** G: 3 -> 6. */
// @ts-ignore: decorator
@inline
function filterLine(from: usize, step: usize, to: usize, stride: usize): void {
  const g0 = v128.load(from);
  const g1 = v128.load(from + step);
  const g2 = v128.load(from + 2 * step);
  v128.store(to, f32x4.mul(f32x4.splat(1.0 / 4), g0));
  const even = f32x4.mul(f32x4.splat(-1.0 / 6), f32x4.add(g0, g2));
  const odd = f32x4.mul(f32x4.splat(-1.0 / 6), g1);
  v128.store(to + stride, f32x4.add(even, odd));
  v128.store(to + 2 * stride, f32x4.sub(even, odd));
  const even2 = f32x4.add(f32x4.mul(f32x4.splat(1.0 / 24), g0), f32x4.mul(f32x4.splat(1.0 / 6), g2));
  const odd2 = f32x4.mul(f32x4.splat(1.0 / 12), g1);
  v128.store(to + 3 * stride, f32x4.add(even2, odd2));
  v128.store(to + 4 * stride, f32x4.sub(even2, odd2));
  v128.store(to + 5 * stride, g2);
}

/** Gᵀ: 6 -> 3. */
// @ts-ignore: decorator
@inline
function filterGradientLine(from: usize, step: usize, to: usize, stride: usize): void {
  const u0 = v128.load(from);
  const u1 = v128.load(from + step);
  const u2 = v128.load(from + 2 * step);
  const u3 = v128.load(from + 3 * step);
  const u4 = v128.load(from + 4 * step);
  const u5 = v128.load(from + 5 * step);
  const sum1 = f32x4.mul(f32x4.splat(-1.0 / 6), f32x4.add(u1, u2));
  const difference1 = f32x4.mul(f32x4.splat(-1.0 / 6), f32x4.sub(u1, u2));
  const sum2 = f32x4.add(u3, u4), difference2 = f32x4.sub(u3, u4);
  v128.store(to, f32x4.add(f32x4.add(f32x4.mul(f32x4.splat(1.0 / 4), u0), sum1), f32x4.mul(f32x4.splat(1.0 / 24), sum2)));
  v128.store(to + stride, f32x4.add(difference1, f32x4.mul(f32x4.splat(1.0 / 12), difference2)));
  v128.store(to + 2 * stride, f32x4.add(f32x4.add(sum1, f32x4.mul(f32x4.splat(1.0 / 6), sum2)), u5));
}

// ---- Tiles of an image ----

/** Whether the `size` × `size` tile that begins at (row, column) lies inside the image. */
// @ts-ignore: decorator
@inline
function isInside(row: i32, column: i32, size: i32, height: i32, width: i32): bool {
  return row >= 0 && column >= 0 && row + size <= height && column + size <= width;
}

/** Copies such a tile, zeros where it lies outside, to patch [size][size][channels]. */
function copyPatch(
  image: usize, row: i32, column: i32, size: i32, height: i32, width: i32, channels: i32, patch: usize,
): void {
  const pixel: usize = <usize>channels * 4;
  const line: usize = <usize>size * pixel;
  memory.fill(patch, 0, <usize>size * line);
  const first = max(0, -column);
  const last = min(size, width - column);
  if (last <= first) return;
  for (let r: i32 = 0; r < size; r++) {
    const y = row + r;
    if (y < 0 || y >= height) continue;
    const from = image + (<usize>y * <usize>width + <usize>(column + first)) * pixel;
    memory.copy(patch + <usize>r * line + <usize>first * pixel, from, <usize>(last - first) * pixel);
  }
}

/**
 * Bᵀ d B of `count` tiles from tile number `first` on: of each position p, four channels of a tile are a vector at
 * target + p·plane + (tile / 4)·tileStep + (channel / 4)·channelStep + (tile % 4)·16, which is a left panel either
 * row by row (tiles are rows, channels the inner dimension) or step by step (the other way round).
 * @param patch room for a tile at the border; lines: for one between its two transforms
 */
function transformInput(
  x: usize, height: i32, width: i32, channels: i32, top: i32, left: i32, tileRows: i32, tileColumns: i32,
  first: i32, count: i32, target: usize, plane: usize, tileStep: usize, channelStep: usize, patch: usize, lines: usize,
): void {
  const pixel: usize = <usize>channels * 4;
  const image: usize = <usize>height * <usize>width * pixel;
  const perImage = tileRows * tileColumns;
  for (let t: i32 = 0; t < count; t++) {
    const index = first + t;
    const n = index / perImage;
    const inImage = index - n * perImage;
    const row = (inImage / tileColumns) * 4 - top;
    const column = (inImage % tileColumns) * 4 - left;
    let from = x + <usize>n * image;
    let pitch: usize;
    if (isInside(row, column, 6, height, width)) {
      from += (<usize>row * <usize>width + <usize>column) * pixel;
      pitch = <usize>width * pixel;
    } else {
      copyPatch(from, row, column, 6, height, width, channels, patch);
      from = patch;
      pitch = 6 * pixel;
    }
    let to = target + <usize>(t >> 2) * tileStep + <usize>(t & 3) * 16;
    for (let c: i32 = 0; c < channels; c += 4) {
      // Down the columns into `lines` [6][6], then along the rows.
      for (let i: usize = 0; i < 6; i++) inputLine(from + i * pixel, pitch, lines + i * 16, 96);
      for (let i: usize = 0; i < 6; i++) inputLine(lines + i * 96, 16, to + i * 6 * plane, plane);
      from += 16;
      to += channelStep;
    }
  }
}

/** A dY Aᵀ of `count` tiles, written as right panels: [channel / 8][tile][8]. */
function transformGradient(
  dy: usize, height: i32, width: i32, channels: i32, tileRows: i32, tileColumns: i32,
  first: i32, count: i32, target: usize, plane: usize, panelBytes: usize, patch: usize, lines: usize,
): void {
  const pixel: usize = <usize>channels * 4;
  const image: usize = <usize>height * <usize>width * pixel;
  const perImage = tileRows * tileColumns;
  for (let t: i32 = 0; t < count; t++) {
    const index = first + t;
    const n = index / perImage;
    const inImage = index - n * perImage;
    const row = (inImage / tileColumns) * 4;
    const column = (inImage % tileColumns) * 4;
    let from = dy + <usize>n * image;
    let pitch: usize;
    if (isInside(row, column, 4, height, width)) {
      from += (<usize>row * <usize>width + <usize>column) * pixel;
      pitch = <usize>width * pixel;
    } else {
      copyPatch(from, row, column, 4, height, width, channels, patch);
      from = patch;
      pitch = 4 * pixel;
    }
    const to = target + <usize>t * 32;
    for (let c: i32 = 0; c < channels; c += 4) {
      const place = to + <usize>(c >> 3) * panelBytes + <usize>(c & 4) * 4;
      for (let i: usize = 0; i < 4; i++) gradientLine(from + i * pixel, pitch, lines + i * 16, 64);
      for (let i: usize = 0; i < 6; i++) gradientLine(lines + i * 64, 16, place + i * 6 * plane, plane);
      from += 16;
    }
  }
}

/** Aᵀ M A of `count` tiles into the output image. M: [36][tiles][padded channels]. */
function transformOutput(
  m: usize, plane: usize, paddedChannels: i32, y: usize, height: i32, width: i32, channels: i32,
  tileRows: i32, tileColumns: i32, first: i32, count: i32, patch: usize, lines: usize,
): void {
  const pixel: usize = <usize>channels * 4;
  const image: usize = <usize>height * <usize>width * pixel;
  const perImage = tileRows * tileColumns;
  for (let t: i32 = 0; t < count; t++) {
    const index = first + t;
    const n = index / perImage;
    const inImage = index - n * perImage;
    const row = (inImage / tileColumns) * 4;
    const column = (inImage % tileColumns) * 4;
    const inside = isInside(row, column, 4, height, width);
    const corner = y + <usize>n * image + (<usize>row * <usize>width + <usize>column) * pixel;
    let to = inside ? corner : patch;
    const pitch: usize = inside ? <usize>width * pixel : 4 * pixel;
    let from = m + <usize>t * <usize>paddedChannels * 4;
    for (let c: i32 = 0; c < channels; c += 4) {
      for (let i: usize = 0; i < 6; i++) outputLine(from + i * plane, 6 * plane, lines + i * 16, 96);
      for (let i: usize = 0; i < 4; i++) outputLine(lines + i * 96, 16, to + i * pitch, pixel);
      from += 16;
      to += 16;
    }
    if (!inside) {
      const rows = min(4, height - row);
      const bytes: usize = <usize>min(4, width - column) * pixel;
      for (let r: i32 = 0; r < rows; r++) {
        memory.copy(corner + <usize>r * <usize>width * pixel, patch + <usize>r * 4 * pixel, bytes);
      }
    }
  }
}

// ---- Filters ----

/** The filter turned by 180° with its channels exchanged: [3][3][in][out] -> [3][3][out][in]. */
function turnFilter(filter: usize, turned: usize, inputs: i32, outputs: i32): void {
  for (let tap: i32 = 0; tap < 9; tap++) {
    const from = filter + <usize>tap * <usize>(inputs * outputs) * 4;
    let to = turned + <usize>(8 - tap) * <usize>(inputs * outputs) * 4;
    for (let o: i32 = 0; o < outputs; o++) {
      for (let i: i32 = 0; i < inputs; i++) {
        f32.store(to, f32.load(from + <usize>(i * outputs + o) * 4));
        to += 4;
      }
    }
  }
}

/** G g Gᵀ: [3][3][in][out] -> [36] right panels [out / 8][in][8]. */
function transformFilter(filter: usize, target: usize, inputs: i32, outputs: i32, lines: usize): void {
  const tap: usize = <usize>(inputs * outputs) * 4;
  const panel: usize = <usize>inputs * 32;
  const plane: usize = <usize>((outputs + 7) >> 3) * panel;
  for (let i: i32 = 0; i < inputs; i++) {
    for (let o: i32 = 0; o < outputs; o += 4) {
      const from = filter + <usize>(i * outputs + o) * 4;
      const to = target + <usize>(o >> 3) * panel + <usize>i * 32 + <usize>(o & 4) * 4;
      for (let j: usize = 0; j < 3; j++) filterLine(from + j * tap, 3 * tap, lines + j * 16, 48);
      for (let j: usize = 0; j < 6; j++) filterLine(lines + j * 48, 16, to + j * 6 * plane, plane);
    }
    if (outputs & 4) {
      const to = target + <usize>(outputs >> 3) * panel + <usize>i * 32 + 16;
      for (let p: usize = 0; p < POSITIONS; p++) v128.store(to + p * plane, f32x4.splat(0));
    }
  }
}

// ---- The two convolutions ----

/** Tiles a block: what they take, transformed before and after, is to stay in a second-level cache. */
function tilesPerBlock(inputs: i32, outputs: i32): i32 {
  return max(8, ((768 * 1024) / (144 * (inputs + ((outputs + 7) & ~7)))) & ~3);
}

/** Bytes of scratch for `winogradConvolution` and `winogradFilterGradient`. */
export function winogradScratch(inputs: i32, outputs: i32): usize {
  const padded = (outputs + 7) & ~7;
  const block = tilesPerBlock(inputs, outputs);
  const filters = 36 * inputs * padded + 9 * inputs * outputs;
  const transformed = 36 * block * (inputs + padded);
  const patches = 36 * (inputs + outputs) + 36 * 4;
  return <usize>(filters + transformed + patches) * 4;
}

/**
 * y [batch][outHeight][outWidth][outputs] = x [batch][height][width][inputs] * filter [3][3][inputs][outputs], stride 1.
 * With `turned` the filter is given as [3][3][outputs][inputs] and turned by 180°: the gradient by the input of a
 * convolution with that filter, whose dY is x here.
 * @param top, left rows and columns of zeros before the image
 */
export function winogradConvolution(
  x: usize, filter: usize, y: usize, batch: i32, height: i32, width: i32, inputs: i32, outHeight: i32, outWidth: i32,
  outputs: i32, top: i32, left: i32, turned: bool, scratch: usize,
): void {
  const padded = (outputs + 7) & ~7;
  const block = tilesPerBlock(inputs, outputs);
  const lines = scratch;
  const patch = lines + POSITIONS * 16;
  let next = patch + <usize>(36 * (inputs + outputs)) * 4;
  if (turned) {
    turnFilter(filter, next, outputs, inputs);
    filter = next;
  }
  next += <usize>(9 * inputs * outputs) * 4;
  const u = next;
  const v = u + <usize>(36 * inputs * padded) * 4;
  const m = v + <usize>(36 * block * inputs) * 4;
  transformFilter(filter, u, inputs, outputs, lines);

  const uPlane: usize = <usize>(inputs * padded) * 4;
  const vPlane: usize = <usize>(block * inputs) * 4;
  const mPlane: usize = <usize>(block * padded) * 4;
  const panel: usize = <usize>(inputs >> 2) * 64;
  const tileRows = (outHeight + 3) >> 2;
  const tileColumns = (outWidth + 3) >> 2;
  const total = batch * tileRows * tileColumns;
  for (let first: i32 = 0; first < total; first += block) {
    const count = min(block, total - first);
    transformInput(x, height, width, inputs, top, left, tileRows, tileColumns, first, count, v, vPlane, panel, 64, patch, lines);
    for (let p: usize = 0; p < POSITIONS; p++) {
      tilesByRow(v + p * vPlane, u + p * uPlane, m + p * mPlane, (count + 3) >> 2, padded >> 3, inputs >> 2, padded * 4, false);
    }
    transformOutput(m, mPlane, padded, y, outHeight, outWidth, outputs, tileRows, tileColumns, first, count, patch, lines);
  }
}

/** filterGradient [3][3][inputs][outputs] of the convolution above, from x and dy [batch][outHeight][outWidth][outputs]. */
export function winogradFilterGradient(
  x: usize, dy: usize, filterGradient: usize, batch: i32, height: i32, width: i32, inputs: i32, outHeight: i32,
  outWidth: i32, outputs: i32, top: i32, left: i32, scratch: usize,
): void {
  const padded = (outputs + 7) & ~7;
  const block = tilesPerBlock(inputs, outputs);
  const lines = scratch;
  const patch = lines + POSITIONS * 16;
  const u = patch + <usize>(36 * (inputs + outputs)) * 4;
  const v = u + <usize>(36 * inputs * padded) * 4;
  const m = v + <usize>(36 * block * inputs) * 4;

  const uPlane: usize = <usize>(inputs * padded) * 4;
  const vPlane: usize = <usize>(block * inputs) * 4;
  const mPlane: usize = <usize>(block * padded) * 4;
  const leftPanel: usize = <usize>(block >> 2) * 64;
  const rightPanel: usize = <usize>block * 32;
  const tileRows = (outHeight + 3) >> 2;
  const tileColumns = (outWidth + 3) >> 2;
  const total = batch * tileRows * tileColumns;
  memory.fill(u, 0, POSITIONS * uPlane);
  if (outputs & 4) memory.fill(m, 0, POSITIONS * mPlane);
  for (let first: i32 = 0; first < total; first += block) {
    const count = min(block, total - first);
    // The last block may be short: what earlier tiles left behind its end must not be summed.
    if (count < block) {
      memory.fill(v, 0, POSITIONS * vPlane);
      memory.fill(m, 0, POSITIONS * mPlane);
    }
    transformInput(x, height, width, inputs, top, left, tileRows, tileColumns, first, count, v, vPlane, 64, leftPanel, patch, lines);
    transformGradient(dy, outHeight, outWidth, outputs, tileRows, tileColumns, first, count, m, mPlane, rightPanel, patch, lines);
    for (let p: usize = 0; p < POSITIONS; p++) {
      tilesByStep(v + p * vPlane, m + p * mPlane, u + p * uPlane, inputs >> 2, padded >> 3, block >> 2, padded * 4, true);
    }
  }
  const tap: usize = <usize>(inputs * outputs) * 4;
  for (let i: i32 = 0; i < inputs; i++) {
    for (let o: i32 = 0; o < outputs; o += 4) {
      const from = u + <usize>(i * padded + o) * 4;
      const to = filterGradient + <usize>(i * outputs + o) * 4;
      for (let j: usize = 0; j < 6; j++) filterGradientLine(from + j * uPlane, 6 * uPlane, lines + j * 16, 96);
      for (let j: usize = 0; j < 3; j++) filterGradientLine(lines + j * 96, 16, to + j * 3 * tap, tap);
    }
  }
}
