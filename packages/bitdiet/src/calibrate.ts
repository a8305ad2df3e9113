/**
 * `bitdiet/calibrate`: a layers model of TF.js to a .bitdiet file, its levels chosen from what the network does with inputs of the user's.
 *
 *     const compress = await calibrate(model, { inputs, shape: [200, 224, 224, 3] });
 *     const { pieces, report } = await compress({ maxBytes: 3_000_000 });
 *
 * Runs on TF.js's current backend, which must have the gradients of the model's operations.
 */
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { BudgetError, type CompressReport, type CompressTarget, compressToPieces } from "./compress.js";
import type { QuantizedTensor } from "./file/quantized-tensor.js";
import { floatBytes } from "./formats/floats.js";
import { tfjsArtifacts } from "./formats/tfjs.js";
import { elementCount, type Model } from "./model.js";
import { fromRows, type LayersNetwork, layersNetwork } from "./networks/tfjs-layers.js";
import { calibrationNetwork } from "./networks/tfjs-run.js";
import { meetBudget } from "./quantize/budget.js";
import { measureSensitivities, quantizeCalibrated } from "./quantize/calibrated.js";
import type { QuantizedLayer } from "./quantize/quantize-layer.js";

export interface CalibrationData {
  /** shape[0] inputs, one after another: a few hundred. */
  inputs: Float32Array;
  shape: number[];
  /** Whether the outputs are those of a classifier before its softmax; a softmax at the model's end is found without this. */
  logits?: boolean;
}

export interface Calibrated {
  /** Of the file, in order: `new Blob(pieces)`. */
  pieces: Uint8Array[];
  report: CompressReport;
  /** What was written, as floats: the model with its batch norms folded. */
  model: Model;
}

/** Of weights that are no matrix for each patch, such as depthwise kernels: about 6 bits. */
const OTHER_QUALITY = 85;
/** Where a search for a size begins: about 4 bits a weight in small networks. */
const FIRST_QUALITY = 50;

/**
 * Nats that a bit is worth for a loss of 0.1 nats an input at quality 50, ten times less every 25. A weight's loss at this slope is
 * lambda / (2 ln 2), at high rate, where steps and errors are small.
 */
function lambdaOf(quality: number, weights: number): number {
  return (2 * Math.LN2 * 10 ** (1 - quality / 25)) / weights;
}

/**
 * Measures once; what is returned compresses for one target after another.
 *
 * @param model of the format "tfjs-layers", with one input and one output
 * @throws {TypeError} or {RangeError} if the model is another, or the inputs do not fit it
 */
export async function calibrate(
  model: Model,
  data: CalibrationData,
  onProgress: (step: string, done: number, total: number) => void = () => {},
): Promise<(target: CompressTarget) => Promise<Calibrated>> {
  if (model.format !== "tfjs-layers")
    throw new TypeError(`model: expected a layers model of TF.js, which can be run; got ${model.format}`);
  const { topology, weights } = tfjsArtifacts(model);
  const buffers = await Promise.all(
    model.tensors.map(async ({ bytes }) => new Uint8Array(await bytes()).buffer),
  );
  const layersModel = await loadLayersModel({
    load: async () => ({ ...topology, weightSpecs: weights, weightData: buffers }),
  });
  checkData(data, layersModel.inputs[0].shape);
  const { inputs, shape, logits = false } = data;
  const network = layersNetwork(layersModel);
  network.isClassifier ||= logits;
  const calibration = calibrationNetwork(network, inputs, shape, (layer) =>
    onProgress("calibrating", layer, network.layers.length),
  );
  onProgress("measuring sensitivities", 0, 1);
  const sensitivities = await measureSensitivities(calibration);
  const attempt = async (lambda: number): Promise<Calibrated> => {
    const { layers } = await quantizeCalibrated(calibration, sensitivities, lambda);
    const { model: folded, quantized } = withLayers(model, network, layers);
    // What calibration does not reach is kept finely.
    return { model: folded, ...(await compressToPieces(folded, { quality: OTHER_QUALITY }, { quantized })) };
  };
  const known: Known[] = [];
  const matrixWeights = network.layers.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  return (target) => meetTarget(target, attempt, known, matrixWeights);
}

/** What an earlier attempt came to: where the search for the next target begins. */
interface Known {
  lambda: number;
  /** Of the file, and of its quantized tensors. */
  bytes: number;
  quantizedBytes: number;
  /** Numbers in the quantized tensors. */
  weights: number;
}

async function meetTarget(
  target: CompressTarget,
  attempt: (lambda: number) => Promise<Calibrated>,
  known: Known[],
  matrixWeights: number,
): Promise<Calibrated> {
  const remembered = async (lambda: number): Promise<Calibrated> => {
    const made = await attempt(lambda);
    const quantized = made.report.tensors.filter(({ kept }) => kept === "quantized");
    known.push({
      lambda,
      bytes: made.report.bytes,
      quantizedBytes: quantized.reduce((sum, { byteLength }) => sum + byteLength, 0),
      weights: quantized.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    });
    return made;
  };
  if ("quality" in target) return remembered(lambdaOf(target.quality, matrixWeights));
  const firstLambda = lambdaOf(FIRST_QUALITY, matrixWeights);
  let first = known.length === 0 ? await remembered(firstLambda) : undefined;
  const { weights } = known[0];
  const maxBytes = "maxBytes" in target ? target.maxBytes : (target.bits * weights) / 8;
  const sizeOf = ({ bytes, quantizedBytes }: Known) => ("maxBytes" in target ? bytes : quantizedBytes);
  const { found, sizes } = await meetBudget({
    maxBytes,
    start: first ? firstLambda : likelyLambda(known, sizeOf, maxBytes),
    weights,
    encode: async (lambda) => {
      const made = first ?? (await remembered(lambda));
      first = undefined;
      return { bytes: sizeOf(known.at(-1)!), made };
    },
  });
  if (found) return found.made;
  const least = Math.min(...sizes.map(({ bytes }) => bytes));
  throw new BudgetError(`expected at most ${maxBytes} bytes, but it takes ${least}`);
}

/** By a line, bytes over log lambda, between the nearest larger and smaller attempts; the nearest where there are not both. */
function likelyLambda(known: readonly Known[], sizeOf: (attempt: Known) => number, wanted: number): number {
  const byDistance = [...known].sort((a, b) => Math.abs(sizeOf(a) - wanted) - Math.abs(sizeOf(b) - wanted));
  const larger = byDistance.find((attempt) => sizeOf(attempt) > wanted);
  const smaller = byDistance.find((attempt) => sizeOf(attempt) <= wanted);
  if (!larger || !smaller) return byDistance[0].lambda;
  // Half a percent below: what meetBudget aims at.
  const share = Math.min(1, (sizeOf(larger) - 0.995 * wanted) / (sizeOf(larger) - sizeOf(smaller)));
  return larger.lambda * (smaller.lambda / larger.lambda) ** share;
}

function checkData({ inputs, shape }: CalibrationData, wanted: readonly (number | null)[]): void {
  if (!(inputs instanceof Float32Array) || !Array.isArray(shape))
    throw new TypeError(
      `inputs, shape: expected a Float32Array and an array, got ${typeof inputs} and ${typeof shape}`,
    );
  const fits =
    shape.length === wanted.length &&
    wanted.every((extent, i) => i === 0 || extent === null || extent === shape[i]);
  if (!fits)
    throw new RangeError(`shape: expected [${wanted.map((extent) => extent ?? "any")}], got [${shape}]`);
  if (inputs.length !== elementCount(shape) || !(shape[0] >= 4))
    throw new RangeError(
      `inputs: expected at least 4 and ${elementCount(shape)} numbers of [${shape}], got ${inputs.length}`,
    );
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
        integers: new Int32Array(rows).fill(value === 0 ? 0 : 1),
        steps: Float32Array.of(value),
      });
    const putBiases = (name: string | undefined, sign: number) =>
      put(
        name,
        biases.map((value) => sign * value),
        { axis: 0, integers: biasLevels.map((level) => sign * level), steps: Float32Array.of(biasStep) },
      );
    put(kernel, fromRows(weights, rows, columns, window), {
      axis: kernelShape.length - 1,
      integers: levels,
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
