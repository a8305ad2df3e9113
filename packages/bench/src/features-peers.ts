/**
 * What else maps can be sent as: bytes of each, and the maps that arrive.
 */
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import sharp from "sharp";
import type { Picture } from "./features-network.js";
import { SIDE } from "./features-network.js";

export interface Sent {
  bytes: number;
  arrived: Float32Array;
}
export type Peer = (map: Float32Array) => Sent | Promise<Sent>;

/** Least and greatest value of samples: what 8 bits are spread over. */
export interface Range {
  least: number;
  greatest: number;
}

const LEVELS = 255;
const toBytes = (map: Float32Array, { least, greatest }: Range) =>
  Uint8Array.from(map, (value) =>
    Math.max(0, Math.min(LEVELS, Math.round(((value - least) / (greatest - least)) * LEVELS))),
  );
const fromBytes = (bytes: Uint8Array, { least, greatest }: Range) =>
  Float32Array.from(bytes, (byte) => least + (byte / LEVELS) * (greatest - least));

const brotli = (bytes: Uint8Array) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;

export function peers(range: Range, shape: readonly [number, number, number]): Record<string, Peer> {
  const asBytes =
    (size: (bytes: Uint8Array) => number | Promise<number>): Peer =>
    async (map) => {
      const bytes = toBytes(map, range);
      return { bytes: await size(bytes), arrived: fromBytes(bytes, range) };
    };
  return {
    "float16 + gzip": (map) => {
      const halves = Uint16Array.from(map, halfOf);
      return {
        bytes: gzipSync(new Uint8Array(halves.buffer)).length,
        arrived: Float32Array.from(halves, fromHalf),
      };
    },
    "uint8 + brotli-11": asBytes(brotli),
    "uint8, PNG of tiles": asBytes(
      async (bytes) => (await tiles(bytes, shape).png({ effort: 10 }).toBuffer()).length,
    ),
    "uint8, lossless WebP of tiles": asBytes(
      async (bytes) => (await tiles(bytes, shape).webp({ lossless: true, effort: 6 }).toBuffer()).length,
    ),
  };
}

/** The channels side by side in a grey picture, as nearly square as they go. */
function tiles(bytes: Uint8Array, [height, width, channels]: readonly [number, number, number]) {
  const columns = Math.ceil(Math.sqrt(channels));
  const rows = Math.ceil(channels / columns);
  const picture = new Uint8Array(rows * height * columns * width);
  for (let i = 0; i < bytes.length; i++) {
    const c = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / (channels * width));
    const row = Math.floor(c / columns) * height + y;
    picture[row * columns * width + (c % columns) * width + x] = bytes[i];
  }
  return sharp(picture, {
    raw: { width: columns * width, height: rows * height, channels: 1 },
  }).toColourspace("b-w");
}

/** The nearest float16's bits, of values in its normal range; those below it become zero. */
function halfOf(value: number): number {
  const magnitude = Math.abs(value);
  const sign = value < 0 ? 0x8000 : 0;
  if (magnitude < 2 ** -14) return sign;
  const exponent = Math.floor(Math.log2(magnitude));
  return sign + ((exponent + 15) << 10) + Math.round((magnitude / 2 ** exponent - 1) * 1024);
}

function fromHalf(half: number): number {
  const magnitude = half & 0x7fff;
  const value = magnitude === 0 ? 0 : (1 + (magnitude & 1023) / 1024) * 2 ** ((magnitude >> 10) - 15);
  return half & 0x8000 ? -value : value;
}

/** A picture as a JPEG (mozjpeg's tables and trellis, as sharp has them) of a quality: its bytes, and how it arrives. */
export async function jpeg(picture: Picture, quality: number): Promise<{ bytes: number; arrived: Picture }> {
  const raw = { width: SIDE, height: SIDE, channels: 3 as const };
  const file = await sharp(picture, { raw }).jpeg({ quality, mozjpeg: true }).toBuffer();
  return { bytes: file.length, arrived: await sharp(file).raw().toBuffer() };
}
