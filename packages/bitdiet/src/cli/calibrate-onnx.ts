/** `--calibrate` of ONNX models: integers chosen from what the network does with the inputs, run by ONNX Runtime. */
import { calibrateOnnx } from "../calibrate-onnx.js";
import type { Candidate, OutputCheck } from "../compress-checked.js";
import type { Model } from "../model.js";
import { findOnnxRuntime } from "../networks/find-runner.js";
import type { Feeds } from "../networks/inputs/made-up.js";
import { allocated } from "../quantize/allocated.js";
import { fromWeights } from "../quantize/from-weights.js";
import { type Remember, rememberList } from "./calibration/cache.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";

/**
 * @param sources.feeds of single runs; undefined if what was given is none for this model
 * @param sources.check of the model, if it could be run
 * @throws {UsageError} if these are no inputs for this model, or nothing can run it
 */
export async function onnxCandidate(
  name: string,
  model: Model,
  { feeds, check, remember }: { feeds?: readonly Feeds[]; check: OutputCheck | string; remember: Remember },
  progress: Progress,
): Promise<Candidate> {
  const ort = await findOnnxRuntime();
  if (!ort) throw new UsageError("--calibrate: ONNX Runtime runs the model: npm install onnxruntime-node");
  if (!feeds)
    throw new UsageError("--calibrate: expected { feeds }, or { inputs, shape } of a model with one input");
  const quantize = await calibrateOnnx(model, ort, feeds, {
    rest: (folded) => (typeof check === "string" ? fromWeights(folded) : allocated(folded, check.losses)),
    remember: rememberList(remember, `${name} of ONNX`),
    onProgress: progress.step,
    onWarning: progress.note,
  }).catch((error) => {
    throw new UsageError(`--calibrate: ${error.message}`);
  });
  return { name, quantize };
}
