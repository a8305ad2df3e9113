// Networks as the page runs them: TF.js on its wasm backend, whatever kind of model it is, and what it makes of pictures.
// Example: `const network = await loadNetwork(handler, "tfjs-layers"); answersTo(network, pixels)`.
/// <reference types="vite/client" />
import "@tensorflow/tfjs-backend-wasm";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import wasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import * as tf from "@tensorflow/tfjs-core";
import type { Answers } from "./answers.js";
import type { FeatureMaps } from "./messages.js";

/** One input of pictures [batch, height, width, channels], one output. */
export interface Network {
  /** Height, width and channels of its pictures. */
  input: [number, number, number];
  /** Layers with an output of [batch, height, width, channels]. */
  layers: string[];
  /** What the network, or one of its layers, makes of a batch. */
  run(x: tf.Tensor4D, layer?: string): tf.Tensor;
  dispose(): void;
}

/** Where a network leaves the size of its pictures open. */
const OPEN_SIDE = 128;

let isReady = false;

export async function startBackend(): Promise<void> {
  if (isReady) return;
  // One thread needs no special headers from the server, and every browser of today has SIMD: one file serves all.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setWasmPaths({
    "tfjs-backend-wasm.wasm": wasm,
    "tfjs-backend-wasm-simd.wasm": wasm,
    "tfjs-backend-wasm-threaded-simd.wasm": wasm,
  });
  if (!(await tf.setBackend("wasm")))
    throw new Error("TensorFlow.js could not start its WebAssembly backend.");
  isReady = true;
}

/** @throws {Error} if TF.js cannot load it, or it is not fed with one batch of pictures */
export async function loadNetwork(
  source: tf.io.IOHandler,
  format: "tfjs-layers" | "tfjs-graph",
): Promise<Network> {
  await startBackend();
  return format === "tfjs-layers" ? layersNetwork(source) : graphNetwork(source);
}

async function layersNetwork(source: tf.io.IOHandler): Promise<Network> {
  const { loadLayersModel, model: modelOf } = await import("@tensorflow/tfjs-layers");
  const model = await loadLayersModel(source);
  try {
    const input = inputShape(model.inputs.map(({ shape }) => shape));
    const layers = model.layers.filter(
      (layer) =>
        !Array.isArray(layer.output) && layer.output.shape.length === 4 && layer.inboundNodes.length > 0,
    );
    return {
      input,
      layers: layers.map(({ name }) => name).filter((name) => name !== model.inputNames[0]),
      run: (x, layer) => {
        const runs =
          layer === undefined
            ? model
            : modelOf({ inputs: model.inputs, outputs: model.getLayer(layer).output });
        return firstOf(runs.predict(x, { batchSize: x.shape[0] }));
      },
      dispose: () => void model.dispose(),
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** Operations of a graph whose output one would call a feature map. */
const MAP_OPERATIONS = /^(_?Fused)?(Depthwise)?Conv2[dD]|^Relu6?$|MaxPool|AvgPool/;

async function graphNetwork(source: tf.io.IOHandler): Promise<Network> {
  const { loadGraphModel } = await import("@tensorflow/tfjs-converter");
  let nodes: { name: string; op: string }[] = [];
  const model = await loadGraphModel({
    load: async () => {
      const artifacts = await source.load!();
      nodes = (artifacts.modelTopology as { node?: typeof nodes }).node ?? [];
      return artifacts;
    },
  });
  try {
    return {
      input: inputShape(model.inputs.map(({ shape }) => shape ?? [])),
      layers: nodes.filter(({ op }) => MAP_OPERATIONS.test(op)).map(({ name }) => name),
      run: (x, layer) => firstOf(layer === undefined ? model.predict(x) : model.execute(x, layer)),
      dispose: () => model.dispose(),
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function firstOf(output: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap): tf.Tensor {
  if (output instanceof tf.Tensor) return output;
  return Object.values(output)[0];
}

function inputShape(shapes: (number | null)[][]): [number, number, number] {
  const [shape] = shapes;
  if (shapes.length !== 1 || shape.length !== 4 || !(shape[3] === 1 || shape[3] === 3))
    throw new Error(
      `It takes ${shapes.map((shape) => `[${shape.slice(1).map((n) => (n && n > 0 ? n : "any"))}]`).join(" and ")}, not pictures.`,
    );
  const [height, width] = [shape[1], shape[2]].map((n) => (n && n > 0 ? n : OPEN_SIDE));
  return [height, width, shape[3]];
}

/** Pixels that are run at once, which keeps the feature maps of a batch within some tens of megabytes. */
const BATCH_PIXELS = 300_000;

/**
 * Class probabilities, a row a picture. Outputs that are none already become some by softmax.
 *
 * @param pixels as the network wants them, one picture after another in its input shape
 * @throws {Error} if the network's output is not a row of classes a picture
 */
export async function answersTo(
  network: Network,
  pixels: Float32Array,
  onProgress: (share: number) => void = () => {},
): Promise<Answers> {
  const [height, width, channels] = network.input;
  const size = height * width * channels;
  const count = pixels.length / size;
  const batch = Math.max(1, Math.floor(BATCH_PIXELS / (height * width)));
  let answers: Answers | undefined;
  for (let from = 0; from < count; from += batch) {
    onProgress(from / count);
    const rows = Math.min(batch, count - from);
    const output = tf.tidy(() => {
      const x = tf.tensor4d(pixels.subarray(from * size, (from + rows) * size), [rows, ...network.input]);
      const y = network.run(x);
      if (y.shape[0] !== rows || y.size <= rows)
        throw new Error(`Its output is [${y.shape}], not a row of classes for each picture.`);
      return tf.reshape<tf.Rank.R2>(y, [rows, -1]);
    });
    const classes = output.shape[1];
    answers ??= { classes, probabilities: new Float32Array(count * classes) };
    const values = await output.data<"float32">();
    output.dispose();
    for (let row = 0; row < rows; row++) {
      const one = values.subarray(row * classes, (row + 1) * classes);
      answers.probabilities.set(probabilities(one), (from + row) * classes);
    }
  }
  return answers!;
}

function probabilities(outputs: Float32Array): Float32Array {
  const sum = outputs.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) < 1e-3 && outputs.every((value) => value >= 0)) return outputs;
  const largest = outputs.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = outputs.map((value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** The feature maps of one layer for one picture; other outputs are taken as channels of one pixel. */
export async function mapsOf(network: Network, layer: string, pixels: Float32Array): Promise<FeatureMaps> {
  const maps = tf.tidy(() => network.run(tf.tensor4d(pixels, [1, ...network.input]), layer));
  const values = new Float32Array(await maps.data());
  maps.dispose();
  const [, ...shape] = maps.rank === 4 ? maps.shape : [1, 1, 1, maps.size];
  return { shape: shape as [number, number, number], values };
}
