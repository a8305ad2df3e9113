/**
 * ONNX models quantized as onnxruntime's own quantizer does it (onnxruntime/python/tools/quantization), for files that came to us as
 * integers: static QDQ, dynamic, and blocks of 4 bits. Names, nodes and types are the quantizer's, as far as they take bytes.
 *
 *     const bytes = quantizedStatically(graph, ranges, { perChannel: true }); // int8 weights, uint8 activations, int32 biases
 */
import {
  type CalibrationGraph,
  type Constant,
  floatConstant,
  floatOf,
  floatsIn,
  int64Constant,
  intOf,
  intsOf,
  makeNode,
  modelOfVersion,
  type OnnxNode,
  payloadField,
  varintField,
  writeGraph,
} from "../src/networks/onnx/graph.js";

/** Least and largest value, by the name of an activation. */
export type Ranges = ReadonlyMap<string, readonly [number, number]>;

/** A graph that is being written. */
interface Draft {
  nodes: OnnxNode[];
  constants: Map<string, Constant>;
}

/** Axis of a weight's output channels, by the operator; undefined for those that are not quantized. */
function channelAxis(node: OnnxNode, { shape }: Constant): number | undefined {
  if (node.domain !== "") return undefined;
  if (node.opType === "Conv") return 0;
  if (node.opType === "ConvTranspose") return 1;
  if (node.opType === "MatMul" && shape.length === 2) return 1;
  return node.opType === "Gemm" ? (intOf(node, "transB", 0) ? 0 : 1) : undefined;
}

interface Quantized {
  integers: Int8Array;
  scales: Float32Array;
}

/** Symmetric, -127 to 127: a scale for each slice along the axis, or one for all. */
function symmetric({ shape, ...constant }: Constant, axis: number | undefined): Quantized {
  const values = floatsIn({ shape, ...constant });
  const inner = axis === undefined ? values.length : shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const slices = axis === undefined ? 1 : shape[axis];
  const sliceOf = (i: number) => Math.floor(i / inner) % slices;
  const scales = new Float32Array(slices);
  values.forEach((value, i) => {
    scales[sliceOf(i)] = Math.max(scales[sliceOf(i)], Math.abs(value) / 127);
  });
  for (let k = 0; k < slices; k++) scales[k] ||= 1;
  const integers = Int8Array.from(values, (value, i) =>
    Math.max(-127, Math.min(127, Math.round(value / scales[sliceOf(i)]))),
  );
  return { integers, scales };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);
const vectorShape = (values: { length: number }) => (values.length === 1 ? [] : [values.length]);

/** Static quantization in QDQ form. @param ranges of all activations that a quantized operator reads or gives */
export function quantizedStatically(
  graph: CalibrationGraph,
  ranges: Ranges,
  { perChannel }: { perChannel: boolean },
): Uint8Array {
  const draft: Draft = { nodes: [], constants: new Map(graph.constants) };
  const activations = new Map<string, { name: string; scale: number }>();
  const activation = (name: string) => {
    const known = activations.get(name) ?? quantizedActivation(name, ranges.get(name)!, draft);
    activations.set(name, known);
    return known;
  };
  for (const node of graph.nodes) {
    const weight = graph.constants.get(node.inputs[1]);
    const axis = weight?.dtype === "float32" ? channelAxis(node, weight) : undefined;
    if (!weight || axis === undefined || !ranges.has(node.inputs[0])) {
      draft.nodes.push(node);
      continue;
    }
    const input = activation(node.inputs[0]);
    const { scales, name } = putWeight(node.inputs[1], weight, perChannel ? axis : undefined, axis, draft);
    const [, , biasName] = node.inputs;
    const bias = biasName ? graph.constants.get(biasName) : undefined;
    const inputs = [input.name, name];
    if (biasName) inputs.push(bias ? putBias(biasName, bias, input.scale, scales, draft) : biasName);
    draft.nodes.push({ ...node, inputs });
  }
  return written(graph, draft);
}

/** x → QuantizeLinear → DequantizeLinear, uint8 with a zero point. */
function quantizedActivation(name: string, [least, most]: readonly [number, number], draft: Draft) {
  const [low, high] = [Math.min(0, least), Math.max(0, most)];
  const scale = Math.fround((high - low) / 255) || 1;
  const zero = Math.max(0, Math.min(255, Math.round(-low / scale)));
  draft.constants.set(`${name}_scale`, floatConstant(Float32Array.of(scale), []));
  draft.constants.set(`${name}_zero_point`, { dtype: "uint8", shape: [], bytes: Uint8Array.of(zero) });
  const with2 = (data: string) => [data, `${name}_scale`, `${name}_zero_point`];
  const [quantized, output] = [`${name}_QuantizeLinear_Output`, `${name}_DequantizeLinear_Output`];
  draft.nodes.push(
    named(makeNode("QuantizeLinear", with2(name), [quantized]), `${name}_QuantizeLinear`),
    named(makeNode("DequantizeLinear", with2(quantized), [output]), `${name}_DequantizeLinear`),
  );
  return { name: output, scale };
}

function putWeight(
  name: string,
  weight: Constant,
  axis: number | undefined,
  channels: number,
  draft: Draft,
): { name: string; scales: Float32Array } {
  const { integers, scales } = symmetric(weight, axis);
  draft.constants.set(`${name}_quantized`, { dtype: "int8", shape: weight.shape, bytes: bytesOf(integers) });
  draft.constants.set(`${name}_scale`, floatConstant(scales, vectorShape(scales)));
  draft.constants.set(`${name}_zero_point`, {
    dtype: "int8",
    shape: vectorShape(scales),
    bytes: new Uint8Array(scales.length),
  });
  const inputs = [`${name}_quantized`, `${name}_scale`, `${name}_zero_point`];
  const output = `${name}_DequantizeLinear_Output`;
  const attributes: Record<string, number> = axis === undefined ? {} : { axis: channels };
  if (!draft.nodes.some(({ outputs }) => outputs[0] === output))
    draft.nodes.push(
      named(makeNode("DequantizeLinear", inputs, [output], attributes), `${name}_DequantizeLinear`),
    );
  return { name: output, scales };
}

/** int32, in units of what the input's and the weight's steps multiply to. */
function putBias(
  name: string,
  bias: Constant,
  inputScale: number,
  weightScales: Float32Array,
  draft: Draft,
): string {
  const scales = weightScales.map((scale) => scale * inputScale);
  const integers = Int32Array.from(floatsIn(bias), (value, i) =>
    Math.round(value / (scales[i] ?? scales[0])),
  );
  draft.constants.set(`${name}_quantized`, { dtype: "int32", shape: bias.shape, bytes: bytesOf(integers) });
  draft.constants.set(`${name}_quantized_scale`, floatConstant(scales, vectorShape(scales)));
  draft.constants.set(`${name}_quantized_zero_point`, {
    dtype: "int32",
    shape: vectorShape(scales),
    bytes: new Uint8Array(4 * scales.length),
  });
  const output = `${name}_DequantizeLinear_Output`;
  const inputs = [`${name}_quantized`, `${name}_quantized_scale`, `${name}_quantized_zero_point`];
  if (!draft.nodes.some(({ outputs }) => outputs[0] === output))
    draft.nodes.push(
      named(
        makeNode("DequantizeLinear", inputs, [output], scales.length > 1 ? { axis: 0 } : {}),
        `${name}_DequantizeLinear`,
      ),
    );
  return output;
}

/** Dynamic quantization: int8 weights with one scale, products of integers (MatMulInteger), as transformers.js's `q8` files have them. */
export function quantizedDynamically(graph: CalibrationGraph): Uint8Array {
  const draft: Draft = { nodes: [], constants: new Map(graph.constants) };
  const seen = new Set<string>();
  for (const node of graph.nodes) {
    const [input, name] = node.inputs;
    const weight = graph.constants.get(name);
    if (node.opType !== "MatMul" || weight?.dtype !== "float32" || weight.shape.length !== 2) {
      draft.nodes.push(node);
      continue;
    }
    const { integers, scales } = symmetric(weight, undefined);
    draft.constants.set(`${name}_quantized`, {
      dtype: "int8",
      shape: weight.shape,
      bytes: bytesOf(integers),
    });
    draft.constants.set(`${name}_scale`, floatConstant(scales, []));
    draft.constants.set(`${name}_zero_point`, { dtype: "int8", shape: [], bytes: new Uint8Array(1) });
    const own = node.outputs[0];
    const of = (what: string) => `${input}_${what}`;
    if (!seen.has(input))
      draft.nodes.push(
        named(
          makeNode("DynamicQuantizeLinear", [input], [of("quantized"), of("scale"), of("zero_point")]),
          `${input}_QuantizeLinear`,
        ),
      );
    seen.add(input);
    draft.nodes.push(
      makeNode(
        "MatMulInteger",
        [of("quantized"), `${name}_quantized`, of("zero_point"), `${name}_zero_point`],
        [`${own}_output_quantized`],
      ),
      makeNode("Cast", [`${own}_output_quantized`], [`${own}_cast`], { to: 1 }),
      makeNode("Mul", [of("scale"), `${name}_scale`], [`${own}_scales`]),
      makeNode("Mul", [`${own}_cast`, `${own}_scales`], [own]),
    );
  }
  return written(graph, draft);
}

const BLOCK = 32;

/** Matrices as MatMulNBits: 4 bits in blocks of 32 along the inputs, a scale each, zero point 8 (MatMulNBitsQuantizer, symmetric). */
export function quantizedInBlocks(graph: CalibrationGraph): Uint8Array {
  const draft: Draft = { nodes: [], constants: new Map(graph.constants) };
  for (const node of graph.nodes) {
    const [input, name] = node.inputs;
    const weight = graph.constants.get(name);
    if (node.opType !== "MatMul" || weight?.dtype !== "float32" || weight.shape.length !== 2) {
      draft.nodes.push(node);
      continue;
    }
    const [K, N] = weight.shape;
    const blocks = Math.ceil(K / BLOCK);
    const values = floatsIn(weight);
    const packed = new Uint8Array((N * blocks * BLOCK) / 2);
    const scales = new Float32Array(N * blocks);
    for (let n = 0; n < N; n++)
      for (let b = 0; b < blocks; b++) {
        let extreme = 0;
        for (let k = b * BLOCK; k < Math.min(K, (b + 1) * BLOCK); k++)
          if (Math.abs(values[k * N + n]) > Math.abs(extreme)) extreme = values[k * N + n];
        const scale = Math.fround(extreme / -8) || 1;
        scales[n * blocks + b] = scale;
        for (let k = 0; k < BLOCK; k++) {
          const value = values[(b * BLOCK + k) * N + n] ?? 0;
          const level = Math.max(0, Math.min(15, Math.round(value / scale) + 8));
          packed[(n * blocks + b) * (BLOCK / 2) + (k >> 1)] |= level << (4 * (k & 1));
        }
      }
    draft.constants.set(`${name}_Q4`, { dtype: "uint8", shape: [N, blocks, BLOCK / 2], bytes: packed });
    draft.constants.set(`${name}_scales`, floatConstant(scales, [N * blocks]));
    const product = makeNode("MatMulNBits", [input, `${name}_Q4`, `${name}_scales`], [...node.outputs], {
      K,
      N,
      bits: 4,
      block_size: BLOCK,
    });
    draft.nodes.push({ ...product, domain: "com.microsoft", name: `${node.name}_Q4` });
  }
  return written(graph, draft);
}

const named = (node: OnnxNode, name: string): OnnxNode => ({ ...node, name });

/** Attributes that became inputs up to version 13 of ONNX's operators, in the order of these. */
const MOVED: Readonly<Record<string, readonly string[]>> = {
  Squeeze: ["axes"],
  Unsqueeze: ["axes"],
  ReduceSum: ["axes"],
  Split: ["split"],
  Slice: ["starts", "ends", "axes"],
};
/** Scales per channel came with this version. */
const OPSET = 13;

/** The model with constants that some node reads, at version 13 or later. */
function written(graph: CalibrationGraph, { nodes, constants }: Draft): Uint8Array {
  const moved = graph.opset >= OPSET ? nodes : nodes.map((node) => withInputs(node, constants));
  const used = new Set(moved.flatMap(({ inputs }) => inputs));
  for (const name of constants.keys()) if (!used.has(name)) constants.delete(name);
  const { opset, modelFields } = modelOfVersion(Math.max(OPSET, graph.opset));
  const microsoft = payloadField(8, [payloadField(1, "com.microsoft"), varintField(2, 1)]);
  return writeGraph({ ...graph, nodes: moved, constants, opset, modelFields: [...modelFields, microsoft] });
}

function withInputs(node: OnnxNode, constants: Map<string, Constant>): OnnxNode {
  if (node.domain === "" && node.opType === "Clip" && node.attributes.size > 0)
    return withBounds(node, constants);
  const names = node.domain === "" ? (MOVED[node.opType] ?? []) : [];
  const attributes = new Map(node.attributes);
  const inputs = names.flatMap((attribute) => {
    const list = intsOf(node, attribute);
    if (!list || !attributes.delete(attribute)) return [];
    const name = `${node.outputs[0]}_${attribute}`;
    constants.set(name, int64Constant(list));
    return [name];
  });
  return { ...node, inputs: [...node.inputs, ...inputs], attributes };
}

function withBounds(node: OnnxNode, constants: Map<string, Constant>): OnnxNode {
  const bounds = ["min", "max"].map((bound, i) => {
    const name = `${node.outputs[0]}_${bound}`;
    const value = floatOf(node, bound, [-3.4e38, 3.4e38][i]);
    constants.set(name, floatConstant(Float32Array.of(value), []));
    return name;
  });
  return { ...node, inputs: [node.inputs[0], ...bounds], attributes: new Map() };
}
