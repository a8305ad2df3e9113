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
import { chosen, completed } from "../../networks/inputs/given.js";
import { hintsOf } from "../../networks/inputs/hints.js";
import { type Feeds, inRange, type Layout, layoutOf } from "../../networks/inputs/made-up.js";
import { type InputHints, shapesOf } from "../../networks/inputs/shapes.js";
import type { RunInput } from "../../networks/runner.js";
import { UsageError } from "../options.js";

export interface PictureOptions {
  /** Of pixels of 0 to 1, one a channel or one for all: (pixel - mean) / std. */
  mean?: readonly number[];
  std?: readonly number[];
  layout?: "NCHW" | "NHWC";
  /** Blue first. */
  bgr: boolean;
}

const ENDINGS = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".tif", ".tiff"]);

/** @throws {RangeError} if there are no pictures, or the model takes none */
export async function pictureFeeds(
  path: string,
  inputs: readonly RunInput[],
  model: Model,
  options: PictureOptions & { count: number; folder: string },
): Promise<Feeds[]> {
  const sharp = await importPeer<typeof Sharp>("sharp");
  if (!sharp) throw new UsageError("--calibrate: sharp reads pictures: npm install sharp");
  const all = (await readdir(path, { recursive: true }))
    .filter((name) => ENDINGS.has(extname(name).toLowerCase()))
    .sort();
  if (all.length === 0) throw new RangeError(`${path}: expected pictures in it, got none`);
  const hints = await pictureHints(model, options);
  const input = inputs.find(({ shape }) => shape?.length === 4);
  if (!input) throw new RangeError(`${path}: the model takes no pictures: an input of rank 4`);
  const shape = pictureShape(inputs, input, hints, options);
  const layout = layoutFor(shape, options);
  const feeds: Feeds[] = [];
  for (const name of chosen(all, options.count)) {
    const pixels = await pixelsOf(sharp, join(path, name), layout);
    const values = arranged(pixels, layout, options.bgr);
    const scaled = inRange(values, shape, input.name, input.dtype, hints);
    feeds.push(completed(inputs, new Map([[input.name, { shape, values: scaled }]])));
  }
  return feeds;
}

/** Pixels of 0 to 255, channels last. */
async function pixelsOf(sharp: typeof Sharp, path: string, { height, width, channels }: Layout) {
  const image = sharp(path).resize(width, height, { fit: "cover" });
  const picture = channels === 1 ? image.grayscale() : image.removeAlpha().toColourspace("srgb");
  return picture
    .raw()
    .toBuffer()
    .catch((error: Error) => {
      throw new RangeError(`${path}: expected a picture: ${error.message}`);
    });
}

/** Pixels of 0 to 1 in the order of the input. */
function arranged(pixels: Uint8Array, { channels, isLast }: Layout, isBgr: boolean): Float32Array {
  const area = pixels.length / channels;
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < channels; c++) {
      const from = isBgr ? channels - 1 - c : c;
      values[isLast ? i * channels + c : c * area + i] = pixels[i * channels + from] / 255;
    }
  }
  return values;
}

function pictureShape(
  inputs: readonly RunInput[],
  input: RunInput,
  hints: InputHints,
  { layout }: PictureOptions,
): number[] {
  const channelAxis = layout === "NHWC" ? 3 : layout === "NCHW" ? 1 : undefined;
  const known = inputs.map((each) => {
    if (each !== input || channelAxis === undefined) return each;
    return {
      ...each,
      shape: each.shape!.map((extent, axis) => (axis === channelAxis ? (extent ?? 3) : extent)),
    };
  });
  return shapesOf(known, hints)[inputs.indexOf(input)];
}

function layoutFor(shape: readonly number[], { layout }: PictureOptions): Layout {
  const found = layoutOf(shape);
  if (layout && found && found.isLast !== (layout === "NHWC"))
    throw new RangeError(`--layout ${layout}: the model takes pictures of [${shape}]`);
  if (!found)
    throw new RangeError(`expected an input of 1, 3 or 4 channels, got one of [${shape}]: see --layout`);
  return found;
}

interface Preprocessor {
  image_mean?: number[];
  image_std?: number[];
  rescale_factor?: number;
  do_normalize?: boolean;
  size?: number | Record<string, number>;
  crop_size?: number | Record<string, number>;
}

/** How the user, the model's preprocessor_config.json, or its first layer says that pictures are given. */
async function pictureHints(
  model: Model,
  { mean, std, folder }: PictureOptions & { folder: string },
): Promise<InputHints> {
  const hints = await hintsOf(model);
  const found = await preprocessorIn(folder);
  const side = found?.crop_size ?? found?.size;
  const size = typeof side === "number" ? side : (side?.["height"] ?? side?.["shortest_edge"]);
  let { range } = hints;
  if (found) {
    // Pixels of 0 to 1 here, of 0 to 255 times the factor there.
    const unit = 255 * (found.rescale_factor ?? 1 / 255);
    const isPlain = found.do_normalize === false || !found.image_mean;
    range = {
      mean: isPlain ? [0] : found.image_mean!.map((value) => value / unit),
      deviation: isPlain ? [1 / unit] : (found.image_std ?? [1]).map((value) => value / unit),
    };
  }
  if (mean || std) range = { mean: mean ?? [0], deviation: std ?? [1] };
  return { ...hints, range, ...(size !== undefined && { size }) };
}

/** Beside the model, or beside the folder onnx/ that it is in. */
async function preprocessorIn(folder: string): Promise<Preprocessor | undefined> {
  for (const place of [folder, dirname(folder)]) {
    const path = join(place, "preprocessor_config.json");
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new RangeError(`${path}: ${(error as Error).message}`);
    }
  }
  return undefined;
}
