/** What gradient rules write with: the nodes of a backward pass, and values of the forward pass. */
import type { AttributeValue, OnnxNode } from "./graph.js";

export interface Tape {
  /** Version of the operators in the forward graph. */
  opset: number;
  shapeOf(value: string): readonly number[];
  /** The numbers of a constant; undefined if the value is none. */
  numbersOf(value: string): number[] | undefined;
  /** The name of a value of the forward run, which from then on is asked for. */
  value(name: string): string;
  /** Adds a node. @returns the name of one of its outputs, the first if not said otherwise */
  emit(
    op: string,
    inputs: readonly string[],
    attributes?: Record<string, AttributeValue>,
    output?: number,
  ): string;
  float(value: number): string;
  floats(values: Float32Array, shape: readonly number[]): string;
  ints(values: readonly number[]): string;
  /** Whether an input's gradient is of use to anybody. */
  isWanted(input: string): boolean;
  /** Adds to the gradient of an input; of one that was broadcast to a shape, the sum over its copies. */
  give(input: string, gradient: string, shape?: readonly number[]): void;
}

/** @returns false where the attributes ask for what is not known here */
export type Rule = (node: OnnxNode, dy: (string | undefined)[], tape: Tape) => boolean | undefined;
