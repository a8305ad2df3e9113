/**
 * ONNX models: the initialisers become tensors, the rest of the protobuf rides along as a model with external data.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 *
 *     const model = await readOnnx(files, "model.onnx");
 *     model.tensors[0]; // { name: "conv1.weight", shape: [16, 3, 3, 3], dtype: "float32", channelAxis: 0, bytes }
 *     model.metadata["graph.onnx"]; // what an ONNX runtime runs, given the tensors as its external data "weights.bin"
 *
 * Only the fields below are described; every other field is kept as the bytes that it came in.
 */
import protobuf from "protobufjs/light.js";
import {
  type Dtype,
  dtypeBits,
  elementCount,
  type Model,
  ModelFileError,
  type ModelTensor,
  tensorBytes,
} from "../model.js";
import { asObject, asString, type FilePiece, jsonBytes, type ModelFiles, parseJson } from "./files.js";
import { WEIGHTS_FILE } from "./inline-weights.js";
import { useByShape } from "./use.js";

/** Smaller initialisers are often shapes or scalars that a runtime wants to see in the graph itself. */
const LEAST_ELEMENTS = 64;

const { ModelProto, GraphProto, NodeProto } = (() => {
  const root = protobuf.Root.fromJSON({
    nested: {
      ModelProto: { fields: { graph: { id: 7, type: "bytes" } } },
      GraphProto: {
        fields: {
          node: { id: 1, type: "bytes", rule: "repeated" },
          initializer: { id: 5, type: "TensorProto", rule: "repeated" },
        },
      },
      NodeProto: {
        fields: {
          input: { id: 1, type: "string", rule: "repeated" },
          opType: { id: 4, type: "string" },
          attribute: { id: 5, type: "AttributeProto", rule: "repeated" },
        },
      },
      AttributeProto: { fields: { name: { id: 1, type: "string" }, i: { id: 3, type: "int64" } } },
      TensorProto: {
        fields: {
          dims: { id: 1, type: "int64", rule: "repeated" },
          dataType: { id: 2, type: "int32" },
          segment: { id: 3, type: "bytes" },
          floatData: { id: 4, type: "float", rule: "repeated", options: { packed: true } },
          int32Data: { id: 5, type: "int32", rule: "repeated", options: { packed: true } },
          int64Data: { id: 7, type: "int64", rule: "repeated", options: { packed: true } },
          name: { id: 8, type: "string" },
          rawData: { id: 9, type: "bytes" },
          doubleData: { id: 10, type: "double", rule: "repeated", options: { packed: true } },
          uint64Data: { id: 11, type: "uint64", rule: "repeated", options: { packed: true } },
          externalData: { id: 13, type: "StringStringEntryProto", rule: "repeated" },
          dataLocation: { id: 14, type: "int32" },
        },
      },
      StringStringEntryProto: {
        fields: { key: { id: 1, type: "string" }, value: { id: 2, type: "string" } },
      },
    },
  });
  const type = (name: string) => root.lookupType(name);
  return { ModelProto: type("ModelProto"), GraphProto: type("GraphProto"), NodeProto: type("NodeProto") };
})();

type Int64 = number | { toNumber(): number };

interface TensorMessage {
  dims: Int64[];
  dataType: number;
  segment?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Int64[];
  name: string;
  rawData?: Uint8Array;
  doubleData?: number[];
  uint64Data?: Int64[];
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}

interface GraphMessage {
  node: Uint8Array[];
  initializer: TensorMessage[];
}

interface NodeMessage {
  input: string[];
  opType: string;
  attribute: { name: string; i?: Int64 }[];
}

const EXTERNAL = 1;

/** TensorProto.DataType. */
const dtypes: Record<number, Exclude<Dtype, "string">> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
  16: "bfloat16",
  17: "float8_e4m3",
  19: "float8_e5m2",
};

interface Layout {
  name: string;
  /** The file beside the model that had its tensors; undefined if they were in the model itself. */
  external?: string;
}

/**
 * @param name the .onnx file; its external data is looked for beside it
 * @throws {ModelFileError} if the files are damaged
 */
export async function readOnnx(files: ModelFiles, name: string): Promise<Model> {
  const folder = name.includes("/") ? name.slice(0, name.lastIndexOf("/") + 1) : "";
  const message = decode<{ graph: Uint8Array }>(ModelProto, await files.read(name), name);
  if (!(message.graph?.length > 0)) throw new ModelFileError(`${name}: an ONNX model without a graph`);
  const graph = decode<GraphMessage>(GraphProto, message.graph, `${name}: graph`);
  const axisOf = graphAxes(graph, name);
  const layout: Layout = { name: name.slice(folder.length) };
  const tensors: ModelTensor[] = [];
  let offset = 0;
  for (const initializer of graph.initializer) {
    const dtype = dtypes[initializer.dataType];
    const shape = initializer.dims.map(toNumber);
    const what = `${name}: ${initializer.name}`;
    if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
      throw new ModelFileError(`${what}: no shape: [${shape}]`);
    const external = initializer.dataLocation === EXTERNAL;
    const stretch = external ? await externalStretch(files, folder, initializer, what) : undefined;
    if (
      dtype === undefined ||
      Object.hasOwn(initializer, "segment") ||
      elementCount(shape) < LEAST_ELEMENTS
    ) {
      if (stretch === undefined) continue;
      clearData(initializer);
      initializer.rawData = await stretch.bytes();
      continue;
    }
    const length = tensorBytes(dtype, shape)!;
    const inline = stretch ? undefined : inlineBytes(initializer, dtype);
    const found = stretch?.length ?? inline!.length;
    if (found !== length) throw new ModelFileError(`${what}: expected ${length} bytes, got ${found}`);
    layout.external ??= stretch?.location;
    tensors.push({
      name: initializer.name,
      shape,
      dtype,
      use: useByShape(dtype, shape, axisOf(initializer.name, shape.length)),
      bytes: stretch?.bytes ?? (async () => inline!),
    });
    clearData(initializer);
    initializer.dataLocation = EXTERNAL;
    initializer.externalData = [
      { key: "location", value: WEIGHTS_FILE },
      { key: "offset", value: String(offset) },
      { key: "length", value: String(length) },
    ];
    offset += length;
  }
  if (new Set(tensors.map((tensor) => tensor.name)).size !== tensors.length)
    throw new ModelFileError(`${name}: two initialisers share a name`);
  message.graph = encode(GraphProto, graph);
  return {
    format: "onnx",
    tensors,
    metadata: { "graph.onnx": encode(ModelProto, message), layout: jsonBytes(layout) },
  };
}

/**
 * The model as it was: with its tensors inside, or beside it if that is where they were.
 *
 * @throws {ModelFileError} if the model was not read from ONNX
 */
export async function* writeOnnx(model: Model): AsyncGenerator<FilePiece> {
  const layout = asObject(
    parseJson(model.metadata["layout"] ?? new Uint8Array(), "onnx: layout"),
    "onnx: layout",
  ) as unknown as Layout;
  asString(layout.name, "onnx: file");
  if (layout.external !== undefined) asString(layout.external, "onnx: external data");
  const bytes = model.metadata["graph.onnx"] ?? new Uint8Array();
  const message = decode<{ graph: Uint8Array }>(ModelProto, bytes, "onnx: graph.onnx");
  const graph = decode<GraphMessage>(GraphProto, message.graph ?? new Uint8Array(), "onnx: graph");
  const tensors = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  for (const initializer of graph.initializer) {
    if (initializer.dataLocation !== EXTERNAL) continue;
    const tensor = tensors.get(initializer.name);
    if (!tensor) throw new ModelFileError(`onnx: no tensor ${initializer.name}`);
    if (layout.external !== undefined) {
      for (const entry of initializer.externalData ?? [])
        if (entry.key === "location") entry.value = layout.external;
      continue;
    }
    clearData(initializer);
    initializer.rawData = await tensor.bytes();
  }
  message.graph = encode(GraphProto, graph);
  yield { file: layout.name, bytes: encode(ModelProto, message) };
  if (layout.external === undefined) return;
  for (const tensor of model.tensors) yield { file: layout.external, bytes: await tensor.bytes() };
}

/** Where an initialiser's bytes lie in a file beside the model. */
async function externalStretch(files: ModelFiles, folder: string, tensor: TensorMessage, what: string) {
  const entries = new Map(tensor.externalData?.map(({ key, value }) => [key, value]));
  const location = entries.get("location");
  if (!location) throw new ModelFileError(`${what}: external data without a location`);
  const size = await files.size(folder + location);
  const start = Number(entries.get("offset") ?? 0);
  const length = Number(entries.get("length") ?? size - start);
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0))
    throw new ModelFileError(`${what}: external data at ${start}, ${length} bytes`);
  if (start + length > size)
    throw new ModelFileError(`${what}: ends at byte ${start + length} of ${location}, which has ${size}`);
  return { location, length, bytes: () => files.read(folder + location, start, start + length) };
}

function clearData(tensor: TensorMessage): void {
  delete tensor.rawData;
  delete tensor.dataLocation;
  tensor.floatData = [];
  tensor.int32Data = [];
  tensor.int64Data = [];
  tensor.doubleData = [];
  tensor.uint64Data = [];
  tensor.externalData = [];
}

/** Elements as raw little-endian bytes, from whichever field has them. */
function inlineBytes(tensor: TensorMessage, dtype: Exclude<Dtype, "string">): Uint8Array {
  const {
    rawData,
    floatData = [],
    int32Data = [],
    int64Data = [],
    doubleData = [],
    uint64Data = [],
  } = tensor;
  if (rawData && rawData.length > 0) return new Uint8Array(rawData);
  const bytesOf = (array: ArrayBufferView) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  if (dtype === "float32") return bytesOf(Float32Array.from(floatData));
  if (dtype === "float64") return bytesOf(Float64Array.from(doubleData));
  if (dtype === "int64") return bytesOf(BigInt64Array.from(int64Data, (value) => BigInt(String(value))));
  if (dtype === "uint64" || dtype === "uint32") {
    const values = uint64Data.map((value) => BigInt(String(value)));
    return bytesOf(dtype === "uint64" ? BigUint64Array.from(values) : Uint32Array.from(values, Number));
  }
  // Everything narrower is in int32_data, half floats as their bits.
  const width = dtypeBits[dtype] / 8;
  if (width === 1) return bytesOf(Uint8Array.from(int32Data));
  if (width === 2) return bytesOf(Uint16Array.from(int32Data));
  return bytesOf(Int32Array.from(int32Data));
}

/** The axis of a weight's output channels, from the operator that takes it. */
function graphAxes(graph: GraphMessage, name: string): (weight: string, rank: number) => number {
  const uses = new Map<string, (rank: number) => number>();
  for (const bytes of graph.node) {
    const { opType, input, attribute } = decode<NodeMessage>(NodeProto, bytes, `${name}: node`);
    const flag = (key: string) => toNumber(attribute.find((entry) => entry.name === key)?.i ?? 0) === 1;
    const [first, second] = input;
    if (opType === "Conv") uses.set(second, () => 0);
    else if (opType === "ConvTranspose") uses.set(second, () => 1);
    else if (opType === "Gemm") {
      uses.set(second, () => (flag("transB") ? 0 : 1));
      uses.set(first, () => (flag("transA") ? 1 : 0));
    } else if (opType === "MatMul") {
      uses.set(second, (rank) => rank - 1);
      uses.set(first, (rank) => rank - 2);
    }
  }
  return (weight, rank) => uses.get(weight)?.(rank) ?? 0;
}

function toNumber(value: Int64): number {
  return typeof value === "number" ? value : value.toNumber();
}

function decode<T>(type: protobuf.Type, bytes: Uint8Array, what: string): T {
  try {
    const reader = protobuf.Reader.create(bytes);
    reader.discardUnknown = false;
    return type.decode(reader) as unknown as T;
  } catch (error) {
    throw new ModelFileError(`${what}: not an ONNX protobuf: ${(error as Error).message}`);
  }
}

function encode(type: protobuf.Type, message: object): Uint8Array {
  // A copy: in Node the writer gives a piece of a shared pool.
  return new Uint8Array(type.encode(message as protobuf.Message).finish());
}
