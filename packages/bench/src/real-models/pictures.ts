/**
 * Photos of ImageNet's validation set as a model wants them; the research data stays where the user has it.
 *
 *     await pictures("input", { count: 300, batch: 20, side: 224, layout: "NHWC", value: (x) => x / 127.5 - 1 });
 */
import { join } from "node:path";
import { type ImageFile, imageFolder } from "@bitdiet/zoo/data/imagenet";
import sharp from "sharp";
import { dataFolder } from "../sources.js";
import type { Feeds } from "./subjects.js";

export interface Pictures {
  /** The first one; from the end where negative. Default: 0. */
  from?: number;
  count: number;
  batch: number;
  /** Height and width. */
  side: number;
  /** How the whole picture comes to that: stretched, or with grey beside or below it. Default: "fill". */
  fit?: "fill" | "letterbox";
  channels?: 1 | 3;
  /** Default: "RGB". */
  order?: "RGB" | "BGR";
  layout: "NHWC" | "NCHW";
  /** A byte 0 .. 255 of a channel, counted in the model's order, to what the model wants. */
  value(byte: number, channel: number): number;
}

/** @throws {Error} if BITDIET_DATA has no `imagenet-val` */
export function photos(from: number, count: number): ImageFile[] {
  const folder = dataFolder();
  if (folder === undefined)
    throw new Error("No pictures: set BITDIET_DATA to the folder that holds imagenet-val/.");
  const files = imageFolder(join(folder, "imagenet-val"));
  const first = from < 0 ? files.length + from : from;
  return files.slice(first, first + count);
}

/** @throws as `photos` */
export async function pictures(
  name: string,
  { from = 0, count, batch, side, channels = 3, layout, ...how }: Pictures,
): Promise<Feeds[]> {
  const { fit = "fill", order = "RGB", value } = how;
  const files = photos(from, count);
  const size = side * side * channels;
  const feeds: Feeds[] = [];
  for (let from = 0; from < files.length; from += batch) {
    const part = files.slice(from, from + batch);
    const data = new Float32Array(part.length * size);
    for (const [i, file] of part.entries()) {
      const bytes = await scaled(file.read(), side, fit, channels);
      data.set(layout === "NHWC" ? bytes : planes(bytes, order, (x) => x, channels), i * size);
    }
    const channelOf = (at: number) =>
      layout === "NHWC" ? at % channels : Math.floor(at / (side * side)) % channels;
    for (let at = 0; at < data.length; at++) data[at] = value(data[at], channelOf(at));
    const shape =
      layout === "NHWC" ? [part.length, side, side, channels] : [part.length, channels, side, side];
    feeds.push(new Map([[name, { dtype: "float32", shape, data }]]));
  }
  return feeds;
}

/** Pixels of a picture, channels last. */
async function scaled(file: Uint8Array, side: number, fit: "fill" | "letterbox", channels: 1 | 3) {
  const box = { position: "left top", background: { r: 114, g: 114, b: 114 } } as const;
  const image = sharp(file).resize(side, side, {
    ...(fit === "fill" ? { fit } : { fit: "contain", ...box }),
    kernel: "linear",
  });
  return new Uint8Array(
    await (channels === 1 ? image.grayscale() : image.toColourspace("srgb").removeAlpha()).raw().toBuffer(),
  );
}

/** Pixels, channels last, as one plane a channel. */
export function planes(
  pixels: Uint8Array,
  order: "RGB" | "BGR",
  value: (byte: number, channel: number) => number,
  channels: 1 | 3 = 3,
): Float32Array {
  const area = pixels.length / channels;
  const data = new Float32Array(pixels.length);
  for (let c = 0; c < channels; c++) {
    const from = order === "BGR" ? channels - 1 - c : c;
    for (let at = 0; at < area; at++) data[c * area + at] = value(pixels[at * channels + from], c);
  }
  return data;
}
