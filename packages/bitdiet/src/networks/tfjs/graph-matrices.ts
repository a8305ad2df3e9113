/** Nodes of a graph model that are matrices: which, what their attributes mean, and what is fused into them. */
import * as tf from "@tensorflow/tfjs-core";
import { type GraphNode, numbers, text, texts } from "./graph-nodes.js";
import {
  convolution,
  dense,
  depthwise,
  type Matrix,
  type Pad,
  transposedConvolution,
  type WindowOptions,
} from "./matrix.js";

export interface MatrixNode {
  matrix: Matrix;
  /** Values: the input, the kernel, and biases fused into the node. */
  input: string;
  kernel: string;
  bias?: string;
  /** What is fused behind the biases. */
  activation?: (x: tf.Tensor) => tf.Tensor;
}

/**
 * A node as a matrix; undefined if it is none, or one that is not known here.
 *
 * @param shapeOf of a constant; undefined of other values
 * @param constant reads a constant when it is needed
 */
export function matrixNode(
  node: GraphNode,
  shapeOf: (key: string) => number[] | undefined,
  constant: (key: string) => tf.Tensor,
): MatrixNode | undefined {
  const { op, inputs } = node;
  const isTransposed = op === "Conv2DBackpropInput";
  const [input, kernel, ...more] = isTransposed ? [inputs[2], inputs[1]] : inputs;
  const shape = kernel === undefined ? undefined : shapeOf(kernel);
  if (!shape || shapeOf(input)) return undefined;
  const matrix = matrixFor(node, shape);
  if (!matrix) return undefined;
  const fused = texts(node.attributes["fused_ops"]);
  const hasBias = fused[0] === "BiasAdd";
  const [, function_] = hasBias ? fused : ["", ...fused];
  const alpha = more[hasBias ? 1 : 0];
  const activation = function_ ? activationOf(function_, node, () => constant(alpha)) : undefined;
  if (function_ && !activation) return undefined;
  return { matrix, input, kernel, bias: hasBias ? more[0] : undefined, activation };
}

function matrixFor({ op, attributes }: GraphNode, shape: number[]): Matrix | undefined {
  if (op === "MatMul" || op === "_FusedMatMul") {
    if (shape.length !== 2 || attributes["transpose_a"]?.b) return undefined;
    return dense(shape, { isTransposed: attributes["transpose_b"]?.b ?? false });
  }
  if (shape.length !== 4 || (text(attributes["data_format"]) ?? "NHWC") !== "NHWC") return undefined;
  const options = windowOf(attributes);
  if (op === "Conv2D" || op === "_FusedConv2D") return convolution(shape, options);
  const isDepthwise = op === "DepthwiseConv2dNative" || op === "FusedDepthwiseConv2dNative";
  // One kernel for each channel: with several, a step in the file would be for all of them.
  if (isDepthwise) return shape[3] === 1 ? depthwise(shape, options) : undefined;
  const isPlain = options.dilations?.every((rate) => rate === 1) && typeof options.pad === "string";
  return op === "Conv2DBackpropInput" && isPlain ? transposedConvolution(shape, options) : undefined;
}

/** Attributes have an entry for each of the axes NHWC. */
function windowOf(attributes: GraphNode["attributes"]): WindowOptions {
  const pair = (name: string): [number, number] => {
    const [, down = 1, right = 1] = numbers(attributes[name]);
    return [down, right];
  };
  const explicit = numbers(attributes["explicit_paddings"]);
  const name = (text(attributes["padding"]) ?? "VALID").toLowerCase();
  const pad: Pad =
    name === "explicit"
      ? [
          [explicit[2], explicit[3]],
          [explicit[4], explicit[5]],
        ]
      : (name as "same" | "valid");
  return { strides: pair("strides"), dilations: pair("dilations"), pad };
}

function activationOf(
  name: string,
  { attributes }: GraphNode,
  alpha: () => tf.Tensor,
): ((x: tf.Tensor) => tf.Tensor) | undefined {
  if (name === "Relu") return (x) => tf.relu(x);
  if (name === "Relu6") return (x) => tf.relu6(x);
  if (name === "Elu") return (x) => tf.elu(x);
  if (name === "Sigmoid") return (x) => tf.sigmoid(x);
  if (name === "LeakyRelu") return (x) => tf.leakyRelu(x, attributes["leakyrelu_alpha"]?.f ?? 0.2);
  if (name === "Prelu") return (x) => tf.prelu(x, alpha());
  return undefined;
}
