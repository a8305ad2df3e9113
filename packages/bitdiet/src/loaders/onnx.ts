/**
 * ONNX Runtime (onnxruntime-web, onnxruntime-node) runs a .bitdiet file: its graph and, beside it, its weights as external data;
 * or the bytes of an .onnx file. Decoded while it arrives, without a protobuf library.
 *
 *     const { model, externalData } = await onnxFromBitdiet("model.bitdiet");
 *     const session = await ort.InferenceSession.create(model, { externalData });
 */

import { type OnnxParts, onnxFile, onnxSession } from "../formats/onnx/write.js";
import { type BitdietSource, built, type FetchOptions, fetchBitdiet } from "./fetch.js";
import { onnxOf, tensorBytes } from "./open.js";

export { CorruptInputError } from "../file/errors.js";
export type { BitdietSource, DecodeWorker, FetchOptions } from "./fetch.js";
export { DownloadError } from "./source.js";

/** What `InferenceSession.create(model, { externalData })` takes. */
export interface OnnxModel {
  model: Uint8Array;
  externalData: { path: string; data: Uint8Array }[];
}

/**
 * The model as it was: its bytes, and files beside it if it had some. What branches and loops had in such files is in the model.
 *
 * @param source a URL, in Node also a path, a File or Blob, or the bytes
 * @throws {CorruptInputError} if the file is damaged or no ONNX model; {DownloadError} if it cannot be had
 */
export async function onnxFromBitdiet(source: BitdietSource, options: FetchOptions = {}): Promise<OnnxModel> {
  const [[, model], ...beside] = await rebuilt(source, options, onnxSession);
  return { model, externalData: beside.map(([path, data]) => ({ path, data })) };
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
  return rebuilt(source, options, onnxFile);
}

async function rebuilt<Result>(
  source: BitdietSource,
  options: FetchOptions,
  build: (parts: OnnxParts) => Promise<Result>,
): Promise<Result> {
  const arriving = await fetchBitdiet(source, options);
  return built(arriving, async () => {
    const { metadata } = onnxOf(arriving);
    const decoded = new Map<string, Uint8Array>();
    for await (const tensor of arriving.tensors) decoded.set(tensor.name, tensorBytes(tensor));
    const tensors = arriving.header.tensors.map(({ name, dtype }) => ({
      dtype,
      bytes: async () => decoded.get(name)!,
    }));
    return build({ metadata, tensors });
  });
}
