/**
 * ONNX files from nodes and constants: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 *
 *     onnxFile({ nodes: [node("Relu", ["x"], "y")], constants: new Map(), inputs: [["x", "float32", ["batch", 3]]], outputs: ["y"] });
 */
import protobuf from "protobufjs";

const schema = protobuf.parse(
  `syntax = "proto2";
  message Attribute { optional string name = 1; optional float f = 2; optional int64 i = 3; repeated int64 ints = 8; optional int32 type = 20; }
  message Node { repeated string input = 1; repeated string output = 2; optional string opType = 4; repeated Attribute attribute = 5; }
  message Tensor { repeated int64 dims = 1; optional int32 dataType = 2; optional string name = 8; optional bytes rawData = 9; }
  message Dimension { optional int64 dimValue = 1; optional string dimParam = 2; }
  message Shape { repeated Dimension dim = 1; }
  message TensorType { optional int32 elemType = 1; optional Shape shape = 2; }
  message Type { optional TensorType tensorType = 1; }
  message Value { optional string name = 1; optional Type type = 2; }
  message Graph { repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5; repeated Value input = 11; repeated Value output = 12; }
  message Operators { optional string domain = 1; optional int64 version = 2; }
  message Model { optional int64 irVersion = 1; optional Graph graph = 7; repeated Operators opsetImport = 8; }`,
).root;
const TYPES = { float32: 1, int64: 7 };

export interface OnnxConstant {
  shape: readonly number[];
  data: Float32Array | BigInt64Array;
}

/** A whole number, a list of them, or a float as an array of one. */
export type OnnxAttribute = number | readonly number[] | Float32Array;

export interface OnnxFile {
  opset: number;
  nodes: readonly object[];
  constants: ReadonlyMap<string, OnnxConstant>;
  /** Names, types and extents. */
  inputs: readonly (readonly [string, keyof typeof TYPES, readonly (string | number)[]])[];
  outputs: readonly string[];
}

export function onnxNode(
  opType: string,
  input: readonly string[],
  output: string,
  attributes: Record<string, OnnxAttribute> = {},
): object {
  const attribute = Object.entries(attributes).map(([name, value]) => {
    if (typeof value === "number") return { name, i: value, type: 2 };
    return value instanceof Float32Array ? { name, f: value[0], type: 1 } : { name, ints: value, type: 7 };
  });
  return { opType, input, output: [output], attribute };
}

export function onnxFile({ opset, nodes, constants, inputs, outputs }: OnnxFile): Uint8Array {
  const initializer = [...constants].map(([name, { shape, data }]) => ({
    name,
    dims: shape,
    dataType: data instanceof Float32Array ? TYPES.float32 : TYPES.int64,
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
  const input = inputs.map(([name, type, extents]) => {
    const dim = extents.map((extent) =>
      typeof extent === "number" ? { dimValue: extent } : { dimParam: extent },
    );
    return { name, type: { tensorType: { elemType: TYPES[type], shape: { dim } } } };
  });
  const output = outputs.map((name) => ({ name, type: { tensorType: { elemType: TYPES.float32 } } }));
  const graph = { node: nodes, name: "graph", initializer, input, output };
  const model = { irVersion: 8, graph, opsetImport: [{ domain: "", version: opset }] };
  return schema.lookupType("Model").encode(model).finish();
}
