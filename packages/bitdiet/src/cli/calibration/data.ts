/**
 * What `--calibrate` names, as inputs of single runs: a module, a folder of pictures, arrays of NumPy, or texts.
 *
 *     const data = await calibrationData("photos", { count: 128 });
 *     const feeds = await data.feeds(runner, model);
 */
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import type { CalibrationData } from "../../calibrate.js";
import type { Model } from "../../model.js";
import { chosen } from "../../networks/inputs/given.js";
import type { Feeds } from "../../networks/inputs/made-up.js";
import type { Runner } from "../../networks/runner.js";
import { loadHook } from "../hook.js";
import { UsageError } from "../options.js";
import { arrayFeeds } from "./arrays.js";
import { type PictureOptions, pictureFeeds } from "./pictures.js";
import { textFeeds } from "./texts.js";

export interface DataOptions extends PictureOptions {
  /** Inputs at most; which of more is seeded. */
  count: number;
  /** Folder of the model, where its tokenizer and preprocessor are. */
  folder: string;
  /** A tokenizer.json. Default: the model's own. */
  tokenizer?: string;
}

export interface GivenData {
  /** What a module gave. */
  module?: CalibrationData;
  /** @throws {UsageError} if these are no inputs of this model; undefined if a module's are not */
  feeds(runner: Runner, model: Model): Promise<readonly Feeds[] | undefined>;
}

/** @throws {UsageError} if there is nothing by this name, or a module fails */
export async function calibrationData(path: string, options: DataOptions): Promise<GivenData> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory())
    return { feeds: ({ inputs }, model) => asUsage(pictureFeeds(path, inputs, model, options)) };
  const ending = extname(path).toLowerCase();
  if (ending === ".npy" || ending === ".npz")
    return { feeds: async ({ inputs }) => chosen(await asUsage(arrayFeeds(path, inputs)), options.count) };
  if (ending === ".jsonl" || ending === ".txt")
    return { feeds: ({ inputs }) => asUsage(textFeeds(path, inputs, options)) };
  const module = ((await (await loadHook("--calibrate", path))(undefined)) ?? {}) as CalibrationData;
  return { module, feeds: async (runner) => feedsOf(module, runner) };
}

async function asUsage<Value>(made: Promise<Value>): Promise<Value> {
  return made.catch((error) => {
    if (error instanceof RangeError) throw new UsageError(`--calibrate: ${error.message}`);
    throw error;
  });
}

/** Inputs of the user's one by one, as a runner takes them; undefined if they are not what it takes. */
function feedsOf(data: CalibrationData, runner: Runner): readonly Feeds[] | undefined {
  if ("feeds" in data) return data.feeds;
  const { inputs, shape } = data;
  if (!(inputs instanceof Float32Array) || !Array.isArray(shape) || runner.inputs.length !== 1)
    return undefined;
  const [count, ...rest] = shape;
  const size = inputs.length / count;
  return Array.from({ length: count }, (_, i) => {
    const data = inputs.subarray(i * size, (i + 1) * size);
    return new Map([[runner.inputs[0].name, { dtype: "float32" as const, shape: [1, ...rest], data }]]);
  });
}
