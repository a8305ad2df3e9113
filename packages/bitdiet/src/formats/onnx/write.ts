/**
 * An ONNX model's files from its tensors and the graph that lacks them. Nothing of a reader is needed here, so that loaders are small.
 *
 *     for await (const { file, bytes } of writeOnnx(model)) file; // "model.onnx", then files beside it
 */
import { joinPieces } from "../../loaders/source.js";
import { type Model, ModelFileError, type ModelTensor, tensorBytes } from "../../model.js";
import { asObject, asString, type FilePiece, jsonBytes, parseJson } from "../files.js";
import { asFilesBeside, type FileBeside, piecesBeside } from "./beside.js";
import { putBack, withInside } from "./skeleton.js";

/** Metadata: the .onnx file without the numbers of its tensors. */
const GRAPH_ENTRY = "graph.onnx";
const LAYOUT_ENTRY = "layout";
/** Metadata: what lies between tensors in a file beside the model. */
const gapsEntry = (file: string) => `gaps ${file}`;

export interface OnnxLayout {
  /** Name of the .onnx file. */
  name: string;
  files: FileBeside[];
}

export function onnxMetadata(
  graph: Uint8Array,
  layout: OnnxLayout,
  gaps: ReadonlyMap<string, Uint8Array>,
): Model["metadata"] {
  return {
    [GRAPH_ENTRY]: graph,
    [LAYOUT_ENTRY]: jsonBytes(layout),
    ...Object.fromEntries([...gaps].map(([file, between]) => [gapsEntry(file), between])),
  };
}

/** What is needed of a model to write it. */
export interface OnnxParts {
  metadata: Model["metadata"];
  tensors: readonly Pick<ModelTensor, "dtype" | "bytes">[];
}

/**
 * The files as they were: the model, and those beside it. Where nothing was changed they are the same, byte for byte.
 *
 * @throws {ModelFileError} if the model was not read from ONNX
 */
export async function* writeOnnx({ metadata, tensors }: OnnxParts): AsyncGenerator<FilePiece> {
  const { name, files } = layoutOf(metadata);
  const places = new Set(files.flatMap((file) => file.tensors.map(([place]) => place)));
  const inside = [];
  for (const [place, { dtype, bytes }] of tensors.entries())
    inside.push(places.has(place) ? undefined : { dtype, bytes: await bytes() });
  for (const bytes of putBack(metadata[GRAPH_ENTRY] ?? new Uint8Array(), inside)) yield { file: name, bytes };
  yield* piecesBeside(
    files,
    (file) => metadata[gapsEntry(file)],
    async (place) => {
      const tensor = tensors[place];
      if (!tensor) throw new ModelFileError(`onnx: no tensor ${place}`);
      return tensor.bytes();
    },
  );
}

/** Whole files by their names, the model first. @throws {ModelFileError} as `writeOnnx` */
export async function onnxFiles(parts: OnnxParts): Promise<Map<string, Uint8Array>> {
  const pieces = new Map<string, Uint8Array[]>();
  for await (const { file, bytes } of writeOnnx(parts)) {
    const list = pieces.get(file);
    if (list) list.push(bytes);
    else pieces.set(file, [bytes]);
  }
  return new Map([...pieces].map(([file, list]) => [file, joinPieces(list)]));
}

/** Pieces of one .onnx file that has all numbers in it, also those that were beside it. @throws {ModelFileError} as `writeOnnx` */
export async function onnxFile(parts: OnnxParts): Promise<Uint8Array[]> {
  if (layoutOf(parts.metadata).files.length === 0) {
    const pieces: Uint8Array[] = [];
    for await (const { bytes } of writeOnnx(parts)) pieces.push(bytes);
    return pieces;
  }
  const [[, model], ...beside] = await onnxFiles(parts);
  return inside(model, new Map(beside), () => true);
}

/**
 * The files as a session of ONNX Runtime takes them, the model first: in browsers it finds numbers of other files for initializers
 * of the main graph alone, so those of branches and the like are in the model here.
 *
 * @throws {ModelFileError} as `writeOnnx`
 */
export async function onnxSession(parts: OnnxParts): Promise<Map<string, Uint8Array>> {
  const files = await onnxFiles(parts);
  const [[name, model], ...beside] = files;
  if (beside.length === 0) return files;
  const pieces = inside(model, new Map(beside), (isInitializer) => !isInitializer);
  return new Map([[name, joinPieces(pieces)], ...beside]);
}

function inside(
  model: Uint8Array,
  beside: ReadonlyMap<string, Uint8Array>,
  isWanted: (isInitializer: boolean) => boolean,
): Uint8Array[] {
  return withInside(model, ({ external, dtype, shape }, isInitializer) => {
    const bytes = external && isWanted(isInitializer) ? beside.get(external.location) : undefined;
    const length = external?.length ?? (dtype && tensorBytes(dtype, shape));
    return bytes?.subarray(external!.offset, length === undefined ? undefined : external!.offset + length);
  });
}

function layoutOf(metadata: Model["metadata"]): OnnxLayout {
  const bytes = metadata[LAYOUT_ENTRY] ?? new Uint8Array();
  const { name, files } = asObject(parseJson(bytes, "onnx: layout"), "onnx: layout");
  return { name: asString(name, "onnx: file"), files: asFilesBeside(files) };
}
