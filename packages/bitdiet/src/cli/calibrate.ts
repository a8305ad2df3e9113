/**
 * `--calibrate data.js`: integers chosen from what the network does with inputs of the user's, run by TF.js.
 *
 *     export default async () => ({ inputs: pixels, shape: [200, 224, 224, 3] }); // data.js
 *
 * The module may choose TF.js's backend; without one the plain JavaScript backend is used, which is slow.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type CalibrationData, calibrate } from "../calibrate.js";
import type { Model } from "../model.js";
import type { Quantize } from "../quantize/quantize.js";
import { loadHook } from "./hook.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";

/** @throws {UsageError} if the module gives no inputs for this model */
export async function loadCalibration(path: string, model: Model, progress: Progress): Promise<Quantize> {
  const data = (await (await loadHook("--calibrate", path))(undefined)) as CalibrationData;
  if (tf.engine().backendNames().length === 0)
    await import("@tensorflow/tfjs-backend-cpu").catch(() => {
      throw new UsageError(`--calibrate: expected ${path} to import a backend of TF.js`);
    });
  await tf.ready();
  return calibrate(model, data ?? {}, { onProgress: progress.step }).catch((error) => {
    // TF.js does not know the model's layers, or the inputs are not its.
    throw new UsageError(`--calibrate: ${error.message}`);
  });
}
