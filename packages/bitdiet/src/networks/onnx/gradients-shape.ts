/** Gradient rules of operators that move numbers about, or add them up. */

import { intOf, intsOf, type OnnxNode } from "./graph.js";
import type { Rule, Tape } from "./tape.js";

const reshaped: Rule = (node, [dy], tape) => {
  tape.give(node.inputs[0], tape.emit("Reshape", [dy!, tape.ints(tape.shapeOf(node.inputs[0]))]));
  return true;
};

/** Whole numbers that are an attribute in old versions of an operator, and an input in newer ones. */
function listOf(node: OnnxNode, name: string, input: number, tape: Tape): number[] | undefined {
  return intsOf(node, name) ?? (node.inputs[input] ? tape.numbersOf(node.inputs[input]) : undefined);
}

/** Gradient of a sum or mean over axes: spread over all that was added, times a factor. */
function spread(node: OnnxNode, dy: string, tape: Tape, factor: (count: number) => number): boolean {
  const shape = tape.shapeOf(node.inputs[0]);
  const given = listOf(node, "axes", 1, tape);
  if (!given && node.inputs[1]) return false;
  const axes = (given ?? [...shape.keys()]).map((axis) => (axis + shape.length) % shape.length);
  const count = axes.reduce((product, axis) => product * shape[axis], 1);
  const kept = shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const scaled = tape.emit("Mul", [tape.emit("Reshape", [dy, tape.ints(kept)]), tape.float(factor(count))]);
  tape.give(node.inputs[0], tape.emit("Expand", [scaled, tape.ints(shape)]));
  return true;
}

/** Part of a tensor along one axis. */
function part(tape: Tape, value: string, axis: number, from: number, to: number): string {
  return tape.emit("Slice", [value, tape.ints([from]), tape.ints([to]), tape.ints([axis])]);
}

export const shapeRules: Record<string, Rule> = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: (node, [dy], tape) => {
    const rank = tape.shapeOf(node.inputs[0]).length;
    const forward = intsOf(node, "perm") ?? [...Array(rank).keys()].reverse();
    const perm = forward.map((_, axis) => forward.indexOf(axis));
    tape.give(node.inputs[0], tape.emit("Transpose", [dy!], { perm }));
    return true;
  },
  Expand: (node, [dy], tape) => {
    tape.give(node.inputs[0], dy!, tape.shapeOf(node.outputs[0]));
    return true;
  },
  Concat: (node, [dy], tape) => {
    const rank = tape.shapeOf(node.outputs[0]).length;
    const axis = (intOf(node, "axis", 1) + rank) % rank;
    let from = 0;
    for (const input of node.inputs) {
      const to = from + tape.shapeOf(input)[axis];
      if (tape.isWanted(input)) tape.give(input, part(tape, dy!, axis, from, to));
      from = to;
    }
    return true;
  },
  Split: (node, dys, tape) => {
    const rank = tape.shapeOf(node.inputs[0]).length;
    const axis = (intOf(node, "axis", 0) + rank) % rank;
    const parts = node.outputs.map((output, i) => {
      const shape = tape.shapeOf(output);
      return dys[i] ?? tape.emit("Expand", [tape.float(0), tape.ints(shape)]);
    });
    tape.give(node.inputs[0], tape.emit("Concat", parts, { axis }));
    return true;
  },
  Slice: (node, [dy], tape) => {
    const shape = tape.shapeOf(node.inputs[0]);
    const [starts, steps] = [listOf(node, "starts", 1, tape), listOf(node, "steps", 4, tape)];
    const axes = listOf(node, "axes", 3, tape) ?? starts?.map((_, axis) => axis);
    if (!starts || !axes || steps?.some((step) => step !== 1)) return false;
    const out = tape.shapeOf(node.outputs[0]);
    const before = shape.map(() => 0);
    for (const [i, axis] of axes.entries()) {
      const at = (axis + shape.length) % shape.length;
      before[at] = Math.min(starts[i] < 0 ? Math.max(0, starts[i] + shape[at]) : starts[i], shape[at]);
    }
    const after = shape.map((extent, axis) => extent - before[axis] - out[axis]);
    tape.give(node.inputs[0], tape.emit("Pad", [dy!, tape.ints([...before, ...after])]));
    return true;
  },
  Pad: (node, [dy], tape) => {
    const shape = tape.shapeOf(node.inputs[0]);
    const pads = listOf(node, "pads", 1, tape);
    if (!pads || node.inputs[3] || pads.some((pad) => pad < 0)) return false;
    const starts = pads.slice(0, shape.length);
    const ends = shape.map((extent, axis) => starts[axis] + extent);
    tape.give(node.inputs[0], tape.emit("Slice", [dy!, tape.ints(starts), tape.ints(ends)]));
    return true;
  },
  ReduceMean: (node, [dy], tape) => spread(node, dy!, tape, (count) => 1 / count),
  ReduceSum: (node, [dy], tape) => spread(node, dy!, tape, () => 1),
  GlobalAveragePool: (node, [dy], tape) => {
    const shape = tape.shapeOf(node.inputs[0]);
    const area = shape.slice(2).reduce((a, b) => a * b, 1);
    const mean = tape.emit("Mul", [dy!, tape.float(1 / area)]);
    tape.give(node.inputs[0], tape.emit("Expand", [mean, tape.ints(shape)]));
    return true;
  },
  Gather: (node, [dy], tape) => {
    const shape = tape.shapeOf(node.inputs[0]);
    const axis = (intOf(node, "axis", 0) + shape.length) % shape.length;
    const indices = tape.numbersOf(node.inputs[1]);
    // A single one, as for the first token: zeros around it.
    if (indices?.length !== 1) return false;
    const at = (indices[0] + shape[axis]) % shape[axis];
    const kept = shape.map((extent, i) => (i === axis ? 1 : extent));
    const before = shape.map((_, i) => (i === axis ? at : 0));
    const after = shape.map((extent, i) => (i === axis ? extent - at - 1 : 0));
    const row = tape.emit("Reshape", [dy!, tape.ints(kept)]);
    tape.give(node.inputs[0], tape.emit("Pad", [row, tape.ints([...before, ...after])]));
    return true;
  },
};
