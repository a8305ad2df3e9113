/**
 * ONNX Runtime (onnxruntime-web, onnxruntime-node) runs a .bitdiet file: its graph and, beside it, its weights as external data;
 * or the bytes of an .onnx file. Decoded while it arrives, without a protobuf library.
 *
 *     const { model, externalData } = await onnxFromBitdiet("model.bitdiet");
 *     const session = await ort.InferenceSession.create(model, { externalData });
 */

import { CorruptInputError } from "../file/errors.js";
import { inlineWeights, WEIGHTS_FILE } from "../formats/inline-weights.js";
import { tensorBytes as byteLength } from "../model.js";
import { type BitdietSource, type FetchOptions, fetchBitdiet } from "./fetch.js";
import { modelOf, tensorBytes } from "./open.js";

export { CorruptInputError } from "../file/errors.js";
export type { BitdietSource, DecodeWorker, FetchOptions } from "./fetch.js";
export { DownloadError } from "./source.js";

/** What `InferenceSession.create(model, { externalData })` takes. */
export interface OnnxModel {
  model: Uint8Array;
  externalData: { path: string; data: Uint8Array }[];
}

/**
 * @param source a URL, in Node also a path, a File or Blob, or the bytes
 * @throws {CorruptInputError} if the file is damaged or no ONNX model; {DownloadError} if it cannot be had
 */
export async function onnxFromBitdiet(source: BitdietSource, options: FetchOptions = {}): Promise<OnnxModel> {
  const { graph, arriving } = await arrivingGraph(source, options);
  const pieces = new Map<string, Uint8Array>();
  for await (const tensor of arriving.tensors) pieces.set(tensor.name, tensorBytes(tensor));
  const sizes = arriving.header.tensors.map(({ dtype, shape, size }) => byteLength(dtype, shape) ?? size);
  const data = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [index, { name }] of arriving.header.tensors.entries()) {
    data.set(pieces.get(name)!, at);
    pieces.delete(name);
    at += sizes[index];
  }
  return { model: graph, externalData: [{ path: WEIGHTS_FILE, data }] };
}

/**
 * The same as one .onnx file, in pieces: `new Blob(pieces)`.
 *
 * @throws as `onnxFromBitdiet`
 */
export async function onnxFileFromBitdiet(
  source: BitdietSource,
  options: FetchOptions = {},
): Promise<Uint8Array[]> {
  const { graph, arriving } = await arrivingGraph(source, options);
  const weights = new Map<string, Uint8Array>();
  for await (const tensor of arriving.tensors) weights.set(tensor.name, tensorBytes(tensor));
  return inlineWeights(graph, weights);
}

async function arrivingGraph(source: BitdietSource, options: FetchOptions) {
  const arriving = await fetchBitdiet(source, options);
  const { format, metadata } = modelOf(arriving.metadata, []);
  const graph = metadata["graph.onnx"];
  if (format !== "onnx" || graph === undefined)
    throw new CorruptInputError(`${arriving.name}: expected an ONNX model, got ${format}`);
  return { graph, arriving };
}
