/**
 * `bitdiet/calibrate`: integers for a layers model of TF.js, chosen from what the network does with inputs of the user's.
 *
 *     const quantize = await calibrate(model, { inputs, shape: [200, 224, 224, 3] });
 *     const { bytes, report } = await compressModel(model, { maxBytes: 3_000_000 }, { quantize });
 *
 * Runs on TF.js's current backend, which must have the gradients of the model's operations.
 */
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import type { QuantizedTensor } from "./file/quantized-tensor.js";
import { floatBytes } from "./formats/floats.js";
import { tfjsArtifacts } from "./formats/tfjs.js";
import { elementCount, type Model } from "./model.js";
import { fromRows, type LayersNetwork, layersNetwork } from "./networks/tfjs-layers.js";
import { calibrationNetwork } from "./networks/tfjs-run.js";
import { calibrated } from "./quantize/calibrated.js";
import { fromWeights } from "./quantize/from-weights.js";
import type { Quantize, QuantizedModel } from "./quantize/quantize.js";
import type { QuantizedLayer } from "./quantize/quantize-layer.js";

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
  const restore = (layers: readonly QuantizedLayer[]) => withLayers(model, network, layers);
  return calibrated({ ...calibration, restore }, rest);
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
  const bad = inputs.findIndex((value) => !(Math.abs(value) <= MAX_INPUT));
  if (bad >= 0)
    throw new RangeError(`inputs[${bad}]: expected numbers up to ${MAX_INPUT}, got ${inputs[bad]}`);
  if (inputs.every((value) => value === inputs[0]))
    throw new RangeError(`inputs: expected numbers that differ, got ${inputs[0]} everywhere`);
}

/** Levels in place of the layers' weights, batch norms left with nothing to do; and the model that they are levels of. */
function withLayers(model: Model, network: LayersNetwork, layers: readonly QuantizedLayer[]): QuantizedModel {
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
  return { model: { ...model, tensors }, tensors: quantized };
}
