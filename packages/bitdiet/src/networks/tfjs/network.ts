/**
 * A model of TF.js as a network that can be calibrated: what quantization sees of it, and the way back.
 *
 *     const program = await tfjsProgram(model);
 *     const network = tfjsNetwork(model, program, feeds);
 *
 * Runs on TF.js's current backend, which must have the gradients of the model's operations.
 */
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { tfjsArtifacts } from "../../formats/tfjs.js";
import { joinPieces } from "../../loaders/source.js";
import type { Model } from "../../model.js";
import { measureSensitivities, type RestorableNetwork } from "../../quantize/calibrated.js";
import type { Feeds } from "../inputs/made-up.js";
import type { GradientNetwork } from "../network.js";
import { batchesOf } from "./batches.js";
import { gradients } from "./gradients.js";
import { graphProgram } from "./graph.js";
import { layersProgram } from "./layers.js";
import type { Program } from "./program.js";
import { restore } from "./restore.js";
import { walk } from "./walk.js";

/**
 * @param model of the format "tfjs-layers" or "tfjs-graph"
 * @throws {CalibrationError} if it cannot be run operation by operation; {Error} of TF.js if it does not know its layers
 */
export async function tfjsProgram(model: Model): Promise<Program> {
  const { format } = model;
  if (format !== "tfjs-layers" && format !== "tfjs-graph")
    throw new TypeError(`model: expected a model of TF.js, which can be run; got ${format}`);
  const { topology, weights } = tfjsArtifacts(model);
  const pieces = await Promise.all(model.tensors.map(({ bytes }) => bytes()));
  const weightData = new Uint8Array(joinPieces(pieces)).buffer;
  const handler = { load: async () => ({ ...topology, weightSpecs: weights, weightData }) };
  if (format === "tfjs-layers") return layersProgram(await loadLayersModel(handler));
  // Only where it is needed: nothing else here is.
  const { loadGraphModel } = await import("@tensorflow/tfjs-converter");
  const graph = topology["modelTopology"] as Record<string, unknown>;
  return graphProgram(await loadGraphModel(handler), graph);
}

/**
 * @param program of the model
 * @param feeds calibration inputs: a tensor for each input of the model, any number at once
 */
export function tfjsNetwork(
  model: Model,
  program: Program,
  feeds: readonly Feeds[],
  onLayer: (layer: number) => void = () => {},
): RestorableNetwork & GradientNetwork {
  const batches = batchesOf(program.inputs, feeds);
  const network: GradientNetwork = {
    layers: program.layers,
    walk: (replace) => walk(program, batches, replace, onLayer),
    gradients: (visit, parameters) => gradients(program, batches, visit, parameters),
  };
  return {
    ...network,
    sensitivities: () => measureSensitivities(network),
    restore: (layers) => restore(model, program.layers, layers),
  };
}
