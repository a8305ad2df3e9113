/**
 * Gradient rules: for each operator the nodes that take the gradient at its outputs to those at its inputs, in terms of the values that
 * the forward run gave. https://onnx.ai/onnx/operators
 *
 *     Relu:  dx = dy * (x == y)         MatMul:  da = dy b^T, db = a^T dy, summed where they were broadcast
 */

import { shapeRules } from "./gradients-shape.js";
import { windowRules } from "./gradients-window.js";
import { floatOf, intOf, type OnnxNode } from "./graph.js";
import type { Rule, Tape } from "./tape.js";

/** A rule of an operator with one input x and one output y, from the factor of dy. */
function factorRule(factor: (node: OnnxNode, tape: Tape, x: () => string, y: () => string) => string): Rule {
  return (node, [dy], tape) => {
    const [x] = node.inputs;
    const by = factor(
      node,
      tape,
      () => tape.value(x),
      () => tape.value(node.outputs[0]),
    );
    tape.give(x, tape.emit("Mul", [dy!, by]));
    return true;
  };
}

const passed: Rule = (node, [dy], tape) => {
  tape.give(node.inputs[0], dy!);
  return true;
};

/** 1 where a comparison holds, else 0. */
function indicator(tape: Tape, op: "Equal" | "Greater" | "Less", a: string, b: string): string {
  return tape.emit("Cast", [tape.emit(op, [a, b])], { to: 1 });
}

const elementwise: Record<string, Rule> = {
  Identity: passed,
  Dropout: passed,
  Relu: factorRule((_, tape, x, y) => indicator(tape, "Equal", x(), y())),
  Clip: factorRule((_, tape, x, y) => indicator(tape, "Equal", x(), y())),
  LeakyRelu: factorRule((node, tape, x) => {
    const positive = tape.emit("Greater", [x(), tape.float(0)]);
    return tape.emit("Where", [positive, tape.float(1), tape.float(floatOf(node, "alpha", 0.01))]);
  }),
  PRelu: factorRule((node, tape, x) =>
    tape.emit("Where", [
      tape.emit("Greater", [x(), tape.float(0)]),
      tape.float(1),
      tape.value(node.inputs[1]),
    ]),
  ),
  Sigmoid: factorRule((_, tape, _x, y) => tape.emit("Mul", [y(), tape.emit("Sub", [tape.float(1), y()])])),
  Tanh: factorRule((_, tape, _x, y) => tape.emit("Sub", [tape.float(1), tape.emit("Mul", [y(), y()])])),
  HardSigmoid: factorRule((node, tape, _x, y) => {
    const inside = tape.emit("Mul", [
      indicator(tape, "Greater", y(), tape.float(0)),
      indicator(tape, "Less", y(), tape.float(1)),
    ]);
    return tape.emit("Mul", [inside, tape.float(floatOf(node, "alpha", 0.2))]);
  }),
  HardSwish: factorRule((_, tape, x) => {
    // x times clip(x / 6 + 1/2): the slope is that of a parabola between -3 and 3.
    const middle = tape.emit("Add", [tape.emit("Div", [x(), tape.float(3)]), tape.float(0.5)]);
    const above = tape.emit("Where", [tape.emit("Greater", [x(), tape.float(3)]), tape.float(1), middle]);
    return tape.emit("Where", [tape.emit("Less", [x(), tape.float(-3)]), tape.float(0), above]);
  }),
  Sqrt: factorRule((_, tape, _x, y) => tape.emit("Div", [tape.float(0.5), y()])),
  Exp: factorRule((_, _tape, _x, y) => y()),
  Log: factorRule((_, tape, x) => tape.emit("Reciprocal", [x()])),
  Reciprocal: factorRule((_, tape, _x, y) => tape.emit("Neg", [tape.emit("Mul", [y(), y()])])),
  Neg: factorRule((_, tape) => tape.float(-1)),
  Abs: factorRule((_, tape, x) => tape.emit("Sign", [x()])),
  Softplus: factorRule((_, tape, x) => tape.emit("Sigmoid", [x()])),
  Erf: factorRule((_, tape, x) => {
    const bell = tape.emit("Exp", [tape.emit("Neg", [tape.emit("Mul", [x(), x()])])]);
    return tape.emit("Mul", [bell, tape.float(2 / Math.sqrt(Math.PI))]);
  }),
  Cast: (node, [dy], tape) => {
    if (intOf(node, "to", 0) !== 1) return false;
    tape.give(node.inputs[0], dy!);
    return true;
  },
};

const arithmetic: Record<string, Rule> = {
  Add: ({ inputs, outputs: [y] }, [dy], tape) => {
    for (const input of inputs) tape.give(input, dy!, tape.shapeOf(y));
    return true;
  },
  Sub: ({ inputs: [a, b], outputs: [y] }, [dy], tape) => {
    tape.give(a, dy!, tape.shapeOf(y));
    if (tape.isWanted(b)) tape.give(b, tape.emit("Neg", [dy!]), tape.shapeOf(y));
    return true;
  },
  Mul: ({ inputs: [a, b], outputs: [y] }, [dy], tape) => {
    if (tape.isWanted(a)) tape.give(a, tape.emit("Mul", [dy!, tape.value(b)]), tape.shapeOf(y));
    if (tape.isWanted(b)) tape.give(b, tape.emit("Mul", [dy!, tape.value(a)]), tape.shapeOf(y));
    return true;
  },
  Div: ({ inputs: [a, b], outputs: [y] }, [dy], tape) => {
    const quotient = tape.emit("Div", [dy!, tape.value(b)]);
    tape.give(a, quotient, tape.shapeOf(y));
    const negative = () => tape.emit("Neg", [tape.emit("Mul", [quotient, tape.value(y)])]);
    if (tape.isWanted(b)) tape.give(b, negative(), tape.shapeOf(y));
    return true;
  },
  Pow: ({ inputs: [x, exponent] }, [dy], tape) => {
    const [power, ...more] = tape.numbersOf(exponent) ?? [];
    if (power === undefined || more.length > 0) return false;
    const slope = tape.emit("Pow", [tape.value(x), tape.float(power - 1)]);
    tape.give(x, tape.emit("Mul", [dy!, tape.emit("Mul", [slope, tape.float(power)])]));
    return true;
  },
  Where: ({ inputs: [condition, a, b], outputs: [y] }, [dy], tape) => {
    const zero = tape.float(0);
    const where = tape.value(condition);
    if (tape.isWanted(a)) tape.give(a, tape.emit("Where", [where, dy!, zero]), tape.shapeOf(y));
    if (tape.isWanted(b)) tape.give(b, tape.emit("Where", [where, zero, dy!]), tape.shapeOf(y));
    return true;
  },
  MatMul: ({ inputs: [a, b], outputs: [y] }, [dy], tape) => {
    const batch = tape.shapeOf(y).slice(0, -2);
    if (tape.shapeOf(a).length < 2 || tape.shapeOf(b).length < 2) return false;
    const turned = (value: string) => {
      const rank = tape.shapeOf(value).length;
      const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
      return tape.emit("Transpose", [tape.value(value)], { perm });
    };
    const shapeOf = (value: string) => [...batch, ...tape.shapeOf(value).slice(-2)];
    if (tape.isWanted(a)) tape.give(a, tape.emit("MatMul", [dy!, turned(b)]), shapeOf(a));
    if (tape.isWanted(b)) tape.give(b, tape.emit("MatMul", [turned(a), dy!]), shapeOf(b));
    return true;
  },
  Gemm: (node, [dy], tape) => {
    const [a, b, c] = node.inputs;
    const [transA, transB] = [intOf(node, "transA", 0), intOf(node, "transB", 0)];
    const alpha = Float32Array.of(floatOf(node, "alpha", 1));
    if (tape.isWanted(a)) {
      const flags = { alpha, transA: transA && transB, transB: transA ? 1 : 1 - transB };
      const product = transA ? [tape.value(b), dy!] : [dy!, tape.value(b)];
      tape.give(a, tape.emit("Gemm", product, flags));
    }
    if (tape.isWanted(b)) {
      const flags = { alpha, transA: transB ? 1 : 1 - transA, transB: transB && transA };
      const product = transB ? [dy!, tape.value(a)] : [tape.value(a), dy!];
      tape.give(b, tape.emit("Gemm", product, flags));
    }
    if (c && tape.isWanted(c)) return false;
    return true;
  },
};

const normalizing: Record<string, Rule> = {
  Softmax: (node, [dy], tape) => {
    const rank = tape.shapeOf(node.inputs[0]).length;
    // Before version 13 all axes from this one on are one.
    const first = (intOf(node, "axis", tape.opset < 13 ? 1 : -1) + rank) % rank;
    const axes = tape.opset < 13 ? [...Array(rank).keys()].slice(first) : [first];
    const y = tape.value(node.outputs[0]);
    const mean = tape.emit("ReduceSum", [tape.emit("Mul", [y, dy!]), tape.ints(axes)]);
    tape.give(node.inputs[0], tape.emit("Mul", [y, tape.emit("Sub", [dy!, mean])]));
    return true;
  },
  BatchNormalization: (node, [dy], tape) => {
    const [x, scale, , , variance] = node.inputs;
    const [s, v] = [tape.numbersOf(scale), tape.numbersOf(variance)];
    if (!s || !v) return false;
    const epsilon = floatOf(node, "epsilon", 1e-5);
    const factors = Float32Array.from(s, (value, c) => value / Math.sqrt(v[c] + epsilon));
    const shape = tape.shapeOf(x).map((_, axis) => (axis === 1 ? s.length : 1));
    tape.give(x, tape.emit("Mul", [dy!, tape.floats(factors, shape)]));
    return true;
  },
  LayerNormalization: (node, [dy], tape) => {
    const [x, scale] = node.inputs;
    const rank = tape.shapeOf(x).length;
    const first = (intOf(node, "axis", -1) + rank) % rank;
    const axes = [...Array(rank).keys()].slice(first);
    const mean = (value: string) => tape.emit("ReduceMean", [value], { axes });
    const centred = tape.emit("Sub", [tape.value(x), mean(tape.value(x))]);
    const variance = mean(tape.emit("Mul", [centred, centred]));
    const epsilon = tape.float(floatOf(node, "epsilon", 1e-5));
    const deviation = tape.emit("Sqrt", [tape.emit("Add", [variance, epsilon])]);
    const unit = tape.emit("Div", [centred, deviation]);
    const scaled = tape.emit("Mul", [dy!, tape.value(scale)]);
    const along = tape.emit("Mul", [unit, mean(tape.emit("Mul", [scaled, unit]))]);
    const rest = tape.emit("Sub", [tape.emit("Sub", [scaled, mean(scaled)]), along]);
    tape.give(x, tape.emit("Div", [rest, deviation]));
    return true;
  },
};

/** By operator of ONNX's own domain. */
export const rules: Readonly<Record<string, Rule>> = {
  ...elementwise,
  ...arithmetic,
  ...normalizing,
  ...shapeRules,
  ...windowRules,
};
