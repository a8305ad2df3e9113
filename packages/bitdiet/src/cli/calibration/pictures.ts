/**
 * A folder of pictures as calibration inputs, normalised as the user says, or the model's preprocessor_config.json, or its layers.
 *
 *     await pictureFeeds("photos", runner.inputs, model, { folder: "vit", count: 128 });
 */
import { readdir, readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import type Sharp from "sharp";
import type { Model } from "../../model.js";
import { importPeer } from "../../networks/find-runner.js";
import { chosen } from "../../networks/inputs/given.js";
import type { Feeds } from "../../networks/inputs/made-up.js";
import { type PictureOrder, pictureHints, pictureInput } from "../../networks/inputs/picture-input.js";
import type { PictureSize } from "../../networks/inputs/pictures.js";
import type { RunInput } from "../../networks/runner.js";
import { UsageError } from "../options.js";

export interface PictureOptions extends PictureOrder {
  /** Of pixels of 0 to 1, one a channel or one for all: (pixel - mean) / std. */
  mean?: readonly number[];
  std?: readonly number[];
}

const ENDINGS = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".tif", ".tiff"]);

/** @throws {RangeError} if there are no pictures, or the model takes none */
export async function pictureFeeds(
  path: string,
  inputs: readonly RunInput[],
  model: Model,
  { count, folder, mean, std, ...order }: PictureOptions & { count: number; folder: string },
): Promise<Feeds[]> {
  const sharp = await importPeer<typeof Sharp>("sharp");
  if (!sharp) throw new UsageError("--calibrate: sharp reads pictures: npm install sharp");
  const all = (await readdir(path, { recursive: true }))
    .filter((name) => ENDINGS.has(extname(name).toLowerCase()))
    .sort();
  if (all.length === 0) throw new RangeError(`${path}: expected pictures in it, got none`);
  const hints = await pictureHints(model, await preprocessorIn(folder));
  const range = mean || std ? { mean: mean ?? [0], deviation: std ?? [1] } : hints.range;
  const input = pictureInput(inputs, { ...hints, range }, order);
  const feeds: Feeds[] = [];
  for (const name of chosen(all, count)) {
    const pixels = await pixelsOf(sharp, join(path, name), input);
    feeds.push(input.feeds(Float32Array.from(pixels, (pixel) => pixel / 255)));
  }
  return feeds;
}

/** Pixels of 0 to 255, channels last. */
async function pixelsOf(sharp: typeof Sharp, path: string, { height, width, channels }: PictureSize) {
  const image = sharp(path).resize(width, height, { fit: "cover" });
  const colour = image.toColourspace("srgb");
  const picture =
    channels === 1 ? image.grayscale() : channels === 4 ? colour.ensureAlpha() : colour.removeAlpha();
  return picture
    .raw()
    .toBuffer()
    .catch((error: Error) => {
      throw new RangeError(`${path}: expected a picture: ${error.message}`);
    });
}

/** Beside the model, or beside the folder onnx/ that it is in. */
async function preprocessorIn(folder: string): Promise<string | undefined> {
  for (const place of [folder, dirname(folder)]) {
    const text = await readFile(join(place, "preprocessor_config.json"), "utf8").catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}
