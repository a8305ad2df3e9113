/**
 * `--calibrate data.js`: integers chosen from what the network does with inputs of the user's, run by TF.js.
 *
 *     export default async () => ({ inputs: pixels, shape: [200, 224, 224, 3] }); // data.js
 *
 * The module may choose TF.js's backend; without one the plain JavaScript backend is used, which is slow.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type CalibrationData, calibrate } from "../calibrate.js";
import type { Candidate } from "../compress-checked.js";
import type { Model } from "../model.js";
import type { Feeds } from "../networks/made-up-inputs.js";
import { runnableInputs } from "../networks/run-inputs.js";
import type { Runner } from "../networks/runner.js";
import { loadHook } from "./hook.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";

/** Made-up inputs of `--calibrate synthetic`, and their seed: not those that judge. */
const MADE_UP = 128;
const SEED = 3;

/**
 * @param path of a module, or "synthetic"
 * @returns a way to choose integers, and the inputs of the user's one by one
 * @throws {UsageError} if the module gives no inputs for this model
 */
export async function loadCalibration(
  path: string,
  model: Model,
  runner: Runner | string,
  progress: Progress,
): Promise<Candidate & { feeds?: Feeds[] }> {
  const isMadeUp = path === "synthetic";
  const data = isMadeUp
    ? await madeUpData(model, runner)
    : ((await (
        await loadHook("--calibrate", path)
      )(undefined)) as CalibrationData);
  if (tf.engine().backendNames().length === 0)
    await import("@tensorflow/tfjs-backend-cpu").catch(() => {
      throw new UsageError(`--calibrate: expected ${path} to import a backend of TF.js`);
    });
  await tf.ready();
  const quantize = await calibrate(model, data ?? {}, { onProgress: progress.step }).catch((error) => {
    // TF.js does not know the model's layers, or the inputs are not its.
    throw new UsageError(`--calibrate: ${error.message}`);
  });
  if (isMadeUp) return { name: "made-up calibration inputs", quantize };
  return {
    name: "calibration data",
    quantize,
    feeds: typeof runner === "string" ? undefined : feedsOf(data, runner),
  };
}

async function madeUpData(model: Model, runner: Runner | string): Promise<CalibrationData> {
  if (typeof runner === "string") throw new UsageError(`--calibrate synthetic: ${runner}`);
  const feeds = await runnableInputs(runner, model, { count: MADE_UP, seed: SEED });
  const [{ name }] = runner.inputs;
  const parts = feeds.map((feed) => feed.get(name)!.data as Float32Array);
  const inputs = new Float32Array(parts.length * parts[0].length);
  for (const [i, part] of parts.entries()) inputs.set(part, i * part.length);
  return { inputs, shape: [feeds.length, ...feeds[0].get(name)!.shape.slice(1)] };
}

function feedsOf({ inputs, shape: [count, ...shape] }: CalibrationData, runner: Runner): Feeds[] {
  const size = inputs.length / count;
  return Array.from({ length: count }, (_, i) => {
    const data = inputs.subarray(i * size, (i + 1) * size);
    return new Map([[runner.inputs[0].name, { dtype: "float32" as const, shape: [1, ...shape], data }]]);
  });
}
