/** `--calibrate` of ONNX models: integers chosen from what the network does with the inputs, run by ONNX Runtime. */
import { calibrateOnnx } from "../calibrate-onnx.js";
import type { Candidate } from "../compress-checked.js";
import type { Model } from "../model.js";
import { findOnnxRuntime } from "../networks/find-runner.js";
import type { Feeds } from "../networks/inputs/made-up.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";

/**
 * @param feeds of single runs; undefined if what was given is none for this model
 * @throws {UsageError} if these are no inputs for this model, or nothing can run it
 */
export async function onnxCandidate(
  name: string,
  model: Model,
  feeds: readonly Feeds[] | undefined,
  progress: Progress,
): Promise<Candidate> {
  const ort = await findOnnxRuntime();
  if (!ort) throw new UsageError("--calibrate: ONNX Runtime runs the model: npm install onnxruntime-node");
  if (!feeds)
    throw new UsageError("--calibrate: expected { feeds }, or { inputs, shape } of a model with one input");
  const quantize = await calibrateOnnx(model, ort, feeds, {
    onProgress: progress.step,
    onWarning: progress.note,
  }).catch((error) => {
    throw new UsageError(`--calibrate: ${error.message}`);
  });
  return { name, quantize };
}
