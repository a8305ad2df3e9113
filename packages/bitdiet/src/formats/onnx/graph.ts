/**
 * The graph of an ONNX model: nodes, attributes, tensors, subgraphs and functions, as onnx.proto has them. Only what is asked for
 * here is read; bytes of tensors stay where they are.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 *
 *     const { graph } = onnxProto(bytes);
 *     graph.nodes[0]; // { opType: "Conv", inputs: ["x", "w"], outputs: ["y"], attributes: Map { "group" => { i: 1 } }, ... }
 */
import { joinPieces } from "../../loaders/source.js";
import { ModelFileError } from "../../model.js";
import { floats, grouped, integer, integers, text, texts } from "../protobuf.js";
import { type OnnxTensor, onnxTensor } from "./tensor.js";

export interface OnnxProto {
  /** Versions of operator sets by domain; "" is ONNX's own. */
  opsets: Map<string, number>;
  graph: OnnxGraph;
  functions: OnnxFunction[];
  /** Graphs of a model that goes on training: initialization and algorithm. */
  training: OnnxGraph[];
}

export interface OnnxGraph {
  name: string;
  nodes: OnnxNode[];
  initializers: OnnxTensor[];
  sparseInitializers: OnnxSparseTensor[];
  /** Inputs of the graph; those of a main graph may include names of initializers. */
  inputs: OnnxValue[];
  outputs: OnnxValue[];
  /** Types of values in between, as far as the file tells them. */
  values: OnnxValue[];
}

export interface OnnxNode {
  name: string;
  opType: string;
  /** "" for ONNX's own operators. */
  domain: string;
  /** Names of values; "" for an optional input or output that is absent. */
  inputs: string[];
  outputs: string[];
  attributes: Map<string, OnnxAttribute>;
}

export interface OnnxAttribute {
  name: string;
  f?: number;
  i?: number;
  /** UTF-8 as text. */
  s?: string;
  tensor?: OnnxTensor;
  graph?: OnnxGraph;
  sparse?: OnnxSparseTensor;
  floats: number[];
  ints: number[];
  strings: string[];
  tensors: OnnxTensor[];
  graphs: OnnxGraph[];
  sparses: OnnxSparseTensor[];
  /** The attribute of the enclosing function that gives the value. */
  reference?: string;
  /** The whole message; a view of the file. */
  message: Uint8Array;
}

/** A one-dimensional list of values, and the places that they have in a tensor of shape `shape`. */
export interface OnnxSparseTensor {
  values: OnnxTensor;
  indices: OnnxTensor;
  shape: number[];
}

export interface OnnxFunction {
  name: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  nodes: OnnxNode[];
  /** Attributes with a default. */
  attributes: OnnxAttribute[];
}

export interface OnnxValue {
  name: string;
  /** TensorProto.DataType; absent for sequences, maps and optionals, and where the file does not tell. */
  elementType?: number;
  /** Extents, or names of those that are dynamic, or undefined for those that are not even named; absent if the rank is not told. */
  shape?: (number | string | undefined)[];
}

/** As deep as protobuf libraries go. */
const MAX_DEPTH = 100;

/**
 * @param bytes an .onnx file, or `model.metadata["graph.onnx"]`
 * @throws {ModelFileError} if it is none
 */
export function onnxProto(bytes: Uint8Array): OnnxProto {
  const fields = grouped(bytes);
  const graph = fields(7)[0];
  if (graph === undefined) throw new ModelFileError("an ONNX model without a graph");
  return {
    opsets: new Map(
      fields(8).map(({ payload }) => {
        const opset = grouped(payload);
        return [text(opset(1)), integer(opset(2)) ?? 1];
      }),
    ),
    // Protobuf merges a message that is there twice: then its fields follow each other.
    graph: graphOf(
      fields(7).length === 1 ? graph.payload : joinPieces(fields(7).map(({ payload }) => payload)),
      0,
    ),
    functions: fields(25).map(({ payload }) => functionOf(payload)),
    training: fields(20).flatMap(({ payload }) => {
      const info = grouped(payload);
      return [...info(1), ...info(2)].map((each) => graphOf(each.payload, 0));
    }),
  };
}

function graphOf(message: Uint8Array, depth: number): OnnxGraph {
  if (depth > MAX_DEPTH) throw new ModelFileError(`graphs in graphs, more than ${MAX_DEPTH} deep`);
  const fields = grouped(message);
  return {
    name: text(fields(2)),
    nodes: fields(1).map(({ payload }) => nodeOf(payload, depth)),
    initializers: fields(5).map(({ payload }) => onnxTensor(payload)),
    sparseInitializers: fields(15).map(({ payload }) => sparseOf(payload)),
    inputs: fields(11).map(({ payload }) => valueInfo(payload)),
    outputs: fields(12).map(({ payload }) => valueInfo(payload)),
    values: fields(13).map(({ payload }) => valueInfo(payload)),
  };
}

function nodeOf(message: Uint8Array, depth: number): OnnxNode {
  const fields = grouped(message);
  const domain = text(fields(7));
  return {
    name: text(fields(3)),
    opType: text(fields(4)),
    domain: domain === "ai.onnx" ? "" : domain,
    inputs: texts(fields(1)),
    outputs: texts(fields(2)),
    attributes: new Map(
      fields(5).map(({ payload }) => {
        const attribute = attributeOf(payload, depth);
        return [attribute.name, attribute];
      }),
    ),
  };
}

function attributeOf(message: Uint8Array, depth: number): OnnxAttribute {
  const fields = grouped(message);
  const tensors = (id: number) => fields(id).map(({ payload }) => onnxTensor(payload));
  const graphs = (id: number) => fields(id).map(({ payload }) => graphOf(payload, depth + 1));
  const sparses = (id: number) => fields(id).map(({ payload }) => sparseOf(payload));
  const has = (id: number) => fields(id).length > 0;
  return {
    name: text(fields(1)),
    f: floats(fields(2))[0],
    i: integer(fields(3)),
    s: has(4) ? text(fields(4)) : undefined,
    tensor: tensors(5)[0],
    graph: graphs(6)[0],
    sparse: sparses(22)[0],
    floats: floats(fields(7)),
    ints: integers(fields(8)),
    strings: texts(fields(9)),
    tensors: tensors(10),
    graphs: graphs(11),
    sparses: sparses(23),
    reference: has(21) ? text(fields(21)) : undefined,
    message,
  };
}

function sparseOf(message: Uint8Array): OnnxSparseTensor {
  const fields = grouped(message);
  const tensor = (id: number) => onnxTensor(fields(id)[0]?.payload ?? new Uint8Array());
  return { values: tensor(1), indices: tensor(2), shape: integers(fields(3)) };
}

function functionOf(message: Uint8Array): OnnxFunction {
  const fields = grouped(message);
  return {
    name: text(fields(1)),
    domain: text(fields(10)),
    inputs: texts(fields(4)),
    outputs: texts(fields(5)),
    nodes: fields(7).map(({ payload }) => nodeOf(payload, 0)),
    attributes: fields(11).map(({ payload }) => attributeOf(payload, 0)),
  };
}

function valueInfo(message: Uint8Array): OnnxValue {
  const fields = grouped(message);
  const type = fields(2)[0] && grouped(fields(2)[0].payload)(1)[0];
  const tensor = type && grouped(type.payload);
  const shape = tensor?.(2)[0];
  return {
    name: text(fields(1)),
    elementType: tensor && integer(tensor(1)),
    shape:
      shape &&
      grouped(shape.payload)(1).map(({ payload }) => {
        const dimension = grouped(payload);
        return integer(dimension(1)) ?? (text(dimension(2)) || undefined);
      }),
  };
}
