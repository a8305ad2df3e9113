/**
 * `bitdiet/calibrate`: integers for a layers model of TF.js, chosen from what the network does with inputs of the user's.
 *
 *     const quantize = await calibrate(model, { inputs, shape: [200, 224, 224, 3] });
 *     const { bytes, report } = await compressModel(model, { maxBytes: 3_000_000 }, { quantize });
 *
 * Runs on TF.js's current backend, which must have the gradients of the model's operations.
 */
import { elementCount, type Model } from "./model.js";
import type { Feeds } from "./networks/made-up-inputs.js";
import type { RunInput } from "./networks/runner.js";
import { tfjsNetwork, tfjsProgram } from "./networks/tfjs-network.js";
import { calibrated } from "./quantize/calibrated.js";
import { fromWeights } from "./quantize/from-weights.js";
import type { Quantize } from "./quantize/quantize.js";

export interface CalibrationData {
  /** shape[0] inputs, one after another: a few hundred. */
  inputs: Float32Array;
  shape: number[];
  /** Whether the outputs are those of a classifier before its softmax; a softmax at the model's end is found without this. */
  logits?: boolean;
}

export interface CalibrateOptions {
  /** How the tensors are quantized that calibration does not reach. Default: by the weights alone. */
  rest?: Quantize;
  onProgress?(step: string, done: number, total: number): void;
}

/** Squares of larger inputs are no float32 any more. */
const MAX_INPUT = 1e15;

/**
 * Measures once; what is returned quantizes for one lambda after another.
 *
 * @param model of the format "tfjs-layers", with one input and one output
 * @throws {TypeError} or {RangeError} if the model is another, or the inputs do not fit it
 */
export async function calibrate(
  model: Model,
  data: CalibrationData,
  { rest = fromWeights(model), onProgress = () => {} }: CalibrateOptions = {},
): Promise<Quantize> {
  const program = await tfjsProgram(model);
  for (const output of program.outputs) output.isClassifier ||= data.logits ?? false;
  const network = tfjsNetwork(model, program, feedsOf(data, program.inputs), (layer) =>
    onProgress("calibrating", layer, program.layers.length),
  );
  onProgress("measuring sensitivities", 0, 1);
  return calibrated(network, rest);
}

function feedsOf({ inputs, shape }: CalibrationData, wanted: readonly RunInput[]): Feeds[] {
  if (!(inputs instanceof Float32Array) || !Array.isArray(shape))
    throw new TypeError(
      `inputs, shape: expected a Float32Array and an array, got ${typeof inputs} and ${typeof shape}`,
    );
  if (wanted.length !== 1)
    throw new RangeError(`model: expected one input, got ${wanted.map(({ name }) => name).join(", ")}`);
  const [{ name, shape: extents = [] }] = wanted;
  const fits =
    shape.length === extents.length &&
    extents.every((extent, i) => extent === undefined || extent === shape[i]);
  if (!fits)
    throw new RangeError(`shape: expected [${extents.map((extent) => extent ?? "any")}], got [${shape}]`);
  if (inputs.length !== elementCount(shape) || !(shape[0] >= 4))
    throw new RangeError(
      `inputs: expected at least 4 and ${elementCount(shape)} numbers of [${shape}], got ${inputs.length}`,
    );
  const bad = inputs.findIndex((value) => !(Math.abs(value) <= MAX_INPUT));
  if (bad >= 0)
    throw new RangeError(`inputs[${bad}]: expected numbers up to ${MAX_INPUT}, got ${inputs[bad]}`);
  if (inputs.every((value) => value === inputs[0]))
    throw new RangeError(`inputs: expected numbers that differ, got ${inputs[0]} everywhere`);
  return [new Map([[name, { dtype: "float32" as const, shape, data: inputs }]])];
}
