/**
 * `bitdiet/calibrate`: integers for a model of TF.js, chosen from what the network does with inputs of the user's, or with made-up ones.
 *
 *     const quantize = await calibrate(model, { inputs, shape: [200, 224, 224, 3] });
 *     const { bytes, report } = await compressModel(model, { maxBytes: 3_000_000 }, { quantize });
 *
 * Runs on TF.js's current backend, which must have the gradients of the model's operations.
 */
import { elementCount, type Model } from "./model.js";
import { checkInputs, rangeWarning } from "./networks/inputs/check.js";
import { hintsOf } from "./networks/inputs/hints.js";
import { type Feeds, madeUpInputs } from "./networks/inputs/made-up.js";
import type { RunInput } from "./networks/runner.js";
import { tfjsNetwork, tfjsProgram } from "./networks/tfjs/network.js";
import type { Program } from "./networks/tfjs/program.js";
import { fittingRange, trainingDistance } from "./networks/tfjs/training-distance.js";
import { calibrated, type Remember } from "./quantize/calibrated.js";
import { fromWeights } from "./quantize/from-weights.js";
import { probed } from "./quantize/probed.js";
import type { Quantize } from "./quantize/quantize.js";

/** Inputs of a model with one input, or of any model by name. */
export type CalibrationData = (
  | {
      /** shape[0] inputs, one after another: a few hundred. */
      inputs: Float32Array;
      shape: number[];
    }
  | {
      /** Tensors by the names of the model's inputs, any number at once along the first axis. */
      feeds: readonly Feeds[];
    }
) & {
  /** Whether the outputs are those of a classifier before its softmax; a softmax at the model's end is found without this. */
  logits?: boolean;
};

export interface CalibrateOptions {
  /** What outputs lose by each tensor (`measureLosses`): taken instead of gradients, which not every backend has. */
  losses?: ReadonlyMap<string, number>;
  /** How the tensors are quantized that calibration does not reach. Default: by the weights alone. */
  rest?: Quantize;
  /** Gives what was measured before on the same model and inputs. */
  remember?: Remember;
  onProgress?(step: string, done: number, total: number): void;
  /** Is told what is strange about the inputs, in words with numbers. */
  onWarning?(message: string): void;
}

/** Made-up inputs, where none are given: fewer of large ones, which are all in memory at once. */
const MADE_UP = { count: 200, seed: 1 };
const MIN_MADE_UP = 32;
const MAX_NUMBERS = 2 ** 24;

/**
 * Measures once; what is returned quantizes for one lambda after another.
 *
 * @param model of the format "tfjs-layers" or "tfjs-graph"
 * @param data default: inputs made up from the model's signature
 * @throws {TypeError} or {RangeError} if the model is another, or the inputs do not fit it; {CalibrationError} if it cannot be run
 *   operation by operation
 */
export async function calibrate(
  model: Model,
  data?: CalibrationData,
  {
    losses,
    rest = fromWeights(model),
    remember,
    onProgress = () => {},
    onWarning = () => {},
  }: CalibrateOptions = {},
): Promise<Quantize> {
  const program = await tfjsProgram(model);
  for (const output of program.outputs) output.isClassifier ||= data?.logits ?? false;
  const feeds = data ? feedsOf(data, program.inputs) : await madeUpFor(model, program);
  for (const warning of checkInputs(feeds)) onWarning(warning);
  const network = tfjsNetwork(model, program, feeds, (layer) =>
    onProgress("calibrating", layer, program.layers.length),
  );
  const warning = rangeWarning(trainingDistance(program, feeds));
  if (warning) onWarning(warning);
  if (losses) return probed(network, losses, rest);
  onProgress("measuring sensitivities", 0, 1);
  return calibrated(network, rest, remember);
}

/** Made-up inputs, pictures in the range that comes nearest to what the model was trained on. */
async function madeUpFor(model: Model, program: Program): Promise<Feeds[]> {
  const hints = await hintsOf(model);
  const range = hints.range ?? fittingRange(program, MADE_UP.seed);
  const options = { ...MADE_UP, hints: { ...hints, range } };
  const [first] = madeUpInputs(program.inputs, { ...options, count: 1 });
  const size = [...first.values()].reduce((sum, { data }) => sum + data.length, 0);
  const count = Math.min(MADE_UP.count, Math.max(MIN_MADE_UP, Math.floor(MAX_NUMBERS / size)));
  return madeUpInputs(program.inputs, { ...options, count });
}

function feedsOf(data: CalibrationData, wanted: readonly RunInput[]): readonly Feeds[] {
  if ("feeds" in data) return data.feeds;
  const { inputs, shape } = data;
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
  return [new Map([[name, { dtype: "float32" as const, shape, data: inputs }]])];
}
