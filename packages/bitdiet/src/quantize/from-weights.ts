/**
 * Integers from the weights alone: for a model that nobody can run.
 *
 *     const { tensors } = await fromWeights(model)(4 ** -4);   // about 4 bits a weight
 */
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
import { type InputsOf, likelyInputs } from "./likely-inputs.js";
import { onGrid } from "./on-grid.js";
import { finenessOf, type Quantize } from "./quantize.js";
import { quantizeWeights } from "./weights.js";

/**
 * A network's small tensors are its sensitive ones: steps grow with the fourth root of the number of weights. Measured on ResNet-20,
 * against the same step for all: 5 % fewer bytes at equal KL divergence of the outputs.
 */
const TYPICAL_SIZE = 2 ** 14;
const SIZE_POWER = 0.25;
const MAX_OCTAVES_BY_SIZE = 1;
/** Bits more for kernels of depthwise convolutions: a hundredth of the weights, and half of what the outputs lose. */
const DEPTHWISE_BITS = 3;

export function fromWeights(model: Model): Quantize {
  return async (lambda) => ({
    tensors: quantizedTensors(model, (tensor) => finenessOf(lambda) + likelyOffset(tensor)),
  });
}

/** Bits by which a tensor should be finer than others, as far as its size and use tell. */
function likelyOffset({ shape, use }: ModelTensor): number {
  const octaves = SIZE_POWER * Math.log2(elementCount(shape) / TYPICAL_SIZE);
  const bySize = Math.max(-MAX_OCTAVES_BY_SIZE, Math.min(MAX_OCTAVES_BY_SIZE, octaves));
  return (use.kind === "depthwise" ? DEPTHWISE_BITS : 0) - bySize;
}

/** What the inputs of a tensor's rows have in common, as far as its use tells: rows of a table are looked up, not summed over. */
export function inputsOf({ use }: Pick<ModelTensor, "use">): InputsOf | undefined {
  if (use.kind === "embedding") return undefined;
  const isConvolution = "isConvolution" in use && use.isConvolution;
  return (kernels, kernel) =>
    isConvolution ? likelyInputs(kernels, kernel) : likelyInputs(kernels * kernel[0] * kernel[1], [1, 1]);
}

/** One tensor after the other, read when it is asked for: a model need not fit into memory. */
export function quantizedTensors(
  model: Model,
  fineness: (tensor: ModelTensor) => number,
): Map<string, () => Promise<QuantizedTensor | undefined>> {
  const quantized = (tensor: ModelTensor, axis: number) => async () => {
    const { dtype, shape } = tensor;
    const grid = trainedGrid(tensor);
    const values = floatValues(dtype as FloatDtype, await tensor.bytes());
    if (grid) return onGrid({ values, shape, axis }, grid);
    return quantizeWeights({ values, shape, axis }, fineness(tensor), inputsOf(tensor));
  };
  return new Map(
    model.tensors.flatMap((tensor) => {
      const axis = channelAxis(tensor);
      return axis === undefined ? [] : [[tensor.name, quantized(tensor, axis)] as const];
    }),
  );
}
