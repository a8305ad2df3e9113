/**
 * `--calibrate data.js`: levels chosen from what the network does with inputs of the user's, run by TF.js.
 *
 *     export default async () => ({ inputs: pixels, shape: [200, 224, 224, 3] }); // data.js
 *
 * The module may choose TF.js's backend; without one the plain JavaScript backend is used, which is slow.
 */
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { BudgetError, type CompressReport, type CompressTarget, compressToPieces } from "../compress.js";
import { floatBytes } from "../floats.js";
import { elementCount, type Model } from "../model.js";
import { tfjsArtifacts } from "../models/tfjs.js";
import { measureSensitivities, type QuantizedLayer, quantizeCalibrated } from "../quantize/calibrated.js";
import type { QuantizedTensor } from "../quantized-tensor.js";
import { importDefault } from "./evaluate.js";
import { fromRows, type LayersNetwork, layersNetwork } from "./layers-network.js";
import { UsageError } from "./options.js";
import type { Progress } from "./print.js";
import { calibrationNetwork } from "./tfjs-calibration.js";

/** What the module's default export gives. */
export interface CalibrationData {
  /** shape[0] inputs, one after another. */
  inputs: Float32Array;
  shape: number[];
  /** Whether the outputs are those of a classifier before its softmax; a softmax at the model's end is found without this. */
  logits?: boolean;
}

export interface Calibrated {
  /** The model with batch norms folded. */
  model: Model;
  pieces: Uint8Array[];
  report: CompressReport;
}

/** Walks through the network that a search for the target may take. */
const MOST_WALKS = 8;
/** Of weights that are no matrix for each patch, such as depthwise kernels: about 6 bits. */
const OTHER_QUALITY = 85;
/** Nats of KL divergence a bit at quality 50; every 12.5 less or more is a quarter or four times as much, about a bit a weight. */
const LAMBDA_OF_50 = 2e-6;

/**
 * @returns a function that compresses for a target; measured once, searched for each
 * @throws {UsageError} if the module gives no inputs for this model
 */
export async function loadCalibration(
  path: string,
  model: Model,
  progress: Progress,
): Promise<(target: CompressTarget) => Promise<Calibrated>> {
  if (model.format !== "tfjs-layers")
    throw new UsageError(
      `--calibrate: expected a layers model of TF.js, which can be run; got ${model.format}`,
    );
  const data = (await ((await importDefault(path, "--calibrate")) as () => unknown)()) as CalibrationData;
  if (tf.engine().backendNames().length === 0)
    await import("@tensorflow/tfjs-backend-cpu").catch(() => {
      throw new UsageError(`--calibrate: expected ${path} to import a backend of TF.js`);
    });
  await tf.ready();
  const { topology, weights } = tfjsArtifacts(model);
  const buffers = await Promise.all(model.tensors.map(async ({ bytes }) => (await bytes()).slice().buffer));
  const layersModel = await loadLayersModel({
    load: async () => ({ ...topology, weightSpecs: weights, weightData: buffers }),
  });
  checkInputs(path, data, layersModel.inputs[0].shape as (number | null)[]);
  const network = layersNetwork(layersModel);
  const { inputs, shape, logits = false } = data;
  network.isClassifier ||= logits;
  const calibration = calibrationNetwork(network, inputs, shape, (layer) =>
    progress.step("calibrating", layer, network.layers.length),
  );
  progress.step("measuring sensitivities", 0, 1);
  const sensitivities = await measureSensitivities(calibration);
  const attempt = async (lambda: number): Promise<Calibrated> => {
    const { layers } = await quantizeCalibrated(calibration, sensitivities, lambda);
    const { model: folded, quantized } = withLayers(model, network, layers);
    // What calibration does not reach is kept finely.
    return { model: folded, ...(await compressToPieces(folded, { quality: OTHER_QUALITY }, { quantized })) };
  };
  return (target) => search(target, attempt);
}

function checkInputs(path: string, data: CalibrationData, wanted: (number | null)[]): void {
  const { inputs, shape } = data ?? {};
  if (!(inputs instanceof Float32Array) || !Array.isArray(shape))
    throw new UsageError(`--calibrate: expected ${path} to give { inputs: Float32Array, shape }`);
  const fits =
    shape.length === wanted.length &&
    wanted.every((extent, i) => i === 0 || extent === null || extent === shape[i]);
  if (!fits)
    throw new UsageError(
      `--calibrate: expected inputs of shape [${wanted.map((extent) => extent ?? "any")}], got [${shape}]`,
    );
  if (inputs.length !== elementCount(shape) || shape[0] < 4)
    throw new UsageError(
      `--calibrate: expected at least 4 inputs, and ${elementCount(shape)} numbers of [${shape}], got ${inputs.length}`,
    );
}

/** Walks until the target is met; bits fall by about one when lambda rises fourfold. */
async function search(
  target: CompressTarget,
  attempt: (lambda: number) => Promise<Calibrated>,
): Promise<Calibrated> {
  const at = (octaves: number) => attempt(LAMBDA_OF_50 * 4 ** octaves);
  if ("quality" in target) return at((50 - target.quality) / 12.5);
  const goal = "bits" in target ? target.bits : 0.996 * target.maxBytes;
  /** How far an attempt is from the goal, in bits a weight; a file may not be larger than allowed. */
  const excess = ({ report }: Calibrated) => {
    if ("bits" in target) return report.bits - goal;
    const quantized = report.tensors.filter(({ kept }) => kept === "quantized");
    const weights = quantized.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    return (8 * (report.bytes - goal)) / weights;
  };
  const fits = ({ report }: Calibrated) => !("maxBytes" in target) || report.bytes <= target.maxBytes;
  const isClose = (found: Calibrated) =>
    "bits" in target
      ? Math.abs(excess(found)) < 0.01 * goal
      : fits(found) && found.report.bytes >= 0.99 * target.maxBytes;
  let position = 0;
  let [fine, coarse] = [-12, 12];
  let best = await at(position);
  for (let walk = 1, found = best; walk < MOST_WALKS && !isClose(best); walk++) {
    if (excess(found) > 0) fine = position;
    else coarse = position;
    const next = position + excess(found);
    position = next > fine && next < coarse ? next : (fine + coarse) / 2;
    found = await at(position);
    const isBetter = Math.abs(excess(found)) < Math.abs(excess(best));
    if (fits(found) !== fits(best) ? fits(found) : isBetter) best = found;
  }
  if ("maxBytes" in target && !fits(best))
    throw new BudgetError(`expected at most ${target.maxBytes} bytes, but it takes ${best.report.bytes}`);
  return best;
}

/** Levels in place of the layers' weights, batch norms left with nothing to do; and the model that they are levels of. */
function withLayers(model: Model, network: LayersNetwork, layers: readonly QuantizedLayer[]) {
  const quantized = new Map<string, QuantizedTensor>();
  const folded = new Map<string, Float32Array>();
  const put = (name: string | undefined, values: Float32Array, tensor: Omit<QuantizedTensor, "shape">) => {
    if (name === undefined) return;
    const { shape } = model.tensors.find((candidate) => candidate.name === name)!;
    quantized.set(name, { shape, ...tensor });
    folded.set(name, values);
  };
  for (const [index, { levels, steps, biasLevels, biasStep }] of layers.entries()) {
    const { kernel, kernelShape, bias, norm } = network.names[index];
    const { rows, columns, kernel: window, weights, biases } = network.layers[index];
    const constant = (name: string | undefined, value: number) =>
      put(name, new Float32Array(rows).fill(value), {
        axis: 0,
        levels: new Int32Array(rows).fill(value === 0 ? 0 : 1),
        steps: Float32Array.of(value),
      });
    const putBiases = (name: string | undefined, sign: number) =>
      put(
        name,
        biases.map((value) => sign * value),
        { axis: 0, levels: biasLevels.map((level) => sign * level), steps: Float32Array.of(biasStep) },
      );
    put(kernel, fromRows(weights, rows, columns, window), {
      axis: kernelShape.length - 1,
      levels: fromRows(levels, rows, columns, window),
      steps,
    });
    if (!norm) {
      putBiases(bias, 1);
      continue;
    }
    constant(bias, 0);
    constant(norm.gamma, 1);
    constant(norm.variance, 1 - norm.epsilon);
    putBiases(norm.beta ?? norm.mean, norm.beta === undefined ? -1 : 1);
    if (norm.beta !== undefined) constant(norm.mean, 0);
  }
  const tensors = model.tensors.map((tensor) => {
    const values = folded.get(tensor.name);
    return values ? { ...tensor, bytes: async () => floatBytes("float32", values) } : tensor;
  });
  return { model: { ...model, tensors }, quantized };
}
