/**
 * How much a model's outputs depend on each of its weights: one run per tensor, with that tensor rounded coarsely.
 *
 *     const losses = await measureLosses(model, runner, feeds);
 *     losses.get("conv1/kernel"); // 0.02: the outputs' relative squared error at steps of a sixth of the weights' rms
 *
 * Probabilities are compared as centred logarithms: a KL divergence is ruled by few rows, and saturates where a softmax is sure.
 */
import { xxHash32 } from "@bitdiet/stream";
import { dequantize } from "../file/quantized-tensor.js";
import { floatValues } from "../formats/floats.js";
import { channelAxis, type FloatDtype, type Model } from "../model.js";
import { divergence, relativeError } from "../networks/divergence.js";
import type { Feeds } from "../networks/inputs/made-up.js";
import { runInputs } from "../networks/inputs/run.js";
import type { Runner, RunTensor } from "../networks/runner.js";
import { quantizeWeights } from "./weights.js";

/** Fineness of the rounding: steps of 1/6 of a row's rms, small enough for losses that grow with their square. */
export const PROBE_FINENESS = 1 + Math.log2(6);
/** Smaller probabilities are all the same. */
const MIN_PROBABILITY = 1e-12;

type Outputs = readonly ReadonlyMap<string, RunTensor>[];

export interface LossOptions {
  most?: number;
  onProgress?(done: number, total: number): void;
}

/**
 * The outputs' squared error with one tensor rounded, by the tensor's name, for all that may be quantized.
 *
 * @param most tensors that are rounded, evenly spread over the model; others are taken to lose what lies between those before and
 *   after them. Default: all
 * @throws as `Runner.run`
 */
export async function measureLosses(
  model: Model,
  runner: Runner,
  feeds: readonly Feeds[],
  { most = Infinity, onProgress = () => {} }: LossOptions = {},
): Promise<Map<string, number>> {
  const reference = comparable(await runInputs(runner, feeds));
  const losses = new Map<string, number>();
  /** Names of tensors that are equal: they shall stay so, as a file has them once. */
  const twins = new Map<string, string[]>();
  const weights = model.tensors.filter((tensor) => channelAxis(tensor) !== undefined);
  const stride = Math.max(1, weights.length / most);
  const tensors = weights.filter((_, i) => Math.floor((i + 1) / stride) > Math.floor(i / stride));
  for (const [index, tensor] of tensors.entries()) {
    onProgress(index, tensors.length);
    const { name, dtype, shape, bytes } = tensor;
    const stored = await bytes();
    const values = floatValues(dtype as FloatDtype, stored);
    const content = `${xxHash32(stored)} ${dtype} ${shape}`;
    twins.set(content, [...(twins.get(content) ?? []), name]);
    const rounded = quantizeWeights({ values, shape, axis: channelAxis(tensor)! }, PROBE_FINENESS);
    if (!rounded) continue;
    const outputs = comparable(await runInputs(runner, feeds, new Map([[name, dequantize(rounded)]])));
    const errors = reference.map((exact, i) => relativeError(outputs[i], exact));
    losses.set(name, errors.reduce((sum, error) => sum + error, 0) / errors.length);
  }
  onProgress(tensors.length, tensors.length);
  for (const names of twins.values()) {
    const all = names.reduce((sum, name) => sum + (losses.get(name) ?? 0), 0);
    for (const name of names) if (losses.has(name)) losses.set(name, all);
  }
  return interpolated(
    weights.map(({ name }) => name),
    losses,
  );
}

/**
 * Losses of all, on a line between the logarithms of the nearest that were measured. Whole tensors compare, not their weights: on
 * PP-OCR's networks and MobileNet half of the tensors so tell the others' fineness to 0.9 to 2 bits; the same a weight, 1.8 to 2.6.
 */
export function interpolated(
  names: readonly string[],
  measured: ReadonlyMap<string, number>,
): Map<string, number> {
  // What moves nothing at all was not reached, and tells nothing of others.
  const places = names.flatMap((name, place) => (measured.get(name)! > 0 ? [place] : []));
  const logAt = (place: number) => Math.log(measured.get(names[place])!);
  const all = new Map(measured);
  if (places.length === 0) return all;
  names.forEach((name, place) => {
    if (measured.has(name)) return;
    const before = places.filter((known) => known < place).at(-1) ?? places[0];
    const after = places.find((known) => known > place) ?? before;
    const share = after > before ? (place - before) / (after - before) : 0;
    all.set(name, Math.exp((1 - share) * logAt(before) + share * logAt(after)));
  });
  return all;
}

/** Each output of all batches as numbers whose squared error says how far the model is off. */
function comparable(batches: Outputs): Float32Array[] {
  const areDistributions = divergence(batches, batches).kind === "kl";
  const names = [...batches[0].keys()].filter((name) => batches[0].get(name)!.dtype === "float32");
  return names.map((name) => {
    const parts = batches.map((batch) => batch.get(name)!);
    const all = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
    let at = 0;
    for (const { shape, data } of parts) {
      const values = data as Float32Array;
      const width = shape.at(-1) ?? 1;
      all.set(areDistributions ? centredLogs(values, width, /logit/i.test(name)) : values, at);
      at += values.length;
    }
    return all;
  });
}

/** Logarithms of rows of probabilities, less their mean; of a probability alone against its opposite. */
function centredLogs(values: Float32Array, width: number, areLogs: boolean): Float32Array {
  const log = (p: number) => (areLogs ? p : Math.log(Math.max(p, MIN_PROBABILITY)));
  if (width === 1) return values.map((p) => log(p) - log(1 - p));
  const logs = values.map(log);
  for (let from = 0; from < logs.length; from += width) {
    let sum = 0;
    for (let i = from; i < from + width; i++) sum += logs[i];
    for (let i = from; i < from + width; i++) logs[i] -= sum / width;
  }
  return logs;
}
