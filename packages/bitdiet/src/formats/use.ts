/** Role of a tensor as far as its type and shape tell, with the axis that its format has output channels on. */
import { type Dtype, isFloat, type TensorUse } from "../model.js";

/** Floats longer than 1 along at least two axes are weights, other floats vectors; all else is kept. */
export function useByShape(dtype: Dtype, shape: readonly number[], channelAxis: number): TensorUse {
  if (!isFloat(dtype)) return { kind: "exact", reason: `no floats, but ${dtype}` };
  if (shape.filter((extent) => extent > 1).length >= 2)
    return { kind: "weight", channelAxis, reason: "floats along two axes" };
  return { kind: "vector", reason: "floats along one axis" };
}
