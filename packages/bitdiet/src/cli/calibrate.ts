/**
 * `--calibrate data.js`: integers chosen from what the network does with inputs of the user's, run by TF.js.
 *
 *     export default async () => ({ inputs: pixels, shape: [200, 224, 224, 3] }); // data.js
 *
 * The module may choose TF.js's backend. Where it has gradients, rows are told apart by them; else layers by what outputs lose.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type CalibrationData, calibrate } from "../calibrate.js";
import { type Candidate, type OutputCheck, weightsOnly } from "../compress-checked.js";
import type { Model } from "../model.js";
import { allocated } from "../quantize/allocated.js";
import { type Remember, rememberList } from "./calibration/cache.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";

/**
 * @param sources.check of the model, if it could be run
 * @throws {UsageError} if these are no inputs for this model
 */
export async function calibratedCandidate(
  data: CalibrationData,
  model: Model,
  { check, remember }: { check: OutputCheck | string; remember: Remember },
  progress: Progress,
): Promise<Candidate> {
  if (tf.engine().backendNames().length === 0) await import("@tensorflow/tfjs-backend-cpu").catch(() => {});
  if (tf.engine().backendNames().length === 0)
    throw new UsageError("--calibrate: expected the module to import a backend of TF.js");
  await tf.ready();
  const losses = typeof check === "string" || hasGradients() ? undefined : check.losses;
  const rest = typeof check === "string" ? weightsOnly(model).quantize : allocated(model, check.losses);
  const quantize = await calibrate(model, data, {
    losses,
    rest,
    remember: rememberList(remember, "sensitivities of TF.js"),
    onProgress: progress.step,
    onWarning: progress.note,
  }).catch((error) => {
    // TF.js does not know the model's layers, or the inputs are not its.
    throw new UsageError(`--calibrate: ${error.message}`);
  });
  return { name: "calibration data", quantize };
}

/** @throws {UsageError} if the model is not one that is calibrated */
export async function syntheticCandidate(
  model: Model,
  { losses }: OutputCheck,
  progress: Progress,
): Promise<Candidate> {
  const options = { losses, rest: allocated(model, losses), onProgress: progress.step };
  const quantize = await calibrate(model, undefined, options).catch((error) => {
    throw new UsageError(`--calibrate synthetic: ${error.message}`);
  });
  return { name: "made-up calibration inputs", quantize };
}

/** Whether the current backend has what gradients of convolutions take; the wasm backend as it comes has not. */
function hasGradients(): boolean {
  return tf.getKernel("Conv2DBackpropFilter", tf.getBackend()) !== undefined;
}
