/**
 * An ONNX model whose weights were integers, with weights of float32 for the same outputs: constants that a DequantizeLinear reads are
 * multiplied out, and its node is gone. What is quantized as the model runs, stays so.
 *
 *     const model = await dequantizedModel(quantized); // now weights like any other: --bits 4, --calibrate
 */
import { integersIn } from "../../file/write-integer-tensor.js";
import { floatValues } from "../../formats/floats.js";
import { dtypeBits, elementCount, isFloat, type Model } from "../../model.js";
import {
  type CalibrationGraph,
  type Constant,
  floatConstant,
  intOf,
  type OnnxNode,
  readBy,
} from "./graph.js";
import { graphOf, modelOf } from "./network.js";

/** @returns undefined if no weight is behind a DequantizeLinear */
export async function dequantizedModel(model: Model): Promise<Model | undefined> {
  if (model.format !== "onnx") return undefined;
  const { name, graph } = await graphOf(model);
  const constants = new Map(graph.constants);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes.filter((node) => {
    const values = outputs.has(node.outputs[0]) ? undefined : dequantized(node, graph);
    if (values) constants.set(node.outputs[0], values);
    return !values;
  });
  if (nodes.length === graph.nodes.length) return undefined;
  const used = new Set([...nodes.flatMap(readBy), ...outputs]);
  for (const name of constants.keys()) if (!used.has(name)) constants.delete(name);
  return modelOf(name, { ...graph, nodes, constants });
}

/** (x - zero point) * scale of a weight, where a node is that. Biases of 32 bits stay as they are. */
function dequantized(node: OnnxNode, { constants }: CalibrationGraph): Constant | undefined {
  const [x, scale, zero] = node.inputs.map((name) => constants.get(name));
  const isWeight = x && scale && isFloat(scale.dtype) && dtypeBits[x.dtype] <= 8 && /^u?int/.test(x.dtype);
  const isKnown = node.opType === "DequantizeLinear" && (!node.inputs[2] || zero);
  if (!isWeight || !isKnown || !isFloat(scale.dtype)) return undefined;
  const scales = floatValues(scale.dtype, scale.bytes);
  const zeros = zero ? integersOf(zero) : new Int32Array(scales.length);
  const rowOf = scaleIndex(node, x.shape, scale.shape);
  const integers = integersOf(x);
  const values = Float32Array.from(integers, (integer, i) => {
    const row = rowOf(i);
    return Math.fround(integer - zeros[row]) * scales[row];
  });
  return floatConstant(values, x.shape);
}

/** Which scale an element has: the only one, that of its slice along the axis, or that of its block. */
function scaleIndex(node: OnnxNode, shape: readonly number[], scales: readonly number[]) {
  if (elementCount(scales) === 1) return () => 0;
  const given = intOf(node, "axis", 1);
  const axis = given < 0 ? given + shape.length : given;
  const inner = elementCount(shape.slice(axis + 1));
  const block = intOf(node, "block_size", 0);
  if (block === 0) return (i: number) => Math.floor(i / inner) % shape[axis];
  const blocks = scales[axis];
  return (i: number) => {
    const outer = Math.floor(i / (inner * shape[axis]));
    const place = Math.floor((Math.floor(i / inner) % shape[axis]) / block);
    return (outer * blocks + place) * inner + (i % inner);
  };
}

const integersOf = ({ dtype, shape, bytes }: Constant): Int32Array =>
  integersIn(bytes, elementCount(shape), dtypeBits[dtype], dtype.startsWith("int"));
