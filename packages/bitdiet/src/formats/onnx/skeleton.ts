/**
 * An ONNX file without the numbers of its tensors, and the numbers put back. Every other byte stays where it was, whatever it means:
 * what is cut out and put back unchanged gives the file as it was.
 *
 *     const graph = cutOut(file, new Map([[tensor.message, { place: 0, data, dtype: "float32" }]]));
 *     joinPieces(putBack(graph, [{ dtype: "float32", bytes: data.bytes }])); // the file
 *
 * Where a message lost its numbers, it has a field that protobuf gives no other meaning: 4 × the tensor's place + the encoding's.
 */
import { joinPieces } from "../../loaders/source.js";
import { type Dtype, ModelFileError } from "../../model.js";
import {
  fieldsOf,
  integerOf,
  LENGTH_DELIMITED,
  rewritten,
  tagBytes,
  VARINT,
  varintBytes,
} from "../protobuf.js";
import {
  DATA_LOCATION,
  dataFields,
  EXTERNAL_DATA,
  encodings,
  HOLE,
  type InlineData,
  type OnnxTensor,
  onnxTensor,
  RAW_DATA,
  typedField,
} from "./tensor.js";

/** Kinds of messages, and which of their fields hold others that tensors may be in. */
const within: Record<string, Record<number, string>> = {
  model: { 7: "graph", 20: "training", 25: "function" },
  training: { 1: "graph", 2: "graph" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  function: { 7: "node", 11: "attribute" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  tensor: {},
};
/** Messages around one of a tensor in a graph as deep as protobuf libraries go. */
const MAX_DEPTH = 400;

/** Lists of numbers of an attribute: floats and ints. */
export const ATTRIBUTE_FLOATS = 7;
export const ATTRIBUTE_INTS = 8;

/** Numbers to cut out of a tensor's message, or of an attribute's that is a list. */
export interface Cut {
  /** Place of the tensor that the numbers become. */
  place: number;
  data: InlineData;
}

/** @param cuts by the messages that have the numbers, views of `file` */
export function cutOut(file: Uint8Array, cuts: ReadonlyMap<Uint8Array, Cut>): Uint8Array {
  const byStart = new Map([...cuts].map(([message, cut]) => [message.byteOffset, cut]));
  const pieces = changed(file, "model", (message) => {
    const cut = byStart.get(message.byteOffset);
    if (!cut) return undefined;
    const value = encodings.length * cut.place + encodings.indexOf(cut.data.encoding);
    let field = [Uint8Array.of(...tagBytes(HOLE, VARINT), ...varintBytes(value))];
    return rewritten(message, ({ id }) => {
      if (id !== cut.data.id) return undefined;
      const change = { field };
      field = [];
      return change;
    });
  });
  return pieces ? joinPieces(pieces) : file;
}

/** Whether numbers that are cut out of a message would come back in the very bytes that they had. */
export function isCuttable(message: Uint8Array, data: InlineData, dtype: Dtype): boolean {
  const fields = fieldsOf(message);
  const ids = fields.map(({ id }) => id);
  const [first, last] = [ids.indexOf(data.id), ids.lastIndexOf(data.id)];
  if (ids.some((id, i) => id === HOLE || (i > first && i < last && id !== data.id))) return false;
  const start = fields[first].bytes.byteOffset - message.byteOffset;
  const end = fields[last].bytes.byteOffset - message.byteOffset + fields[last].bytes.length;
  return isSame(dataFields(data, dtype, data.bytes), message.subarray(start, end));
}

function isSame(pieces: readonly Uint8Array[], bytes: Uint8Array): boolean {
  let at = 0;
  for (const piece of pieces) {
    if (at + piece.length > bytes.length) return false;
    // Numbers that are a view of the same bytes need no comparing.
    const isView = piece.buffer === bytes.buffer && piece.byteOffset === bytes.byteOffset + at;
    if (!isView) for (let i = 0; i < piece.length; i++) if (piece[i] !== bytes[at + i]) return false;
    at += piece.length;
  }
  return at === bytes.length;
}

/**
 * The pieces of the file.
 *
 * @param tensors the numbers by their places
 * @throws {ModelFileError} if the graph is none, or lacks other numbers than these
 */
export function putBack(
  graph: Uint8Array,
  tensors: readonly ({ dtype: Dtype; bytes: Uint8Array } | undefined)[],
): Uint8Array[] {
  const placed = new Set<number>();
  const pieces = changed(graph, "model", (message, kind) =>
    rewritten(message, ({ id, payload }) => {
      if (id !== HOLE) return undefined;
      const value = integerOf(payload);
      const place = Math.floor(value / encodings.length);
      const tensor = tensors[place];
      if (!tensor || placed.has(place)) throw new ModelFileError(`graph: expected one tensor ${place}`);
      placed.add(place);
      const { dtype, bytes } = tensor;
      const encoding = encodings[value % encodings.length];
      const list = dtype === "float32" ? ATTRIBUTE_FLOATS : ATTRIBUTE_INTS;
      const field = encoding === "raw" ? RAW_DATA : kind === "tensor" ? typedField(dtype) : list;
      return { field: dataFields({ encoding, id: field }, dtype, bytes) };
    }),
  );
  return pieces ?? [graph];
}

/**
 * The same graph with numbers in it that were in files beside it.
 *
 * @param dataOf undefined for those that stay there; `isInitializer` of a tensor that is one of the main graph
 */
export function withInside(
  graph: Uint8Array,
  dataOf: (tensor: OnnxTensor, isInitializer: boolean) => Uint8Array | undefined,
): Uint8Array[] {
  const pieces = changed(graph, "model", (message, kind, depth) => {
    if (kind !== "tensor" || !fieldsOf(message).some(({ id }) => id === DATA_LOCATION)) return undefined;
    const data = dataOf(onnxTensor(message), depth === 2);
    if (!data) return undefined;
    const kept = fieldsOf(message).filter(
      ({ id }) => id !== EXTERNAL_DATA && id !== DATA_LOCATION && id !== RAW_DATA,
    );
    return [
      ...kept.map(({ bytes }) => bytes),
      ...dataFields({ encoding: "raw", id: RAW_DATA }, "uint8", data),
    ];
  });
  return pieces ?? [graph];
}

/** A message with changed messages of tensors and attributes in it, wherever they are; undefined if there is none. */
function changed(
  message: Uint8Array,
  kind: string,
  change: (message: Uint8Array, kind: string, depth: number) => Uint8Array[] | undefined,
  depth = 0,
): Uint8Array[] | undefined {
  if (depth > MAX_DEPTH) throw new ModelFileError(`graphs in graphs, more than ${MAX_DEPTH / 4} deep`);
  const own = kind === "tensor" || kind === "attribute" ? change(message, kind, depth) : undefined;
  if (own) return own;
  return rewritten(message, ({ id, wire, payload }) => {
    const inner = wire === LENGTH_DELIMITED ? within[kind][id] : undefined;
    const pieces = inner === undefined ? undefined : changed(payload, inner, change, depth + 1);
    return pieces && { payload: pieces };
  });
}
