/**
 * Weights on the levels that they were trained on, whatever a bit is worth: a graph that rounds them as it runs then gives the very same.
 *
 *     onGrid({ values, shape: [16, 8], axis: 1 }, { steps: Float32Array.of(0.1), least: [-128], most: [127] });
 */
import { dequantize, type QuantizedTensor } from "../file/quantized-tensor.js";
import { rowsOf, toRows } from "../file/rows.js";
import { floatBytes, floatValues } from "../formats/floats.js";
import {
  channelAxis,
  type FloatDtype,
  type Model,
  type ModelTensor,
  type TrainedGrid,
  trainedGrid,
} from "../model.js";

/** @returns undefined if not all values are finite */
export function onGrid(
  { values, shape, axis }: { values: Float32Array; shape: readonly number[]; axis: number },
  { steps, least, most }: TrainedGrid,
): QuantizedTensor | undefined {
  if (!values.every(Number.isFinite)) return undefined;
  const rows = toRows(values, shape, axis);
  const length = rows.length / (steps.length === 1 ? 1 : rowsOf(shape, axis).extents[0]);
  const integers = Int32Array.from(rows, (value, i) => {
    const row = Math.floor(i / length);
    const integer = roundHalfToEven(Math.fround(value / steps[row]));
    return Math.max(least[row], Math.min(most[row], integer));
  });
  return { shape, axis, integers, steps };
}

/** The model as its graph means it: weights on their grids, also where a runtime leaves that out, as TF.js does. */
export function onTrainedLevels(model: Model): Model {
  const tensors = model.tensors.map((tensor): ModelTensor => {
    const { dtype, shape } = tensor;
    const [axis, grid] = [channelAxis(tensor), trainedGrid(tensor)];
    if (axis === undefined || !grid) return tensor;
    const bytes = async () => {
      const stored = await tensor.bytes();
      const made = onGrid({ values: floatValues(dtype as FloatDtype, stored), shape, axis }, grid);
      return made ? floatBytes(dtype as FloatDtype, dequantize(made)) : stored;
    };
    return { ...tensor, bytes };
  });
  return { ...model, tensors };
}

/** As IEEE 754 rounds, and runtimes with it. */
function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
