/**
 * An ONNX model as a network that calibration can run: with onnxruntime-node or onnxruntime-web, whichever the caller has.
 *
 *     import * as ort from "onnxruntime-node";
 *     const network = await onnxNetwork(await readModel(files, "model.onnx"), ort, inputs);
 *     network.layers[0]; // { name: "conv1.weight", rows: 16, columns: 27, kernel: [3, 3], weights, biases }
 */
import type { QuantizedTensor } from "../../file/quantized-tensor.js";
import { memoryFiles } from "../../formats/files.js";
import { writeModel } from "../../formats/list.js";
import { readOnnx } from "../../formats/onnx.js";
import { joinPieces } from "../../loaders/source.js";
import type { Model } from "../../model.js";
import type { RestorableNetwork } from "../../quantize/calibrated.js";
import type { QuantizedModel } from "../../quantize/quantize.js";
import type { QuantizedLayer } from "../../quantize/quantize-layer.js";
import { checkFeeds } from "../runner.js";
import { asFloat32, feedAsFloat32 } from "./float16.js";
import { type CalibrationGraph, readGraph, writeGraph } from "./graph.js";
import { layersOf, type OnnxLayer } from "./layers.js";
import { prepareGraph } from "./prepare.js";
import { withStates } from "./recurrent.js";
import type { OnnxRuntime } from "./run.js";
import { sensitivitiesOf } from "./sensitivities.js";
import { type Feed, walkOf, withParameters } from "./walk.js";

export interface OnnxNetwork extends RestorableNetwork {
  layers: readonly OnnxLayer[];
  /** The model whose layers these are: batch norms folded, and weights where the graph's operators have them. */
  model: Model;
}

export interface OnnxOptions {
  /** Threads of one run. Default: 1. */
  threads?: number;
  onProgress?(step: string, done: number, total: number): void;
}

/**
 * @param model of the format "onnx"
 * @param inputs a tensor for each of the model's inputs, by name, for some dozens of runs
 * @throws {TypeError} if the model is another; {RangeError} if there are no inputs or they are not its, or no layers to calibrate
 */
export async function onnxNetwork(
  model: Model,
  ort: OnnxRuntime,
  inputs: readonly Feed[],
  { threads = 1, onProgress = () => {} }: OnnxOptions = {},
): Promise<OnnxNetwork> {
  if (model.format !== "onnx") throw new TypeError(`model: expected an ONNX model, got ${model.format}`);
  if (inputs.length === 0) throw new RangeError("inputs: expected at least one, got none");
  const { name, graph: original } = await graphOf(model);
  for (const feed of inputs) checkFeed(original, feed);
  const graph = prepareGraph(original);
  const walked = withStates(asFloat32(graph));
  const layers = layersOf(walked);
  if (layers.length === 0)
    throw new RangeError(
      "model: expected convolutions or matrix products with weights of float32 or float16, got none",
    );
  const walkable = { runtime: { ort, threads }, graph: walked, layers, feeds: inputs.map(feedAsFloat32) };
  return {
    layers,
    model: await modelOf(name, graph),
    walk: walkOf(walkable, (layer) => onProgress("calibrating", layer, layers.length)),
    sensitivities: () =>
      sensitivitiesOf(walkable, (done, total) => onProgress("measuring sensitivities", done, total)),
    restore: (quantized) => restored(name, graph, layers, quantized),
  };
}

/** @throws {RangeError} unless the feed has a tensor of its type and extents for each input, and floats that are finite */
function checkFeed({ inputs }: CalibrationGraph, feed: Feed): void {
  const wanted = inputs.map(({ name, dtype, shape }) => ({
    name,
    dtype: dtype ?? feed.get(name)?.dtype ?? "float32",
    shape: shape?.map((extent) => (typeof extent === "number" && extent > 0 ? extent : undefined)),
  }));
  checkFeeds(wanted, feed);
  for (const { name } of wanted) {
    const { data } = feed.get(name)!;
    const bad = data instanceof Float32Array ? data.findIndex((value) => !Number.isFinite(value)) : -1;
    if (bad >= 0) throw new RangeError(`inputs: ${name}[${bad}]: expected a finite number, got ${data[bad]}`);
  }
}

/** The model as a graph with all its constants inside. */
export async function graphOf(model: Model): Promise<{ name: string; graph: CalibrationGraph }> {
  const files = new Map<string, Uint8Array[]>();
  for await (const { file, bytes } of writeModel(model)) files.set(file, [...(files.get(file) ?? []), bytes]);
  const [[name, main], ...others] = [...files];
  const external = new Map(others.map(([file, pieces]) => [file, joinPieces(pieces)]));
  return { name, graph: readGraph(joinPieces(main), external) };
}

export function modelOf(name: string, graph: CalibrationGraph): Promise<Model> {
  return readOnnx(memoryFiles({ [name]: writeGraph(graph) }), name);
}

async function restored(
  name: string,
  graph: CalibrationGraph,
  layers: readonly OnnxLayer[],
  quantized: readonly QuantizedLayer[],
): Promise<QuantizedModel> {
  let { constants } = graph;
  for (const [i, layer] of layers.entries()) constants = withParameters(constants, layer, quantized[i]);
  const model = await modelOf(name, { ...graph, constants });
  const tensors = new Map<string, QuantizedTensor>();
  const kept = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  for (const [i, { weight, bias, axis }] of layers.entries()) {
    const { levels, steps, biasLevels, biasStep } = quantized[i];
    const put = (tensor: string | undefined, rest: Omit<QuantizedTensor, "shape">) => {
      const found = tensor === undefined ? undefined : kept.get(tensor);
      if (found) tensors.set(found.name, { shape: found.shape, ...rest });
    };
    put(weight, { integers: levels, axis, steps });
    put(bias, { integers: biasLevels, axis: 0, steps: Float32Array.of(biasStep) });
  }
  return { tensors, model };
}
