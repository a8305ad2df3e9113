// Compression that looks at what the network does with some of its pictures: bitdiet/calibrate on TF.js's wasm backend, with the gradient
// kernels that it lacks, or bitdiet/calibrate-onnx. A part of the page that is loaded when it is asked for.
// Example: `compressModel(model, { bits: 1 }, { quantize: await calibrateOn(feeds, model, undefined, report) })` gives a file of about 8 kB.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import { fromWeights, type Model, type Quantize } from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import { calibrateOnnx } from "bitdiet/calibrate-onnx";
import { defaultCandidates, type Feeds, type OutputCheck } from "bitdiet/run";
import { onnxRuntime } from "./runtimes.js";

/**
 * @param feeds a run for each picture
 * @param check tells how tensors are rounded that calibration does not reach. Default: by their weights alone
 */
export async function calibrateOn(
  feeds: readonly Feeds[],
  model: Model,
  check: OutputCheck | undefined,
  onProgress: (doing: string, done: number, total: number) => void,
): Promise<Quantize> {
  const rest = (of: Model) => (check ? defaultCandidates(of, check)[0].quantize : fromWeights(of));
  if (model.format === "onnx") return calibrateOnnx(model, await onnxRuntime(), feeds, { rest, onProgress });
  registerTrainingKernels();
  const options = { rest: rest(model), onProgress };
  return calibrate(model, { feeds }, options).catch((error) => {
    // An operation without a gradient: what outputs lose by each tensor tells what matters, too, if less finely.
    if (!check?.losses.size) throw error;
    return calibrate(model, { feeds }, { ...options, losses: check.losses });
  });
}
