/**
 * An ONNX model as a list of nodes and a table of constants, and back to the bytes of a model: what calibration cuts into pieces.
 *
 *     const graph = readGraph(bytes);
 *     graph.nodes[0];              // { opType: "Conv", inputs: ["x", "w"], outputs: ["y"], attributes, ... }
 *     graph.constants.get("w");    // { dtype: "float32", shape: [16, 3, 3, 3], bytes }
 *     writeGraph(graph);           // the model again
 */
import { type OnnxNode, type OnnxProto, onnxProto } from "../../formats/onnx/graph.js";
import { dtypes, inlineData, type OnnxTensor } from "../../formats/onnx/tensor.js";
import { fieldsOf, LENGTH_DELIMITED, tagBytes, varintBytes } from "../../formats/protobuf.js";
import { joinPieces } from "../../loaders/source.js";
import { type Dtype, ModelFileError, tensorBytes } from "../../model.js";

export type { OnnxNode };

/** A tensor that is known before the model runs. */
export interface Constant {
  dtype: Dtype;
  shape: readonly number[];
  /** Elements, little-endian. */
  bytes: Uint8Array;
}

export interface CalibrationGraph {
  nodes: readonly OnnxNode[];
  constants: ReadonlyMap<string, Constant>;
  inputs: readonly GraphValue[];
  outputs: readonly GraphValue[];
  /** Version of ONNX's own operators. */
  opset: number;
  /** Fields of the model apart from the graph, as they came. */
  modelFields: readonly Uint8Array[];
}

export interface GraphValue {
  name: string;
  /** Absent where it is not said. */
  dtype?: Dtype;
  /** A number, a name or undefined for each axis; absent where the rank is not said. */
  shape?: readonly (number | string | undefined)[];
}

/** Numbers of types in a file, by their names. */
const dtypeNumbers = new Map(Object.entries(dtypes).map(([number, dtype]) => [dtype, Number(number)]));

/**
 * @param bytes an ONNX model
 * @param external files beside it, by the location that its tensors name
 * @throws {ModelFileError} if it is none, or a tensor is not all there
 */
export function readGraph(
  bytes: Uint8Array,
  external: ReadonlyMap<string, Uint8Array> = new Map(),
): CalibrationGraph {
  const { graph, opsets } = onnxProto(bytes);
  const constants = new Map(graph.initializers.map((tensor) => [tensor.name, constantOf(tensor, external)]));
  return {
    nodes: graph.nodes,
    constants,
    inputs: valuesOf(graph.inputs).filter(({ name }) => !constants.has(name)),
    outputs: valuesOf(graph.outputs),
    opset: opsets.get("") ?? 1,
    modelFields: fieldsOf(bytes).flatMap((field) => (field.id === GRAPH ? [] : [field.bytes])),
  };
}

/** Fields of a model, and of its graph. */
export const GRAPH = 7;
export const GRAPH_OUTPUT = 12;

function valuesOf(values: OnnxProto["graph"]["inputs"]): GraphValue[] {
  return values.map(({ name, elementType = 0, shape }) => ({ name, dtype: dtypes[elementType], shape }));
}

/** @throws {ModelFileError} if its numbers are not there, or are none */
export function constantOf(
  tensor: OnnxTensor,
  external: ReadonlyMap<string, Uint8Array> = new Map(),
): Constant {
  const { name, dtype, shape } = tensor;
  if (dtype === undefined || dtype === "string")
    throw new ModelFileError(
      `${name}: expected a tensor of numbers to calibrate with, got ${dtype ?? "another"}`,
    );
  const size = tensorBytes(dtype, shape);
  let bytes = size === 0 ? new Uint8Array() : inlineData(tensor)?.bytes;
  if (size !== 0 && tensor.external) {
    const { location, offset, length = Infinity } = tensor.external;
    const file = external.get(location);
    if (!file) throw new ModelFileError(`${name}: expected the file ${location} beside the model`);
    bytes = file.subarray(offset, Math.min(file.length, offset + length));
  }
  if (bytes === undefined || bytes.length !== size)
    throw new ModelFileError(`${name}: expected ${size} bytes, got ${bytes?.length ?? 0}`);
  // A copy where a view of its numbers could not be had.
  return { dtype, shape, bytes: bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes) };
}

/** Values of the graph around a node that its subgraphs use; some of their own among them. */
export function capturedBy({ attributes }: OnnxNode): string[] {
  const within = [...attributes.values()].flatMap(({ graph, graphs }) =>
    graph ? [graph, ...graphs] : graphs,
  );
  return within.flatMap(({ nodes, outputs }) => [
    ...nodes.flatMap((node) => [...node.inputs, ...capturedBy(node)]),
    ...outputs.map(({ name }) => name),
  ]);
}

/** All values that a node reads. */
export function readBy(node: OnnxNode): string[] {
  return [...node.inputs, ...capturedBy(node)].filter((name) => name !== "");
}

/** The bytes of a model with this graph. */
export function writeGraph({ nodes, constants, inputs, outputs, modelFields }: CalibrationGraph): Uint8Array {
  const graph = [
    ...nodes.map((node) => payloadField(1, nodeBytes(node))),
    payloadField(2, "graph"),
    ...[...constants].map(([name, constant]) => payloadField(5, tensorFields(name, constant))),
    ...inputs.map((value) => payloadField(11, valueFields(value))),
    ...outputs.map((value) => payloadField(GRAPH_OUTPUT, valueFields(value))),
  ];
  return joinPieces([...modelFields, payloadField(GRAPH, graph)]);
}

function nodeBytes({ opType, domain, name, inputs, outputs, attributes }: OnnxNode): Uint8Array[] {
  return [
    ...inputs.map((input) => payloadField(1, input)),
    ...outputs.map((output) => payloadField(2, output)),
    ...(name ? [payloadField(3, name)] : []),
    payloadField(4, opType),
    ...[...attributes.values()].map(({ message }) => payloadField(5, message)),
    ...(domain ? [payloadField(7, domain)] : []),
  ];
}

function valueFields({ name, dtype, shape }: GraphValue): Uint8Array[] {
  if (dtype === undefined) return [payloadField(1, name)];
  const extents = shape?.map((extent) => {
    if (extent === undefined) return payloadField(1, []);
    return payloadField(1, [typeof extent === "number" ? varintField(1, extent) : payloadField(2, extent)]);
  });
  const tensor = [varintField(1, dtypeNumbers.get(dtype)!), ...(extents ? [payloadField(2, extents)] : [])];
  return [payloadField(1, name), payloadField(2, [payloadField(1, tensor)])];
}

function tensorFields(name: string, { dtype, shape, bytes }: Constant): Uint8Array[] {
  return [
    ...shape.map((extent) => varintField(1, extent)),
    varintField(2, dtypeNumbers.get(dtype)!),
    payloadField(8, name),
    payloadField(9, bytes),
  ];
}

export function varintField(id: number, value: number): Uint8Array {
  return Uint8Array.of(...tagBytes(id, 0), ...varintBytes(value));
}

/** A length-delimited field: text, bytes or a message given as its pieces. */
export function payloadField(id: number, payload: string | Uint8Array | readonly Uint8Array[]): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const pieces = bytes instanceof Uint8Array ? [bytes] : bytes;
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return joinPieces([Uint8Array.of(...tagBytes(id, LENGTH_DELIMITED), ...varintBytes(length)), ...pieces]);
}

/** A model without a graph, of one version of ONNX's own operators. */
export function modelOfVersion(opset: number): Pick<CalibrationGraph, "opset" | "modelFields"> {
  return {
    opset,
    modelFields: [varintField(1, 8), payloadField(8, [payloadField(1, ""), varintField(2, opset)])],
  };
}

/** What a node that is made here may be given: whole numbers, a float as an array of one, text, or a tensor. */
export type AttributeValue = number | readonly number[] | Float32Array | string | Constant;

/** A node made here. Attributes: `{ axis: 1, pads: [0, 0], alpha: Float32Array.of(0.1) }`. */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Record<string, AttributeValue> = {},
): OnnxNode {
  // Through the reader, so that a node is the same wherever it comes from.
  const pieces = Object.entries(attributes).map(([name, value]) =>
    payloadField(5, [payloadField(1, name), ...attributeFields(value)]),
  );
  const node = nodeBytes({
    opType,
    domain: "",
    name: "",
    inputs: [...inputs],
    outputs: [...outputs],
    attributes: new Map(),
  });
  return onnxProto(payloadField(GRAPH, [payloadField(1, [...node, ...pieces])])).graph.nodes[0];
}

function attributeFields(value: AttributeValue): Uint8Array[] {
  if (typeof value === "number") return [varintField(3, value), varintField(20, 2)];
  if (typeof value === "string") return [payloadField(4, value), varintField(20, 3)];
  if (value instanceof Float32Array) {
    const bits = new Uint8Array(value.slice(0, 1).buffer);
    return [Uint8Array.of(...tagBytes(2, 5), ...bits), varintField(20, 1)];
  }
  if ("bytes" in value) return [payloadField(5, tensorFields("", value)), varintField(20, 4)];
  return [...value.map((number) => varintField(8, number)), varintField(20, 7)];
}

export function intOf({ attributes }: OnnxNode, name: string, otherwise: number): number {
  const attribute = attributes.get(name);
  return attribute ? (attribute.i ?? 0) : otherwise;
}

export function intsOf({ attributes }: OnnxNode, name: string): number[] | undefined {
  return attributes.get(name)?.ints;
}

export function floatOf({ attributes }: OnnxNode, name: string, otherwise: number): number {
  const attribute = attributes.get(name);
  return attribute ? (attribute.f ?? 0) : otherwise;
}

export function textOf({ attributes }: OnnxNode, name: string): string {
  return attributes.get(name)?.s ?? "";
}

export function floatsIn({ bytes }: Constant): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** Numbers of a constant of float32, int32 or int64. */
export function numbersIn({ dtype, bytes }: Constant): number[] {
  const { buffer, byteOffset, length } = bytes;
  if (dtype === "int64") return Array.from(new BigInt64Array(buffer, byteOffset, length / 8), Number);
  if (dtype === "int32") return [...new Int32Array(buffer, byteOffset, length / 4)];
  return dtype === "float32" ? [...new Float32Array(buffer, byteOffset, length / 4)] : [];
}

export function floatConstant(values: Float32Array, shape: readonly number[]): Constant {
  return {
    dtype: "float32",
    shape,
    bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  };
}

export function int64Constant(
  values: readonly number[],
  shape: readonly number[] = [values.length],
): Constant {
  return { dtype: "int64", shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}
