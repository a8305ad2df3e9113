/**
 * Feature maps as rows of block vectors, and back: a map N × H × W × C is cut into blocks of b × b positions by `channels`
 * channels, and each block becomes one row, the vector that a transform takes (Chmiel et al., arXiv 1905.10830).
 *
 * With b = 1 and all channels a row is a pixel; with b = 8 and one channel it is a block for `dct8x8`. The 2 × 2 × 2 map
 * 1 … 8 cut with b = 2, one channel, gives the rows [1, 3, 5, 7] and [2, 4, 6, 8].
 */
import { checkFloat32, checkPositive } from "./check.js";

/** N, H, W, C, as tfjs stores images. */
export type MapShape = readonly [batch: number, height: number, width: number, channels: number];

export interface BlockOptions {
  /** Side b of a block; it must divide height and width. */
  block: number;
  /** Channels in a block; must divide C. All of them where absent. */
  channels?: number;
}

/**
 * @param map N × H × W × C values
 * @returns rows of b · b · channels values, ordered by image, block row, block column and channel group; within a row
 *   by y, x and channel
 * @throws {TypeError} where `map` is no Float32Array; RangeError where it does not have `shape`, or blocks do not tile it
 */
export function toBlocks(map: Float32Array, shape: MapShape, options: BlockOptions): Float32Array {
  const runs = blockRuns("map", map, shape, options);
  const rows = new Float32Array(map.length);
  for (let run = 0, at = 0; run < runs.starts.length; run++, at += runs.length) {
    rows.set(map.subarray(runs.starts[run], runs.starts[run] + runs.length), at);
  }
  return rows;
}

/** The inverse of `toBlocks`: `shape` is that of the map it returns. */
export function fromBlocks(rows: Float32Array, shape: MapShape, options: BlockOptions): Float32Array {
  const runs = blockRuns("rows", rows, shape, options);
  const map = new Float32Array(rows.length);
  for (let run = 0, at = 0; run < runs.starts.length; run++, at += runs.length) {
    map.set(rows.subarray(at, at + runs.length), runs.starts[run]);
  }
  return map;
}

/** Where each stretch of neighbouring channels starts in the map, in the order of the rows. */
function blockRuns(
  name: string,
  values: Float32Array,
  shape: MapShape,
  { block, channels = shape[3] }: BlockOptions,
): { starts: Uint32Array; length: number } {
  if (shape.length !== 4) throw new RangeError(`shape: expected [N, H, W, C], got [${shape}]`);
  const [batch, height, width, depth] = shape;
  for (const [axis, extent] of shape.entries()) checkPositive(`shape[${axis}]`, extent);
  checkFloat32(name, values, batch * height * width * depth);
  checkPositive("block", block);
  checkPositive("channels", channels);
  if (height % block !== 0 || width % block !== 0) {
    throw new RangeError(`block: expected a divisor of height ${height} and width ${width}, got ${block}`);
  }
  if (depth % channels !== 0)
    throw new RangeError(`channels: expected a divisor of ${depth}, got ${channels}`);

  const starts = new Uint32Array(values.length / channels);
  let run = 0;
  for (let n = 0; n < batch; n++) {
    for (let top = 0; top < height; top += block) {
      for (let left = 0; left < width; left += block) {
        for (let channel = 0; channel < depth; channel += channels) {
          for (let y = top; y < top + block; y++) {
            for (let x = left; x < left + block; x++)
              starts[run++] = ((n * height + y) * width + x) * depth + channel;
          }
        }
      }
    }
  }
  return { starts, length: channels };
}
