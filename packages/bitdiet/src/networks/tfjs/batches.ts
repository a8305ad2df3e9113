/** Calibration inputs as batches of TF.js: many small feeds put together where the model takes any number at once. */
import * as tf from "@tensorflow/tfjs-core";
import type { Feeds } from "../inputs/made-up.js";
import { checkFeeds, type RunInput } from "../runner.js";
import { CalibrationError } from "./program.js";

/** Inputs that run together. */
const BATCH = 50;

export interface Batches {
  /** Inputs in all, and those that run together. */
  count: number;
  size: number;
  /** Inputs `from` to before `to`: a tensor for each input of the network. */
  slice(from: number, to: number): tf.Tensor[];
}

/**
 * @throws {RangeError} if a feed does not fit the inputs; {CalibrationError} if the shapes of an input differ by more than
 *   their number
 */
export function batchesOf(inputs: readonly RunInput[], feeds: readonly Feeds[]): Batches {
  for (const feed of feeds) checkFeeds(inputs, feed);
  const joined = inputs.map(({ name, dtype }) => {
    const tensors = feeds.map((feed) => feed.get(name)!);
    const [, ...shape] = tensors[0].shape;
    if (tensors.some((tensor) => String(tensor.shape.slice(1)) !== String(shape)))
      throw new CalibrationError(`inputs: ${name}: expected one shape, got [${shape}] and others`);
    const counts = tensors.map((tensor) => tensor.shape[0]);
    const size = shape.reduce((a, b) => a * b, 1);
    const values = new (dtype === "int32" ? Int32Array : dtype === "bool" ? Uint8Array : Float32Array)(
      counts.reduce((a, b) => a + b, 0) * size,
    );
    let at = 0;
    for (const { data } of tensors) {
      values.set(data as Float32Array, at);
      at += data.length;
    }
    return { shape, size, dtype, values, count: values.length / size };
  });
  const [{ count }] = joined;
  return {
    count,
    size: inputs.every(({ shape }) => shape?.[0] === undefined) ? Math.min(BATCH, count) : 1,
    slice: (from, to) =>
      joined.map(({ shape, size, dtype, values }) =>
        tf.tensor(values.subarray(from * size, to * size), [to - from, ...shape], dtype as tf.DataType),
      ),
  };
}
