/**
 * Gradient rule of resized pictures: along each axis an output is a weighted sum of inputs, and the gradient goes back by the transposed
 * matrix of these weights. https://onnx.ai/onnx/operators/onnx__Resize.html
 */
import { intOf, type OnnxNode, textOf } from "./graph.js";
import type { Rule } from "./tape.js";

/** Nearest neighbours and linear interpolation of the last two axes. */
export const resize: Rule = (node, [dy], tape) => {
  const [x] = node.inputs;
  const [input, output] = [tape.shapeOf(x), tape.shapeOf(node.outputs[0])];
  const mode = textOf(node, "mode") || "nearest";
  const isKnown =
    (mode === "nearest" || mode === "linear") &&
    textOf(node, "coordinate_transformation_mode") !== "tf_crop_and_resize" &&
    intOf(node, "antialias", 0) === 0 &&
    intOf(node, "exclude_outside", 0) === 0 &&
    input.every((extent, axis) => extent === output[axis] || axis >= input.length - 2);
  if (!isKnown) return false;
  const rank = input.length;
  const weights = (axis: number) => {
    const matrix = interpolation(node, tape.opset, mode, input[axis], output[axis]);
    return tape.floats(matrix, [output[axis], input[axis]]);
  };
  let gradient = dy!;
  if (input[rank - 1] !== output[rank - 1]) gradient = tape.emit("MatMul", [gradient, weights(rank - 1)]);
  if (rank > 1 && input[rank - 2] !== output[rank - 2]) {
    const turned = tape.emit("Transpose", [weights(rank - 2)], { perm: [1, 0] });
    gradient = tape.emit("MatMul", [turned, gradient]);
  }
  tape.give(x, gradient);
  return true;
};

/** Weights of the inputs in each output, outputs x inputs. */
function interpolation(
  node: OnnxNode,
  opset: number,
  mode: string,
  inputs: number,
  outputs: number,
): Float32Array {
  // Before version 11 there was one way only.
  const isOld = opset < 11;
  const place = isOld ? "asymmetric" : textOf(node, "coordinate_transformation_mode") || "half_pixel";
  const rounding = isOld ? "floor" : textOf(node, "nearest_mode") || "round_prefer_floor";
  const matrix = new Float32Array(outputs * inputs);
  const add = (o: number, i: number, weight: number) => {
    matrix[o * inputs + Math.max(0, Math.min(inputs - 1, i))] += weight;
  };
  for (let o = 0; o < outputs; o++) {
    const at = coordinate(place, o, inputs, outputs);
    if (mode === "nearest") add(o, rounded(rounding, at), 1);
    else {
      const inside = Math.max(0, Math.min(inputs - 1, at));
      const first = Math.floor(inside);
      add(o, first, 1 - (inside - first));
      add(o, first + 1, inside - first);
    }
  }
  return matrix;
}

function coordinate(place: string, output: number, inputs: number, outputs: number): number {
  const scale = inputs / outputs;
  if (place === "asymmetric") return output * scale;
  if (place === "align_corners") return outputs === 1 ? 0 : (output * (inputs - 1)) / (outputs - 1);
  if (place === "pytorch_half_pixel" && outputs === 1) return 0;
  return (output + 0.5) * scale - 0.5;
}

function rounded(rounding: string, at: number): number {
  if (rounding === "floor") return Math.floor(at);
  if (rounding === "ceil") return Math.ceil(at);
  return rounding === "round_prefer_ceil" ? Math.floor(at + 0.5) : Math.ceil(at - 0.5);
}
