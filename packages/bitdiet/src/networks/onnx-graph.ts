/**
 * An ONNX model as a list of nodes and a table of constants, and back to the bytes of a model: what calibration cuts into pieces.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 *
 *     const graph = readGraph(bytes);
 *     graph.nodes[0];              // { op: "Conv", inputs: ["x", "w"], outputs: ["y"], attributes }
 *     graph.constants.get("w");    // { dtype: 1, shape: [16, 3, 3, 3], bytes }
 *     writeGraph(graph);           // the model again; nodes that were not touched byte for byte
 */
import { elementCount, ModelFileError } from "../model.js";
import {
  type Field,
  fieldsOf,
  fixedOf,
  floatField,
  joined,
  payloadField,
  textOf,
  textsOf,
  varintField,
  varintsOf,
} from "./onnx-protobuf.js";

/** A tensor that is known before the model runs. */
export interface Constant {
  /** TensorProto.DataType: 1 = float32, 7 = int64. */
  dtype: number;
  shape: readonly number[];
  /** Elements, little-endian. */
  bytes: Uint8Array;
}

export interface OnnxNode {
  op: string;
  /** Empty for the operators of ONNX itself. */
  domain: string;
  name: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: ReadonlyMap<string, Attribute>;
  /** Values of the graph around it that its subgraphs use. */
  captured: readonly string[];
  /** As it came; absent if it was made here. */
  bytes?: Uint8Array;
}

export type Attribute = readonly Field[];

export interface OnnxGraph {
  nodes: readonly OnnxNode[];
  constants: ReadonlyMap<string, Constant>;
  inputs: readonly GraphValue[];
  outputs: readonly GraphValue[];
  /** Version of ONNX's own operators. */
  opset: number;
  /** Fields of the model apart from the graph, and of the graph apart from the above, as they came. */
  modelFields: readonly Uint8Array[];
  graphFields: readonly Uint8Array[];
}

export interface GraphValue {
  name: string;
  /** TensorProto.DataType; 0 where it is not said. */
  dtype: number;
  /** undefined where an extent is not fixed. */
  shape: readonly (number | undefined)[];
  /** As it came; absent if it was made here. */
  bytes?: Uint8Array;
}

export const FLOAT = 1;
export const INT64 = 7;

/** Bytes an element, by TensorProto.DataType. */
const widths: Record<number, number> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  16: 2,
};

/**
 * @param bytes an ONNX model
 * @param external files beside it, by the location that its tensors name
 * @throws {ModelFileError} if it is none, or a tensor is not all there
 */
export function readGraph(
  bytes: Uint8Array,
  external: ReadonlyMap<string, Uint8Array> = new Map(),
): OnnxGraph {
  const modelFields = [...fieldsOf(bytes)];
  const graphFields = [...fieldsOf(modelFields.find(({ id }) => id === 7)?.payload ?? new Uint8Array())];
  const constants = new Map<string, Constant>();
  for (const { payload } of graphFields.filter(({ id }) => id === 5)) {
    const { name, constant } = readTensor(payload, external);
    constants.set(name, constant);
  }
  const values = (id: number) =>
    graphFields.filter((field) => field.id === id).map(({ payload }) => readValue(payload));
  const versions = modelFields
    .filter(({ id }) => id === 8)
    .map(({ payload }) => [...fieldsOf(payload)])
    .filter((fields) => textOf(fields, 1) === "" || textOf(fields, 1) === "ai.onnx");
  return {
    nodes: graphFields.filter(({ id }) => id === 1).map(({ payload }) => readNode(payload)),
    constants,
    inputs: values(11).filter(({ name }) => !constants.has(name)),
    outputs: values(12),
    opset: Number(versions[0] ? (varintsOf(versions[0], 2)[0] ?? 1n) : 1n),
    modelFields: modelFields.filter(({ id }) => id !== 7).map((field) => field.bytes),
    graphFields: graphFields.filter(({ id }) => ![1, 5, 11, 12].includes(id)).map((field) => field.bytes),
  };
}

function readNode(bytes: Uint8Array): OnnxNode {
  const fields = [...fieldsOf(bytes)];
  const attributes = new Map<string, Attribute>();
  const captured: string[] = [];
  for (const { payload } of fields.filter(({ id }) => id === 5)) {
    const attribute = [...fieldsOf(payload)];
    attributes.set(textOf(attribute, 1), attribute);
    for (const { id, payload: graph } of attribute)
      if (id === 6 || id === 11) captured.push(...namesUsedIn(graph));
  }
  return {
    op: textOf(fields, 4),
    domain: textOf(fields, 7),
    name: textOf(fields, 3),
    inputs: textsOf(fields, 1),
    outputs: textsOf(fields, 2),
    attributes,
    captured,
    bytes,
  };
}

/** Values that the nodes of a subgraph read or that it gives back, its own among them. */
function namesUsedIn(graph: Uint8Array): string[] {
  const fields = [...fieldsOf(graph)];
  const nodes = fields.filter(({ id }) => id === 1).map(({ payload }) => readNode(payload));
  const outputs = fields.filter(({ id }) => id === 12).map(({ payload }) => readValue(payload).name);
  return [...nodes.flatMap(({ inputs, captured }) => [...inputs, ...captured]), ...outputs];
}

export function readTensor(
  bytes: Uint8Array,
  external: ReadonlyMap<string, Uint8Array> = new Map(),
): { name: string; constant: Constant } {
  const fields = [...fieldsOf(bytes)];
  const name = textOf(fields, 8);
  const shape = varintsOf(fields, 1).map(Number);
  const dtype = Number(varintsOf(fields, 2)[0] ?? 0n);
  const data = dataOf(fields, dtype, external);
  const width = widths[dtype];
  if (width !== undefined && data.length !== width * elementCount(shape))
    throw new ModelFileError(
      `onnx: ${name}: expected ${width * elementCount(shape)} bytes, got ${data.length}`,
    );
  // A copy where a view of its numbers could not be had.
  const isAligned = data.byteOffset % 8 === 0;
  return { name, constant: { dtype, shape, bytes: isAligned ? data : new Uint8Array(data) } };
}

function dataOf(
  fields: readonly Field[],
  dtype: number,
  external: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const entries = fields
    .filter(({ id }) => id === 13)
    .map(({ payload }) => [...fieldsOf(payload)])
    .map((entry) => [textOf(entry, 1), textOf(entry, 2)] as const);
  if (varintsOf(fields, 14)[0] === 1n) {
    const from = new Map(entries);
    const file = external.get(from.get("location") ?? "");
    if (!file) throw new ModelFileError(`onnx: expected the file ${from.get("location")} beside the model`);
    const offset = Number(from.get("offset") ?? 0);
    return file.subarray(offset, offset + Number(from.get("length") ?? file.length - offset));
  }
  const raw = fields.filter(({ id }) => id === 9).at(-1);
  if (raw) return raw.payload;
  const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer);
  if (dtype === 1) return fixedOf(fields, 4, 4);
  if (dtype === 11) return fixedOf(fields, 10, 8);
  if (dtype === 7) return bytesOf(BigInt64Array.from(varintsOf(fields, 7)));
  if (dtype === 13) return bytesOf(BigUint64Array.from(varintsOf(fields, 11)));
  if (dtype === 12) return bytesOf(Uint32Array.from(varintsOf(fields, 11), Number));
  // Everything narrower is in int32_data, half floats as their bits.
  const narrow = varintsOf(fields, 5).map(Number);
  if (widths[dtype] === 1) return bytesOf(Uint8Array.from(narrow));
  if (widths[dtype] === 2) return bytesOf(Uint16Array.from(narrow));
  return bytesOf(Int32Array.from(narrow));
}

function readValue(bytes: Uint8Array): GraphValue {
  const fields = [...fieldsOf(bytes)];
  const within = (message: readonly Field[], id: number) => [
    ...fieldsOf(message.find((field) => field.id === id)?.payload ?? new Uint8Array()),
  ];
  const tensor = within(within(fields, 2), 1);
  const shape = within(tensor, 2).map(({ payload }) => {
    const dimension = [...fieldsOf(payload)].find(({ id }) => id === 1);
    return dimension && dimension.value > 0n ? Number(dimension.value) : undefined;
  });
  return { name: textOf(fields, 1), dtype: Number(varintsOf(tensor, 1)[0] ?? 0n), shape, bytes };
}

/** The bytes of a model with this graph. */
export function writeGraph({
  nodes,
  constants,
  inputs,
  outputs,
  modelFields,
  graphFields,
}: OnnxGraph): Uint8Array {
  const graph = [
    ...nodes.map((node) => payloadField(1, node.bytes ?? nodeBytes(node))),
    ...graphFields,
    ...[...constants].map(([name, constant]) => payloadField(5, tensorFields(name, constant))),
    ...inputs.map((value) => payloadField(11, value.bytes ?? valueBytes(value))),
    ...outputs.map((value) => payloadField(12, value.bytes ?? valueBytes(value))),
  ];
  return joined([...modelFields, payloadField(7, graph)]);
}

function nodeBytes({ op, domain, name, inputs, outputs, attributes }: OnnxNode): Uint8Array {
  return joined([
    ...inputs.map((input) => payloadField(1, input)),
    ...outputs.map((output) => payloadField(2, output)),
    ...(name ? [payloadField(3, name)] : []),
    payloadField(4, op),
    ...[...attributes.values()].map((attribute) =>
      payloadField(
        5,
        attribute.map(({ bytes }) => bytes),
      ),
    ),
    ...(domain ? [payloadField(7, domain)] : []),
  ]);
}

function valueBytes({ name, dtype }: GraphValue): Uint8Array {
  const type = dtype ? [payloadField(2, payloadField(1, varintField(1, dtype)))] : [];
  return joined([payloadField(1, name), ...type]);
}

export function tensorFields(name: string, { dtype, shape, bytes }: Constant): Uint8Array[] {
  return [
    ...shape.map((extent) => varintField(1, extent)),
    varintField(2, dtype),
    payloadField(8, name),
    payloadField(9, bytes),
  ];
}

/** What a node that is made here may be given: whole numbers, a float as an array of one, or a tensor. */
export type AttributeValue = number | readonly number[] | Float32Array | string | Constant;

/** A node of one output made here. Attributes: `{ axis: 1, pads: [0, 0], alpha: Float32Array.of(0.1) }`. */
export function makeNode(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Record<string, AttributeValue> = {},
): OnnxNode {
  const made = Object.entries(attributes).map(([name, value]) => {
    const bytes = joined([payloadField(1, name), ...attributeBytes(value)]);
    return [name, [...fieldsOf(bytes)]] as const;
  });
  return { op, domain: "", name: "", inputs, outputs, attributes: new Map(made), captured: [] };
}

function attributeBytes(value: AttributeValue): Uint8Array[] {
  if (typeof value === "number") return [varintField(3, value), varintField(20, 2)];
  if (typeof value === "string") return [payloadField(4, value), varintField(20, 3)];
  if (value instanceof Float32Array) return [floatField(2, value[0]), varintField(20, 1)];
  if ("bytes" in value) return [payloadField(5, tensorFields("", value)), varintField(20, 4)];
  return [...value.map((number) => varintField(8, number)), varintField(20, 7)];
}

export function intOf(node: OnnxNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute ? Number(varintsOf(attribute, 3)[0] ?? 0n) : otherwise;
}

export function intsOf(node: OnnxNode, name: string): number[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute && varintsOf(attribute, 8).map(Number);
}

export function floatOf(node: OnnxNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  if (!attribute) return otherwise;
  return new Float32Array(fixedOf(attribute, 2, 4).buffer)[0] ?? 0;
}

export function textAttribute(node: OnnxNode, name: string): string {
  return textOf(node.attributes.get(name) ?? [], 4);
}

export function floatsIn({ bytes }: Constant): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

export function numbersIn({ dtype, bytes }: Constant): number[] {
  if (dtype === INT64)
    return Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8), Number);
  if (dtype === FLOAT) return [...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)];
  return [...new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)];
}

export function floatConstant(values: Float32Array, shape: readonly number[]): Constant {
  return { dtype: FLOAT, shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

export function int64Constant(
  values: readonly number[],
  shape: readonly number[] = [values.length],
): Constant {
  return { dtype: INT64, shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}
