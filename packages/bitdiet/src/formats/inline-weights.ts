/**
 * The graph of an ONNX model in a .bitdiet file: a model whose weights are external data, and how they come back into it. Only the
 * protobuf wire format is walked here, so a loader needs no protobuf library.
 * https://protobuf.dev/programming-guides/encoding
 *
 *     joinPieces(inlineWeights(graph, new Map([["w", bytes]]))); // an .onnx file
 */
import { CorruptInputError } from "../file/errors.js";

/** Where the graph says that its weights are: one after another in the order of the file's tensors. */
export const WEIGHTS_FILE = "weights.bin";

const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_NAME = 8;
const TENSOR_RAW_DATA = 9;
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
const LENGTH_DELIMITED = 2;

/** One field as it is in the bytes, tag included, and the payload of a length-delimited one. */
interface Field {
  id: number;
  bytes: Uint8Array;
  payload?: Uint8Array;
}

/**
 * The pieces of an .onnx file with its weights inside.
 *
 * @param weights little-endian bytes by name; initialisers of other names stay as they are
 * @throws {CorruptInputError} if the graph is no protobuf
 */
export function inlineWeights(graph: Uint8Array, weights: ReadonlyMap<string, Uint8Array>): Uint8Array[] {
  return rewritten(graph, MODEL_GRAPH, (message) =>
    rewritten(message, GRAPH_INITIALIZER, (tensor) => {
      const name = fieldsOf(tensor).find(({ id }) => id === TENSOR_NAME)?.payload;
      const data = name && weights.get(new TextDecoder().decode(name));
      if (!data) return [tensor];
      const kept = fieldsOf(tensor).filter(
        ({ id }) => id !== TENSOR_EXTERNAL_DATA && id !== TENSOR_DATA_LOCATION && id !== TENSOR_RAW_DATA,
      );
      return [...kept.map(({ bytes }) => bytes), prefix(TENSOR_RAW_DATA, data.length), data];
    }),
  );
}

/** A message with the payload of every field `id` replaced by pieces. */
function rewritten(
  message: Uint8Array,
  id: number,
  replace: (payload: Uint8Array) => Uint8Array[],
): Uint8Array[] {
  return fieldsOf(message).flatMap((field) => {
    if (field.id !== id || !field.payload) return [field.bytes];
    const pieces = replace(field.payload);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return [prefix(id, length), ...pieces];
  });
}

function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length; ) {
    const start = at;
    const varint = () => {
      let value = 0;
      for (let unit = 1; unit < 2 ** 70; unit *= 128) {
        const byte = message[at++];
        value += (byte & 127) * unit;
        if (byte < 128) return value;
      }
      throw new CorruptInputError("The graph is no protobuf");
    };
    const tag = varint();
    const kind = tag & 7;
    let length = kind === 1 ? 8 : kind === 5 ? 4 : 0;
    if (kind === 0) varint();
    else if (kind === LENGTH_DELIMITED) length = varint();
    else if (length === 0) throw new CorruptInputError(`The graph is no protobuf: wire type ${kind}`);
    const end = at + length;
    if (!(end <= message.length)) throw new CorruptInputError("The graph is no protobuf: it is cut");
    fields.push({
      id: Math.floor(tag / 8),
      bytes: message.subarray(start, end),
      payload: kind === LENGTH_DELIMITED ? message.subarray(at, end) : undefined,
    });
    at = end;
  }
  return fields;
}

/** Tag and length of a length-delimited field. */
function prefix(id: number, length: number): Uint8Array {
  const bytes: number[] = [];
  for (let value of [8 * id + LENGTH_DELIMITED, length]) {
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
    bytes.push(value);
  }
  return Uint8Array.from(bytes);
}
