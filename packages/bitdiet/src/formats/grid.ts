/**
 * Grids that weights were trained on: a graph that quantizes float weights as it runs (fake quantization, Jacob et al., arXiv 1712.05877)
 * says which levels they have.
 *
 *     fakeQuantGrid({ min: -1, max: 1.1, bits: 8, isNarrow: false }); // steps [0.00824], integers -121 .. 134
 */
import type { TrainedGrid } from "../model.js";

/**
 * That of TensorFlow's FakeQuantWithMinMaxVars, whose bounds are moved until 0 is a level.
 *
 * @returns undefined if these are no bounds about 0
 */
export function fakeQuantGrid({
  min,
  max,
  bits,
  isNarrow,
}: {
  min: number | undefined;
  max: number | undefined;
  bits: number;
  isNarrow: boolean;
}): TrainedGrid | undefined {
  if (min === undefined || max === undefined) return undefined;
  const lowest = isNarrow ? 1 : 0;
  const highest = 2 ** bits - 1;
  const step = (max - min) / (highest - lowest);
  if (!(min <= 0 && max >= 0 && step > 0 && step < Infinity)) return undefined;
  const zero = Math.max(lowest, Math.min(highest, Math.round(lowest - min / step)));
  return { steps: Float32Array.of(step), least: [lowest - zero], most: [highest - zero] };
}

/** Least and largest integer of the types that ONNX's QuantizeLinear gives. */
const bounds: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
};

/**
 * That of ONNX's QuantizeLinear.
 *
 * @param zeros one each scale, or none: then they are 0
 * @returns undefined if it is none of integers with one scale for all or one each slice
 */
export function linearGrid(
  scales: readonly number[],
  zeros: readonly number[],
  dtype: string,
): TrainedGrid | undefined {
  const [least, most] = (Object.hasOwn(bounds, dtype) && bounds[dtype]) || [];
  if (least === undefined || most === undefined || scales.length === 0) return undefined;
  if (zeros.length !== 0 && zeros.length !== scales.length) return undefined;
  if (!scales.every((scale) => scale > 0 && scale < Infinity)) return undefined;
  const zeroAt = (i: number) => zeros[i] ?? 0;
  return {
    steps: Float32Array.from(scales),
    least: scales.map((_, i) => least - zeroAt(i)),
    most: scales.map((_, i) => most - zeroAt(i)),
  };
}
