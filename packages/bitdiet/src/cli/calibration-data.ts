/**
 * Calibration inputs of the user's: what the module of `--calibrate` gives.
 *
 *     export default async () => ({ inputs: pixels, shape: [200, 224, 224, 3] }); // data.js
 */
import type { CalibrationData } from "../calibrate.js";
import type { Feeds } from "../networks/inputs/made-up.js";
import type { Runner } from "../networks/runner.js";
import { loadHook } from "./hook.js";

/** @throws {UsageError} if the module cannot be loaded, or fails */
export async function loadCalibrationData(path: string): Promise<CalibrationData> {
  return ((await (await loadHook("--calibrate", path))(undefined)) ?? {}) as CalibrationData;
}

/** Inputs of the user's one by one, as a runner takes them; undefined if they are not what it takes. */
export function feedsOf(data: CalibrationData, runner: Runner): readonly Feeds[] | undefined {
  if ("feeds" in data) return data.feeds;
  const { inputs, shape } = data;
  if (!(inputs instanceof Float32Array) || !Array.isArray(shape) || runner.inputs.length !== 1)
    return undefined;
  const [count, ...rest] = shape;
  const size = inputs.length / count;
  return Array.from({ length: count }, (_, i) => {
    const data = inputs.subarray(i * size, (i + 1) * size);
    return new Map([[runner.inputs[0].name, { dtype: "float32" as const, shape: [1, ...rest], data }]]);
  });
}
