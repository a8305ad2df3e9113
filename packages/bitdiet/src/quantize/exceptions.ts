/**
 * What the user wants otherwise: tensors that keep every bit, and tensors of a chosen number of bits, by name.
 *
 *     const kept = keeping(model, ["*embed*"]);
 *     const quantize = withBits(kept, fromWeights(kept), [{ pattern: "head/kernel", bits: 8 }]);
 */
import { encodeTensor } from "../file/encode.js";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { floatValues } from "../formats/floats.js";
import {
  channelAxis,
  elementCount,
  type FloatDtype,
  type Model,
  type ModelTensor,
  trainedGrid,
} from "../model.js";
import { inputsOf } from "./from-weights.js";
import { finenessOf, type Quantize } from "./quantize.js";
import { search } from "./search.js";
import { goalOf } from "./target.js";
import { quantizeWeights } from "./weights.js";

/** A name, in which * stands for anything. */
export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
}

/** The model with the tensors exact whose names match. @throws {RangeError} if a pattern matches none */
export function keeping(model: Model, patterns: readonly string[]): Model {
  for (const pattern of patterns) checkPattern(model.tensors, pattern);
  const tensors = model.tensors.map((tensor) => {
    const pattern = patterns.find((candidate) => matches(candidate, tensor.name));
    if (pattern === undefined) return tensor;
    return { ...tensor, use: { kind: "exact" as const, reason: `kept by ${pattern}` } };
  });
  return { ...model, tensors };
}

/** The model with weights that may leave the grid that they were trained on; undefined if there are none. */
export function offGrid(model: Model): Model | undefined {
  const isOnGrid = (tensor: ModelTensor) => trainedGrid(tensor) !== undefined;
  if (!model.tensors.some(isOnGrid)) return undefined;
  const free = (tensor: ModelTensor) => ({ ...tensor, use: { ...tensor.use, grid: undefined } });
  return { ...model, tensors: model.tensors.map((tensor) => (isOnGrid(tensor) ? free(tensor) : tensor)) };
}

export interface BitsRule {
  pattern: string;
  /** Mean coded bits of the tensor's numbers. */
  bits: number;
}

/** The same, but that the tensors that match have so many bits, whatever lambda is. @throws {RangeError} if a pattern matches none */
export function withBits(model: Model, quantize: Quantize, rules: readonly BitsRule[]): Quantize {
  const quantizable = model.tensors.filter((tensor) => channelAxis(tensor) !== undefined);
  for (const { pattern } of rules) checkPattern(quantizable, pattern);
  const ruled = new Map<string, () => Promise<QuantizedTensor | undefined>>();
  const notes = new Map<string, string>();
  for (const tensor of quantizable) {
    const rule = rules.find(({ pattern }) => matches(pattern, tensor.name));
    if (!rule) continue;
    let made: Promise<QuantizedTensor | undefined> | undefined;
    ruled.set(tensor.name, () => (made ??= quantizedTo(tensor, rule.bits)));
    notes.set(tensor.name, `${rule.bits} bits by ${rule.pattern}`);
  }
  return async (lambda) => {
    const quantized = await quantize(lambda);
    return {
      ...quantized,
      tensors: new Map([...quantized.tensors, ...ruled]),
      notes: new Map([...(quantized.notes ?? []), ...notes]),
    };
  };
}

async function quantizedTo(tensor: ModelTensor, bits: number): Promise<QuantizedTensor | undefined> {
  const { name, dtype, shape } = tensor;
  const values = floatValues(dtype as FloatDtype, await tensor.bytes());
  const size = elementCount(shape);
  const { best } = await search(goalOf({ bits }, size), 4 ** (1 - bits), async (lambda) => {
    const weights = { values, shape, axis: channelAxis(tensor)! };
    const quantized = quantizeWeights(weights, finenessOf(lambda), inputsOf(tensor));
    const bytes = quantized ? encodeTensor({ name, dtype, quantized }).bytes.length : 0;
    return { quantized, bytes, bits: (8 * bytes) / size };
  });
  return best?.made.quantized;
}

function checkPattern(tensors: readonly ModelTensor[], pattern: string): void {
  if (!tensors.some(({ name }) => matches(pattern, name)))
    throw new RangeError(`${pattern}: matches no tensor of the ${tensors.length} that there are`);
}
