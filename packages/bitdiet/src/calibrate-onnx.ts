/**
 * `bitdiet/calibrate-onnx`: integers for an ONNX model, chosen from what the network does with inputs of the user's. The runtime is the
 * caller's: onnxruntime-node or onnxruntime-web.
 *
 *     import * as ort from "onnxruntime-node";
 *     const feeds = pictures.map((data) => new Map([["x", { dtype: "float32", shape: [1, 3, 224, 224], data }]]));
 *     const quantize = await calibrateOnnx(model, ort, feeds);
 *     const { bytes, report } = await compressModel(model, { maxBytes: 3_000_000 }, { quantize });
 */
import type { Model } from "./model.js";
import { checkInputs } from "./networks/inputs/check.js";
import { type OnnxOptions, onnxNetwork } from "./networks/onnx/network.js";
import type { OnnxRuntime } from "./networks/onnx/run.js";
import type { Feed } from "./networks/onnx/walk.js";
import { calibrated, type Remember } from "./quantize/calibrated.js";
import { fromWeights } from "./quantize/from-weights.js";
import type { Quantize } from "./quantize/quantize.js";

export type { OnnxOptions, OnnxRuntime };

export interface CalibrateOnnxOptions extends OnnxOptions {
  /** How the tensors are quantized that calibration does not reach, of the model with its batch norms folded. Default: by the weights alone. */
  rest?(folded: Model): Quantize;
  /** Gives what was measured before on the same model and feeds. */
  remember?: Remember;
  /** Is told what is strange about the inputs, in words with numbers. */
  onWarning?(message: string): void;
}

/**
 * Measures once; what is returned quantizes for one lambda after another.
 *
 * @param model of the format "onnx"
 * @param feeds inputs of some dozens of runs, a tensor for each of the model's inputs by name; 48 to 128 are enough
 * @throws {TypeError} if the model is another; {RangeError} if the feeds are not its, or it has no layers to calibrate
 * @throws {RunError} if the runtime cannot run it
 */
export async function calibrateOnnx(
  model: Model,
  ort: OnnxRuntime,
  feeds: readonly Feed[],
  { rest = fromWeights, remember, onWarning = () => {}, ...options }: CalibrateOnnxOptions = {},
): Promise<Quantize> {
  const network = await onnxNetwork(model, ort, feeds, options);
  for (const warning of checkInputs(feeds)) onWarning(warning);
  return calibrated(network, rest(network.model), remember);
}
