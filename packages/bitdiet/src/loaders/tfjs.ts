/**
 * TF.js loads a .bitdiet file as if it were its model.json and shards, and saves one.
 *
 *     const model = await tf.loadLayersModel(fromBitdiet("https://example.com/model.bitdiet"));
 *     await model.save(toBitdiet("model.bitdiet", { bits: 4 })); // Node; elsewhere a function takes the bytes
 *
 * Only types of TF.js are imported: any copy from version 3.21 on will do.
 */
import type { io } from "@tensorflow/tfjs-core";
import { compressModel } from "../compress.js";
import { CorruptInputError } from "../file/errors.js";
import { memoryFiles } from "../formats/files.js";
import { readTfjs, tfjsArtifacts } from "../formats/tfjs.js";
import { tensorBytes as byteLength } from "../model.js";
import { BLIND_QUALITY } from "../quantize/quantize.js";
import type { CompressTarget } from "../quantize/target.js";
import { type ArrivingModel, type BitdietSource, built, type FetchOptions, fetchBitdiet } from "./fetch.js";
import { formatOf, tensorBytes } from "./open.js";
import { setInPieces } from "./pause.js";

export { CorruptInputError } from "../file/errors.js";
export type { BitdietSource, DecodeWorker } from "./fetch.js";
export { DownloadError } from "./source.js";

/** Those of TF.js's own loaders; what a file may become in memory, and where it is decoded. */
export type FromBitdietOptions = Pick<
  io.LoadOptions,
  "requestInit" | "onProgress" | "fetchFunc" | "streamWeights"
> &
  Pick<FetchOptions, "maxBytes" | "maxSeconds" | "worker" | "workers" | "integrity">;

/**
 * A handler for `tf.loadLayersModel` and `tf.loadGraphModel`. Weights are decoded while they arrive; with `streamWeights` (graph
 * models) TF.js takes each as soon as it is decoded.
 *
 * @param source a URL, in Node also a path, a File or Blob, or the bytes
 * @throws {CorruptInputError} on loading, if the file is damaged or no TF.js model; {DownloadError} if it cannot be had
 */
export function fromBitdiet(source: BitdietSource, options: FromBitdietOptions = {}): io.IOHandler {
  return {
    load: async () => {
      const arriving = await fetchBitdiet(source, options);
      return built(arriving, () => artifactsOf(arriving, options));
    },
  };
}

async function artifactsOf(
  arriving: ArrivingModel,
  { streamWeights }: FromBitdietOptions,
): Promise<io.ModelArtifacts> {
  const format = formatOf(arriving.metadata);
  if (format !== "tfjs-layers" && format !== "tfjs-graph")
    throw new CorruptInputError(`${arriving.name}: expected a TF.js model, got ${format}`);
  const { topology, weights } = tfjsArtifacts({
    metadata: Object.fromEntries(arriving.metadata),
    tensors: arriving.header.tensors,
  });
  const artifacts: io.ModelArtifacts = { ...forItsLoader(topology, format), weightSpecs: weights };
  const isInOrder = arriving.header.tensors.every(({ refinementPart }) => refinementPart === undefined);
  if (streamWeights && isInOrder) return { ...artifacts, getWeightStream: () => weightStream(arriving) };
  const weightData = await allWeights(arriving);
  if (!streamWeights) return { ...artifacts, weightData };
  return { ...artifacts, getWeightStream: () => streamOf(weightData) };
}

function streamOf(buffer: ArrayBuffer): ReadableStream<ArrayBuffer> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(buffer);
      controller.close();
    },
  });
}

/** All weights in one buffer, in the order of the file: TF.js before 4.17 takes no list of them. */
async function allWeights({ header, tensors }: ArrivingModel): Promise<ArrayBuffer> {
  const places = new Map<string, number>();
  let total = 0;
  for (const { name, dtype, shape, size } of header.tensors) {
    places.set(name, total);
    total += byteLength(dtype, shape) ?? size;
  }
  const weights = new Uint8Array(total);
  for await (const tensor of tensors)
    await setInPieces(weights, tensorBytes(tensor), places.get(tensor.name)!);
  return weights.buffer;
}

/** A topology that says what it is of to the loader for the other kind of model, which would fail without a reason. */
function forItsLoader(topology: Record<string, unknown>, format: "tfjs-layers" | "tfjs-graph") {
  const [key, kind] = format === "tfjs-layers" ? ["versions", "Layers"] : ["model_config", "Graph"];
  // What the other loader looks at first, and its own never.
  const { modelTopology } = topology;
  if (modelTopology)
    Object.defineProperty(modelTopology, key, {
      get() {
        throw new TypeError(`expected another kind of model: tf.load${kind}Model loads this one`);
      },
    });
  return topology as Pick<io.ModelArtifacts, "modelTopology">;
}

function weightStream({ tensors, close }: ArrivingModel): ReadableStream<ArrayBuffer> {
  const iterator = tensors[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(bufferOf(tensorBytes(value)));
    },
    async cancel() {
      await iterator.return?.();
      // One that nobody took a tensor from has not begun, and ends nothing.
      await close();
    },
  });
}

/** A buffer that holds these bytes and nothing else. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  if (bytes.byteLength === bytes.buffer.byteLength) return bytes.buffer as ArrayBuffer;
  return new Uint8Array(bytes).buffer;
}

/**
 * A handler for `model.save`.
 *
 * @param sink in Node the path of a file that must not be there yet, or what takes the bytes
 * @param target mean coded bits a weight, bytes of the whole file, or a quality of 0 to 100. Default: quality 85, which
 *   keeps the outputs of nearly any model; nothing is run here. The command, which runs the model, finds a smaller file
 */
export function toBitdiet(
  sink: string | ((bytes: Uint8Array) => void | Promise<void>),
  target: CompressTarget = { quality: BLIND_QUALITY },
): io.IOHandler {
  return {
    save: async ({ modelTopology, weightSpecs = [], weightData = [], ...rest }) => {
      if (modelTopology === undefined || modelTopology instanceof ArrayBuffer)
        throw new TypeError("modelTopology: expected a JSON object");
      const shards = Array.isArray(weightData) ? weightData : [weightData];
      const paths = shards.map((_, i) => `shard${i}`);
      const json = { ...rest, modelTopology, weightsManifest: [{ paths, weights: weightSpecs }] };
      const files = memoryFiles({
        "model.json": new TextEncoder().encode(JSON.stringify(json)),
        ...Object.fromEntries(shards.map((shard, i) => [paths[i], new Uint8Array(shard)])),
      });
      const { bytes } = await compressModel(await readTfjs(files, "model.json"), target);
      if (typeof sink === "string") {
        const modules = "bitdiet/node";
        const { writeWhole } = (await import(
          /* @vite-ignore */ /* webpackIgnore: true */ modules
        )) as typeof import("../node.js");
        await writeWhole([{ path: sink, bytes }]);
      } else await sink(bytes);
      return {
        modelArtifactsInfo: {
          dateSaved: new Date(),
          modelTopologyType: "JSON",
          weightDataBytes: bytes.length,
        },
      };
    },
  };
}
