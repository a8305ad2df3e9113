/**
 * TF.js models, layers and graph, run by the copy of TF.js that the caller has, on its current backend.
 *
 *     import * as core from "@tensorflow/tfjs-core";
 *     import * as layers from "@tensorflow/tfjs-layers";
 *     const runner = await tfjsRunner(await readModel(files, "model.json"), { core, layers });
 */

import type { GraphModel } from "@tensorflow/tfjs-converter";
import type * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { floatValues } from "../../formats/floats.js";
import { tfjsArtifacts } from "../../formats/tfjs.js";
import { joinPieces } from "../../loaders/source.js";
import type { Dtype, Model } from "../../model.js";
import {
  checkFeeds,
  checkReplaced,
  checkWanted,
  type RunData,
  RunError,
  type RunInput,
  type Runner,
  type RunTensor,
} from "../runner.js";

/** The packages of TF.js that running takes: layers for a layers model, converter for a graph model. */
export interface TfjsPackages {
  core: typeof import("@tensorflow/tfjs-core");
  layers?: Pick<typeof import("@tensorflow/tfjs-layers"), "loadLayersModel" | "model">;
  converter?: Pick<typeof import("@tensorflow/tfjs-converter"), "loadGraphModel">;
}

/** A loaded model, layers or graph: what differs between the two. */
interface LoadedModel {
  inputs: RunInput[];
  outputs: string[];
  layers: string[];
  /** @returns a tensor for each output or layer that is wanted */
  run(feeds: Record<string, tf.Tensor>, wanted: readonly string[]): Promise<tf.Tensor[]>;
  /** Puts values in place of weights; takes the tensors over. */
  assign(weights: Record<string, tf.Tensor>): void;
  dispose(): void;
}

/**
 * @param model of the format "tfjs-layers" or "tfjs-graph"
 * @throws {RunError} if TF.js cannot load the model; {TypeError} if the package that it takes is not given
 */
export async function tfjsRunner(model: Model, packages: TfjsPackages): Promise<Runner> {
  const { core } = packages;
  const loaded = await loadModel(model, packages);
  const { inputs, outputs, layers } = loaded;
  const originals = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  /** Values that have taken the place of the model's own. */
  const current = new Map<string, Float32Array>();

  async function replace(replaced: ReadonlyMap<string, Float32Array>): Promise<void> {
    checkReplaced(model.tensors, replaced);
    const changed: Record<string, tf.Tensor> = Object.create(null);
    for (const name of [...current.keys()].filter((name) => !replaced.has(name))) {
      const { shape, bytes } = originals.get(name)!;
      changed[name] = core.tensor(floatValues("float32", await bytes()), shape);
      current.delete(name);
    }
    for (const [name, values] of replaced) {
      const { shape, dtype } = originals.get(name)!;
      if (dtype !== "float32")
        throw new RangeError(`replaced: ${name}: expected a float32 tensor, got ${dtype}`);
      if (current.get(name) === values) continue;
      changed[name] = core.tensor(values, shape);
      current.set(name, values);
    }
    if (Object.keys(changed).length > 0) loaded.assign(changed);
  }

  return {
    inputs,
    outputs,
    layers,
    async run(feeds, replaced = new Map(), wanted = outputs) {
      checkFeeds(inputs, feeds);
      checkWanted({ outputs, layers }, wanted);
      await replace(replaced);
      const given = Object.fromEntries(inputs.map(({ name }) => [name, toTensor(core, feeds.get(name)!)]));
      try {
        const found = await loaded
          .run(given, wanted)
          .catch((error) => onPlainBackend(core, error, () => loaded.run(given, wanted)))
          .catch(asRunError);
        const named = await Promise.all(
          found.map(async (tensor, i): Promise<[string, RunTensor]> => [wanted[i], await fromTensor(tensor)]),
        );
        // A model may give an input back as it is.
        core.dispose(found);
        return new Map(named);
      } finally {
        core.dispose(given);
      }
    },
    async dispose() {
      loaded.dispose();
    },
  };
}

/** Runs again on the plain JavaScript backend, from now on, what the current one has no kernel for: wasm has no FFT, for one. */
async function onPlainBackend<Result>(
  core: TfjsPackages["core"],
  error: Error,
  run: () => Promise<Result>,
): Promise<Result> {
  if (!error.message.includes("not registered for backend") || !core.findBackendFactory("cpu")) throw error;
  await core.setBackend("cpu");
  return run();
}

async function loadModel(model: Model, { core, layers, converter }: TfjsPackages): Promise<LoadedModel> {
  if (model.format !== "tfjs-layers" && model.format !== "tfjs-graph")
    throw new TypeError(`model: expected a TF.js model, got ${model.format}`);
  const isGraph = model.format === "tfjs-graph";
  if (isGraph ? !converter : !layers)
    throw new TypeError(`packages: expected ${isGraph ? "converter" : "layers"} for a ${model.format} model`);
  const { topology, weights } = tfjsArtifacts(model);
  // One buffer: what every version of TF.js takes.
  const pieces = await Promise.all(model.tensors.map(({ bytes }) => bytes()));
  const weightData = new Uint8Array(joinPieces(pieces)).buffer;
  const handler = { load: async () => ({ ...topology, weightSpecs: weights, weightData }) };
  if (isGraph) return fromGraphModel(core, await converter!.loadGraphModel(handler).catch(asRunError));
  return fromLayersModel(core, layers!, await layers!.loadLayersModel(handler).catch(asRunError));
}

function fromLayersModel(
  core: TfjsPackages["core"],
  { model: modelOf }: NonNullable<TfjsPackages["layers"]>,
  model: LayersModel,
): LoadedModel {
  // Those of the layers: the names of the tensors change with every loading.
  const [inputNames, outputNames] = [model.inputs, model.outputs].map((tensors) =>
    tensors.map(({ sourceLayer }) => sourceLayer.name),
  );
  const outputs = outputNames.map((name, i) => (outputNames.indexOf(name) < i ? `${name}:${i}` : name));
  // A layer that is used twice has two outputs.
  const inner = model.layers.filter(({ name, inboundNodes }) => {
    return inboundNodes.length === 1 && !inputNames.includes(name) && !outputNames.includes(name);
  });
  const symbolic = (name: string) =>
    outputs.includes(name) ? model.outputs[outputs.indexOf(name)] : model.getLayer(name).output;
  return {
    inputs: model.inputs.map(({ shape, dtype }, i) => inputOf(inputNames[i], dtype, shape)),
    outputs,
    layers: inner.filter(({ output }) => !Array.isArray(output)).map(({ name }) => name),
    run: async (feeds, wanted) => {
      const given = inputNames.map((name) => feeds[name]);
      // It shares its layers with the model.
      const running =
        String(wanted) === String(outputs)
          ? model
          : modelOf({ inputs: model.inputs, outputs: wanted.flatMap(symbolic) });
      return core.tidy(() => {
        const output = running.apply(given.length === 1 ? given[0] : given, { training: false });
        return [output as tf.Tensor | tf.Tensor[]].flat();
      });
    },
    assign: (weights) => {
      model.loadWeights(weights, false);
      core.dispose(weights);
    },
    dispose: () => void model.dispose(),
  };
}

/** Operations of a graph whose results one would look at. */
const LAYERS = /Conv|MatMul|^(Leaky)?Relu6?$|MaxPool|AvgPool/;

function fromGraphModel(core: TfjsPackages["core"], model: GraphModel): LoadedModel {
  const outputs = model.outputs.map(({ name }) => name);
  // Not public, but the only way to the weights of a graph model; so since TF.js 1.
  const { executor } = model as unknown as {
    executor: {
      weightMap: Record<string, tf.Tensor[]>;
      graph: { nodes: Record<string, { name: string; op: string }> };
    };
  };
  const nodes = Object.values(executor.graph.nodes);
  let isDynamic = false;
  return {
    inputs: model.inputs.map(({ name, shape, dtype }) => inputOf(name, dtype, shape)),
    outputs,
    layers: nodes
      .filter(({ name, op }) => LAYERS.test(op) && !outputs.includes(name))
      .map(({ name }) => name),
    run: async (feeds, wanted) => {
      if (!isDynamic) {
        try {
          return [model.execute(feeds, [...wanted])].flat();
        } catch (error) {
          // Control flow, or shapes that depend on values: TF.js says so, and how it can be run.
          if (!(error as Error).message.includes("executeAsync")) throw error;
          isDynamic = true;
        }
      }
      return [await model.executeAsync(feeds, [...wanted])].flat();
    },
    assign: (weights) => {
      const before = executor.weightMap;
      core.dispose(Object.keys(weights).map((name) => before[name]));
      const after = Object.entries(weights).map(([name, tensor]) => [name, [core.keep(tensor)]]);
      executor.weightMap = { ...before, ...Object.fromEntries(after) };
    },
    dispose: () => model.dispose(),
  };
}

function inputOf(
  name: string,
  dtype: string | undefined,
  shape: readonly (number | null)[] | undefined,
): RunInput {
  const extents = shape?.map((extent) => (extent === null || extent < 0 ? undefined : extent));
  return { name, dtype: (dtype ?? "float32") as Dtype, shape: extents };
}

function toTensor(core: TfjsPackages["core"], { dtype, shape, data }: RunTensor): tf.Tensor {
  return core.tensor(data as Float32Array, [...shape], dtype as tf.DataType);
}

async function fromTensor(tensor: tf.Tensor): Promise<RunTensor> {
  const data = await tensor.data();
  // The backend's own memory may be reused.
  return { dtype: tensor.dtype as Dtype, shape: tensor.shape, data: data.slice() as RunData };
}

function asRunError(error: Error): never {
  throw new RunError(error.message, { cause: error });
}
