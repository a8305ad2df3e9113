/**
 * Photos of ImageNet's validation set as a model wants them; the research data stays where the user has it.
 *
 *     await pictures("input", { count: 300, batch: 20, side: 224, layout: "NHWC", value: (x) => x / 127.5 - 1 });
 */
import { join } from "node:path";
import { imageFolder } from "@bitdiet/zoo/data/imagenet";
import sharp from "sharp";
import { dataFolder } from "../sources.js";
import type { Feeds } from "./subjects.js";

export interface Pictures {
  count: number;
  batch: number;
  /** Height and width; the whole picture is scaled to it. */
  side: number;
  channels?: 1 | 3;
  layout: "NHWC" | "NCHW";
  /** A byte 0 .. 255 of a channel to what the model wants. */
  value(byte: number, channel: number): number;
}

/** @throws {Error} if BITDIET_DATA has no `imagenet-val` */
export async function pictures(
  name: string,
  { count, batch, side, channels = 3, layout, value }: Pictures,
): Promise<Feeds[]> {
  const folder = dataFolder();
  if (folder === undefined)
    throw new Error("No pictures: set BITDIET_DATA to the folder that holds imagenet-val/.");
  const files = imageFolder(join(folder, "imagenet-val")).slice(0, count);
  const size = side * side * channels;
  const feeds: Feeds[] = [];
  for (let from = 0; from < files.length; from += batch) {
    const part = files.slice(from, from + batch);
    const data = new Float32Array(part.length * size);
    for (const [i, file] of part.entries()) {
      const image = sharp(file.read()).resize({ width: side, height: side, fit: "fill", kernel: "linear" });
      const bytes = await (channels === 1 ? image.grayscale() : image.toColourspace("srgb").removeAlpha())
        .raw()
        .toBuffer();
      for (let at = 0; at < side * side; at++) {
        for (let c = 0; c < channels; c++) {
          const to = layout === "NHWC" ? at * channels + c : c * side * side + at;
          data[i * size + to] = value(bytes[at * channels + c], c);
        }
      }
    }
    const shape =
      layout === "NHWC" ? [part.length, side, side, channels] : [part.length, channels, side, side];
    feeds.push(new Map([[name, { dtype: "float32", shape, data }]]));
  }
  return feeds;
}
