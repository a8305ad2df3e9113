/**
 * Roles that operations of any format give their inputs.
 *
 *     const conv: Inputs<Operation> = () => [undefined, weight("kernel", first), vector("bias")];
 */
import type { KnownShape, Operation, Role, WeightRole } from "./use.js";

/** Roles of inputs by their places; others need the very values. */
export type Inputs<Op extends Operation> = (
  operation: Op,
  shape: KnownShape,
) => readonly (Role | undefined)[];

export const exact: Role = { kind: "exact", as: "operand" };
export const vector = (as: string): Role => ({ kind: "vector", as });
export const last = (shape: KnownShape): number | undefined => shape && shape.length - 1;
export const lastButOne = (shape: KnownShape): number | undefined => shape && Math.max(0, shape.length - 2);

/** @param data place of the other operand */
export const weight = (
  as: string,
  axis: (shape: KnownShape) => number | undefined,
  data = 0,
): WeightRole => ({
  kind: "weight",
  as,
  axis,
  data,
});

export const normalization: Inputs<Operation> = () => [
  undefined,
  vector("scale"),
  vector("shift"),
  vector("mean"),
  vector("variance"),
];

/** Of what is added to what a matrix or a kernel gives, or multiplied with it: a row of numbers is its bias or its scale. */
export function besideProduct(isProduct: (value: string) => boolean): Inputs<Operation> {
  return ({ inputs }, shape) =>
    inputs.map((_, i) =>
      shape && shape.filter((extent) => extent > 1).length <= 1 && isProduct(inputs[1 - i])
        ? vector("bias or scale")
        : undefined,
    );
}

/** Operations that are looked at behind an addition. */
const MAX_STEPS = 8;

/** Whether a value is what a matrix or a kernel gives, moved, or scaled by a constant, perhaps. */
export function productsOf<Op extends Operation>(
  operations: readonly Op[],
  {
    isProduct,
    isMoved,
    isConstant,
  }: {
    isProduct(operation: Op): boolean;
    isMoved(operation: Op): boolean;
    isConstant(value: string): boolean;
  },
): (value: string) => boolean {
  const makers = new Map(operations.flatMap((operation) => operation.outputs.map((out) => [out, operation])));
  const comesFromProduct = (value: string, steps: number): boolean => {
    const maker = makers.get(value);
    if (!maker || steps > MAX_STEPS) return false;
    if (isMoved(maker)) return comesFromProduct(maker.inputs[0], steps + 1);
    if (maker.op !== "Mul") return isProduct(maker);
    return maker.inputs.some(
      (input, i) => isConstant(input) && comesFromProduct(maker.inputs[1 - i], steps + 1),
    );
  };
  return (value) => comesFromProduct(value, 0);
}

/** Operands of "ij,jk->ik": the channels of one are the last axis that the result keeps of it and the other has not. */
export function einsumRoles(equation: string): (Role | undefined)[] {
  const [sides, result = ""] = equation.replace(/\s/g, "").split("->");
  const operands = sides.split(",");
  if (operands.length !== 2 || equation.includes("...")) return [];
  return operands.map((labels, i) => {
    const kept = [...labels]
      .reverse()
      .find((label) => result.includes(label) && !operands[1 - i].includes(label));
    const axis = kept === undefined ? 0 : labels.indexOf(kept);
    return { kind: "weight", as: "operand", axis: () => axis, data: 1 - i };
  });
}
