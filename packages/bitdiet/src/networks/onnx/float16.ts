/**
 * Models in float16, walked in float32: CPUs compute so anyway, and sums of squares would overflow.
 *
 *     const walked = asFloat32(graph); // the same nodes, constants and inputs as float32
 */
import { floatBytes, floatValues } from "../../formats/floats.js";
import type { RunTensor } from "../runner.js";
import {
  type CalibrationGraph,
  type Constant,
  floatConstant,
  intOf,
  makeNode,
  type OnnxNode,
} from "./graph.js";

/** Numbers of types in ONNX. */
const [FLOAT32, FLOAT16] = [1, 10];

/** @returns the graph itself if nothing in it is float16 */
export function asFloat32(graph: CalibrationGraph): CalibrationGraph {
  const isHalf = [...graph.constants.values()].some(({ dtype }) => dtype === "float16");
  if (!isHalf) return graph;
  const full = <Value extends { dtype?: string }>(value: Value) =>
    value.dtype === "float16" ? { ...value, dtype: "float32" as const } : value;
  return {
    ...graph,
    nodes: graph.nodes.map(castToFull),
    constants: new Map([...graph.constants].map(([name, constant]) => [name, constantAsFloat32(constant)])),
    inputs: graph.inputs.map(full),
    outputs: graph.outputs.map(full),
  };
}

/** Tensors of a feed as they go into the graph of `asFloat32`. */
export function feedAsFloat32(feed: ReadonlyMap<string, RunTensor>): ReadonlyMap<string, RunTensor> {
  return new Map(
    [...feed].map(([name, tensor]): [string, RunTensor] => {
      if (tensor.dtype !== "float16") return [name, tensor];
      const bits = tensor.data as Uint16Array;
      const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
      return [name, { ...tensor, dtype: "float32", data: floatValues("float16", bytes) }];
    }),
  );
}

/** A constant of the type that another has, float32 or float16. */
export function floatsLike({ dtype }: Constant, values: Float32Array, shape: readonly number[]): Constant {
  return dtype === "float16"
    ? { dtype, shape, bytes: floatBytes(dtype, values) }
    : floatConstant(values, shape);
}

function constantAsFloat32(constant: Constant): Constant {
  const { dtype, shape, bytes } = constant;
  return dtype === "float16" ? floatConstant(floatValues(dtype, bytes), shape) : constant;
}

function castToFull(node: OnnxNode): OnnxNode {
  if (node.domain !== "" || node.opType !== "Cast" || intOf(node, "to", 0) !== FLOAT16) return node;
  return makeNode("Cast", node.inputs, node.outputs, { to: FLOAT32 });
}
