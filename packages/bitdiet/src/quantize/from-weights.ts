/**
 * Integers from the weights alone: for a model that nobody can run.
 *
 *     const { tensors } = await fromWeights(model)(4 ** -4);   // about 4 bits a weight
 */
import { floatValues } from "../formats/floats.js";
import { channelAxis, type FloatDtype, type Model, type ModelTensor } from "../model.js";
import { finenessOf, type Quantize } from "./quantize.js";
import { quantizeWeights } from "./weights.js";

/** One tensor after the other, read when it is asked for: a model need not fit into memory. */
export function fromWeights(model: Model): Quantize {
  return async (lambda) => {
    const quantized = (tensor: ModelTensor, axis: number) => async () => {
      const { dtype, shape } = tensor;
      const values = floatValues(dtype as FloatDtype, await tensor.bytes());
      return quantizeWeights({ values, shape, axis }, finenessOf(lambda));
    };
    const tensors = model.tensors.flatMap((tensor) => {
      const axis = channelAxis(tensor);
      return axis === undefined ? [] : [[tensor.name, quantized(tensor, axis)] as const];
    });
    return { tensors: new Map(tensors) };
  };
}
