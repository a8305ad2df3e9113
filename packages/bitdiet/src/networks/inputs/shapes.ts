/**
 * Extents for the axes of inputs that may have any: one for all axes of a name.
 *
 *     shapesOf([{ name: "ids", dtype: "int64", shape: [undefined, undefined] }]); // [[1, 32]]
 */
import type { RunInput } from "../runner.js";
import { isState } from "./states.js";

/** What is known of a model beyond its signature. */
export interface InputHints {
  /** Token ids are below this. */
  vocabulary?: number;
  /** How pixels of 0 to 1 are normalised: (pixel - mean) / deviation, one each a channel, or one for all. */
  range?: { mean: readonly number[]; deviation: readonly number[] };
  /** Height and width of pictures of any size. */
  size?: number;
  /** Steps of sequences of any length. */
  length?: number;
}

/** Height and width of pictures, without a hint. */
export const PICTURE_SIZE = 224;
/** Width of a picture whose height is given and small: a line of text. */
const LINE_WIDTH = 320;
const TOKENS = 32;
const FRAMES = 64;
const SAMPLES = 16000;

/** @throws {RangeError} if the rank of an input is not known */
export function shapesOf(inputs: readonly RunInput[], hints: InputHints = {}): number[][] {
  const known = new Map<string, number>();
  // Ids first: masks and positions are as long as they are.
  const order = [...inputs].sort((a, b) => Number(!isIds(a)) - Number(!isIds(b)));
  const shapes = new Map<RunInput, number[]>();
  for (const input of order) {
    const { name, shape, axisNames = [] } = input;
    if (!shape) throw new RangeError(`inputs: ${name}: expected a known rank; give inputs of your own`);
    const extents = shape.map((extent, axis) => {
      if (extent !== undefined) return extent;
      const symbol = axisNames[axis];
      const found = known.get(symbol ?? "") ?? likelyExtent(input, axis, hints, known);
      if (symbol) known.set(symbol, found);
      return found;
    });
    shapes.set(input, extents);
  }
  return inputs.map((input) => shapes.get(input)!);
}

function isIds({ name, dtype, shape }: RunInput): boolean {
  return /int/.test(dtype) && shape?.length === 2 && !/mask|type|position/i.test(name);
}

/** Ids of a text as a sparse tensor of one row: their places and themselves, as many of both. */
export const isSparse = (name: string, shape: readonly (number | undefined)[]): boolean =>
  (/indices/i.test(name) && shape.length === 2 && shape[1] === 2) ||
  (/^values(:|$)/i.test(name) && shape.length === 1);

function likelyExtent(
  { name, dtype, shape, axisNames = [] }: RunInput,
  axis: number,
  hints: InputHints,
  known: ReadonlyMap<string, number>,
): number {
  const symbol = axisNames[axis] ?? "";
  const rank = shape!.length;
  if (/batch|^n$/i.test(symbol)) return 1;
  // Nothing was seen before: the past is empty, and all there is, is the sequence at hand.
  if (/\+|total/.test(symbol)) return known.get("sequence_length") ?? hints.length ?? TOKENS;
  if (/past/i.test(symbol) || (/past/i.test(name) && axis === 2)) return 0;
  // Of states only the batch is left open: [layers, batch, units].
  if (isState(name)) return 1;
  if (isSparse(name, shape!)) return hints.length ?? TOKENS;
  if (axis === 0 && rank > 1) return 1;
  if (dtype === "string") return 1;
  if (rank === 4) {
    const given = shape!.slice(1).filter((extent) => extent !== undefined && extent > 4);
    if (given.length === 0) return hints.size ?? PICTURE_SIZE;
    return hints.size ?? (given[0]! < LINE_WIDTH / 2 ? LINE_WIDTH : given[0]!);
  }
  if (/int|bool/.test(dtype) || /mask/i.test(name)) return rank === 1 ? 1 : (hints.length ?? TOKENS);
  if (rank <= 2) return hints.length ?? SAMPLES;
  return hints.length ?? FRAMES;
}
