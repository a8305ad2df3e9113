/**
 * Checks of arguments that several functions take: a TypeError or RangeError that names the argument.
 */
import { describe } from "@bitdiet/stream";
import { MAX_CHANNELS, MAX_VALUES } from "./model.js";

/** Values of a map: an array, or whatever gives one, as tensors of TF.js do. */
export type Features = Float32Array | { dataSync(): ArrayLike<number> };

/** The values of features, `count` of them. */
export function valuesOf(name: string, features: Features, count: number): Float32Array {
  const values =
    typeof (features as { dataSync?: unknown } | undefined)?.dataSync === "function"
      ? (features as { dataSync(): ArrayLike<number> }).dataSync()
      : features;
  if (!(values instanceof Float32Array)) {
    throw new TypeError(`${name}: expected a Float32Array or a float32 tensor, got ${describe(values)}`);
  }
  if (values.length !== count) {
    throw new RangeError(`${name}: expected ${count} values, got ${values.length}`);
  }
  return values;
}

/** Height, width and channels. */
export function checkedShape(shape: readonly number[]): { height: number; width: number; channels: number } {
  const isShape = Array.isArray(shape) && shape.length === 3;
  if (!isShape || !shape.every((size) => Number.isInteger(size) && size >= 1)) {
    throw new RangeError(`shape: expected [height, width, channels], got ${String(shape)}`);
  }
  const [height, width, channels] = shape;
  if (channels > MAX_CHANNELS || height * width * channels > MAX_VALUES) {
    throw new RangeError(`shape: expected at most ${MAX_CHANNELS} channels and 2^26 values, got ${shape}`);
  }
  return { height, width, channels };
}

/** An integer of a range. */
export function checkInteger(name: string, value: number, least: number, most: number): void {
  if (!(Number.isInteger(value) && value >= least && value <= most)) {
    throw new RangeError(`${name}: expected an integer ${least}..${most}, got ${value}`);
  }
}
