/**
 * What was trained, as a .bitdiet file: kernels as the integers and steps that the last step of training would use, everything else
 * bit for bit as the layers read it. Nothing is rounded here that training did not round.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { dequantize, encodeTrained, memoryFiles, type QuantizedTensor, readModel } from "bitdiet";
import { quantizedTensor } from "bitdiet/training";
import type { QuantizedWeight } from "./weight-quantizer.js";

/** Integers and steps of the kernels as they are now, by name. */
export function integersOf(weights: Iterable<QuantizedWeight>): Map<string, QuantizedTensor> {
  const integers = new Map<string, QuantizedTensor>();
  for (const { name, variable, axis, quantizer } of weights) {
    // A tidy that returned the integers would look for tensors in each of them.
    tf.tidy(() => void integers.set(name, quantizedTensor(quantizer(), variable.read(), axis)));
  }
  return integers;
}

/**
 * The file of a model.
 *
 * @param integers of its kernels
 * @param variables of the model, in its order, and values of those that layers read otherwise
 */
export async function trainedFile(
  model: LayersModel,
  integers: ReadonlyMap<string, QuantizedTensor>,
  variables: readonly { variable: LayerVariable; value: tf.Tensor }[],
): Promise<Uint8Array> {
  const weights = variables.map(({ variable: { originalName, shape, dtype } }) => ({
    name: originalName,
    shape,
    dtype,
  }));
  const json = {
    format: "layers-model",
    modelTopology: model.toJSON(null, false),
    weightsManifest: [{ paths: ["weights.bin"], weights }],
  };
  const values = await Promise.all(
    variables.map(async ({ variable: { originalName }, value }) => {
      const quantized = integers.get(originalName);
      return quantized ? dequantize(quantized) : value.data();
    }),
  );
  const files = memoryFiles({
    "model.json": new TextEncoder().encode(JSON.stringify(json)),
    "weights.bin": joined(values),
  });
  return encodeTrained(await readModel(files, "model.json"), integers);
}

function joined(values: readonly (Float32Array | Int32Array | Uint8Array)[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of values) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes;
}

/** Writes a new file. @throws if it is there already, or where there are no files */
export async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const modules = "node:fs/promises";
  const { writeFile } = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ modules
  )) as typeof import("node:fs/promises");
  await writeFile(path, bytes, { flag: "wx" });
}
