/** Gradient rules of operators with a window: convolutions, pooling, resizing. */

import { resize } from "./gradients-resize.js";
import { intOf, intsOf, type OnnxNode, textOf } from "./graph.js";
import type { Rule, Tape } from "./tape.js";

interface WindowAttributes {
  kernel: number[];
  strides: number[];
  dilations: number[];
  /** Begins, then ends. */
  pads: number[];
}

/** With automatic padding made explicit; undefined where an output is larger than its windows reach, as with ceil_mode. */
function windowOf(
  node: OnnxNode,
  kernel: readonly number[],
  input: readonly number[],
  output: readonly number[],
): WindowAttributes {
  const strides = intsOf(node, "strides") ?? kernel.map(() => 1);
  const dilations = intsOf(node, "dilations") ?? kernel.map(() => 1);
  const automatic = textOf(node, "auto_pad") || "NOTSET";
  let pads = intsOf(node, "pads") ?? [...kernel, ...kernel].map(() => 0);
  if (automatic.startsWith("SAME")) {
    const totals = kernel.map((k, i) =>
      Math.max(0, (output[i + 2] - 1) * strides[i] + dilations[i] * (k - 1) + 1 - input[i + 2]),
    );
    const smaller = totals.map((total) => total >> 1);
    const larger = totals.map((total) => total - (total >> 1));
    pads = automatic === "SAME_UPPER" ? [...smaller, ...larger] : [...larger, ...smaller];
  }
  return { kernel: [...kernel], strides, dilations, pads };
}

/** Each gradient spread over its window by weights: a transposed convolution back to the input's extents. */
function spreadOver(
  tape: Tape,
  dy: string,
  weights: string,
  { kernel, strides, dilations, pads }: WindowAttributes,
  group: number,
  input: readonly number[],
  output: readonly number[],
): string | undefined {
  const rest = kernel.map((k, i) => {
    const reached = strides[i] * (output[i + 2] - 1) + dilations[i] * (k - 1) + 1;
    return input[i + 2] - (reached - pads[i] - pads[i + kernel.length]);
  });
  // Windows that reach over the end (ceil_mode) would need what is there cut off.
  if (rest.some((extent) => extent < 0)) return undefined;
  return tape.emit("ConvTranspose", [dy, weights], {
    kernel_shape: kernel,
    strides,
    dilations,
    pads,
    group,
    output_padding: rest,
  });
}

const conv: Rule = (node, [dy], tape) => {
  const [x, w] = node.inputs;
  const shape = tape.shapeOf(w);
  const [input, output] = [tape.shapeOf(x), tape.shapeOf(node.outputs[0])];
  if (tape.isWanted(w)) return false;
  const window = windowOf(node, shape.slice(2), input, output);
  const dx = spreadOver(tape, dy!, tape.value(w), window, intOf(node, "group", 1), input, output);
  if (dx) tape.give(x, dx);
  return dx !== undefined;
};

const convTranspose: Rule = (node, [dy], tape) => {
  const [x, w] = node.inputs;
  if (tape.isWanted(w) || textOf(node, "auto_pad").startsWith("SAME") || intsOf(node, "output_shape"))
    return false;
  const kernel = tape.shapeOf(w).slice(2);
  const { strides, dilations, pads } = windowOf(node, kernel, [], []);
  const group = intOf(node, "group", 1);
  const dx = tape.emit("Conv", [dy!, tape.value(w)], {
    kernel_shape: kernel,
    strides,
    dilations,
    pads,
    group,
  });
  // Output padding may leave room for one window more.
  const extents = tape.shapeOf(x);
  const axes = extents.map((_, axis) => axis);
  tape.give(x, tape.emit("Slice", [dx, tape.ints(axes.map(() => 0)), tape.ints(extents), tape.ints(axes)]));
  return true;
};

const averagePool: Rule = (node, [dy], tape) => {
  const [x] = node.inputs;
  const [input, output] = [tape.shapeOf(x), tape.shapeOf(node.outputs[0])];
  const window = windowOf(node, intsOf(node, "kernel_shape")!, input, output);
  const { kernel, strides, dilations, pads } = window;
  if (dilations.some((dilation) => dilation !== 1)) return false;
  const counts = kernel.map((k, i) =>
    Float32Array.from({ length: output[i + 2] }, (_, o) => {
      if (intOf(node, "count_include_pad", 0) === 1) return k;
      const from = o * strides[i] - pads[i];
      return Math.min(from + k, input[i + 2]) - Math.max(0, from);
    }),
  );
  let scaled = dy!;
  for (const [i, count] of counts.entries()) {
    const shape = output.map((_, axis) => (axis === i + 2 ? count.length : 1));
    scaled = tape.emit("Div", [scaled, tape.floats(count, shape)]);
  }
  const area = kernel.reduce((a, b) => a * b, 1);
  const ones = tape.floats(new Float32Array(input[1] * area).fill(1), [input[1], 1, ...kernel]);
  const dx = spreadOver(tape, scaled, ones, window, input[1], input, output);
  if (dx) tape.give(x, dx);
  return dx !== undefined;
};

const maxPool: Rule = (node, [dy], tape) => {
  const [x] = node.inputs;
  const shape = tape.shapeOf(x);
  const size = shape.reduce((a, b) => a * b, 1);
  // Once more, for where the largest were.
  const names = ["kernel_shape", "strides", "dilations", "pads"] as const;
  const lists = names.flatMap((name) => {
    const list = intsOf(node, name);
    return list ? [[name, list] as const] : [];
  });
  const automatic = textOf(node, "auto_pad");
  const attributes = {
    ...Object.fromEntries(lists),
    ceil_mode: intOf(node, "ceil_mode", 0),
    ...(automatic ? { auto_pad: automatic } : {}),
  };
  const places = tape.emit("MaxPool", [tape.value(x)], attributes, 1);
  const zeros = tape.emit("Expand", [tape.float(0), tape.ints([size])]);
  const flat = (value: string) => tape.emit("Reshape", [value, tape.ints([-1])]);
  const sums = tape.emit("ScatterElements", [zeros, flat(places), flat(dy!)], { axis: 0, reduction: "add" });
  tape.give(x, tape.emit("Reshape", [sums, tape.ints(shape)]));
  return true;
};

export const windowRules: Record<string, Rule> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  AveragePool: averagePool,
  MaxPool: maxPool,
  Resize: resize,
  Upsample: resize,
};
