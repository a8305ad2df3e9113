/**
 * How a model takes pictures: their size, the order of their numbers and their range, by its signature and what is said beside it.
 *
 *     const hints = await pictureHints(model, preprocessorConfig);
 *     const { height, width, channels, feeds } = pictureInput(runner.inputs, hints);
 *     await runner.run(feeds(pixels)); // height x width x channels of 0 to 1; other inputs are made up
 */
import type { Model } from "../../model.js";
import type { RunInput } from "../runner.js";
import { completed } from "./given.js";
import { hintsOf } from "./hints.js";
import { type Feeds, inRange, type Layout, layoutOf } from "./made-up.js";
import type { PictureSize } from "./pictures.js";
import { type InputHints, shapesOf } from "./shapes.js";

/** How numbers lie, where the signature does not tell. */
export interface PictureOrder {
  layout?: "NCHW" | "NHWC";
  /** Blue first. */
  bgr?: boolean;
}

export interface PictureInput extends PictureSize {
  /** One run with a picture of height x width x channels, 0 to 1, red first. */
  feeds(pixels: Float32Array): Feeds;
}

/**
 * @param inputs of a runner; the first of rank 4 takes the picture
 * @throws {RangeError} if none does
 */
export function pictureInput(
  inputs: readonly RunInput[],
  hints: InputHints = {},
  { layout, bgr = false }: PictureOrder = {},
): PictureInput {
  const input = inputs.find(({ shape }) => shape?.length === 4);
  if (!input) throw new RangeError("the model takes no pictures: expected an input of rank 4");
  const shape = shapeOf(inputs, input, hints, layout);
  const order = orderIn(shape, layout);
  const { height, width, channels } = order;
  return {
    height,
    width,
    channels,
    feeds(pixels) {
      const values = arranged(pixels, order, bgr);
      const scaled = inRange(values, shape, input.name, input.dtype, hints);
      return completed(inputs, new Map([[input.name, { shape, values: scaled }]]));
    },
  };
}

function shapeOf(
  inputs: readonly RunInput[],
  input: RunInput,
  hints: InputHints,
  layout: PictureOrder["layout"],
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

function orderIn(shape: readonly number[], layout: PictureOrder["layout"]): Layout {
  const found = layoutOf(shape);
  if (layout && found && found.isLast !== (layout === "NHWC"))
    throw new RangeError(`layout ${layout}: the model takes pictures of [${shape}]`);
  if (!found) throw new RangeError(`expected an input of 1, 3 or 4 channels, got one of [${shape}]`);
  return found;
}

/** Pixels in the order of the input. */
function arranged(pixels: Float32Array, { channels, isLast }: Layout, isBgr: boolean): Float32Array {
  const area = pixels.length / channels;
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < channels; c++) {
      const from = isBgr ? channels - 1 - c : c;
      values[isLast ? i * channels + c : c * area + i] = pixels[i * channels + from];
    }
  }
  return values;
}

interface Preprocessor {
  image_mean?: number[];
  image_std?: number[];
  rescale_factor?: number;
  do_normalize?: boolean;
  size?: number | Record<string, number>;
  crop_size?: number | Record<string, number>;
}

/**
 * How pictures are given, by the model's first layer or its preprocessor_config.json.
 *
 * @param preprocessor text of that file
 * @throws {RangeError} if it is no JSON
 */
export async function pictureHints(model: Model, preprocessor?: string): Promise<InputHints> {
  const hints = await hintsOf(model);
  if (preprocessor === undefined) return hints;
  const { rescale_factor, do_normalize, image_mean, image_std, crop_size, size } = parsed(preprocessor);
  const side = crop_size ?? size;
  const extent = typeof side === "number" ? side : (side?.["height"] ?? side?.["shortest_edge"]);
  // Pixels of 0 to 1 here, of 0 to 255 times the factor there.
  const unit = 255 * (rescale_factor ?? 1 / 255);
  const isPlain = do_normalize === false || !image_mean;
  const range = {
    mean: isPlain ? [0] : image_mean.map((value) => value / unit),
    deviation: isPlain ? [1 / unit] : (image_std ?? [1]).map((value) => value / unit),
  };
  return { ...hints, range, ...(extent !== undefined && { size: extent }) };
}

function parsed(text: string): Preprocessor {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RangeError(`preprocessor_config.json: ${(error as Error).message}`);
  }
}
