/**
 * What was trained, as a .bitdiet file: kernels as the integers and steps that the last step of training would use, everything else
 * bit for bit as the layers read it. Nothing is rounded here that training did not round.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { dequantize, encodeTrained, memoryFiles, type QuantizedTensor, readModel } from "bitdiet";
import { quantizedTensor, type ReadableTensor } from "bitdiet/training";
import { ActivationQuantizer } from "./activation-quantizer.js";
import { centred } from "./learned-step.js";
import { asContainer, leavesOf } from "./walk.js";
import { type QuantizedWeight, roundedToShort } from "./weight-quantizer.js";

/**
 * Integers and steps of the kernels as they are at the call, by name. What a device has computed is waited for: WebGPU gives nothing
 * at once.
 */
export async function integersOf(weights: Iterable<QuantizedWeight>): Promise<Map<string, QuantizedTensor>> {
  const integers = await Promise.all(
    [...weights].map(async ({ name, variable, axis, quantizer }) => {
      const [levels, scale, indices] = tf.tidy(() => {
        const own = quantizer();
        return [own.levels, own.scale, own.quantize(variable.read())];
      });
      const arrived = await Promise.all([levels, scale, indices].map(readable));
      const given = {
        levels: arrived[0],
        scale: arrived[1],
        quantize: () => ({ ...arrived[2], dispose() {} }),
      };
      return [name, quantizedTensor(given, arrived[2], axis)] as const;
    }),
  );
  return new Map(integers);
}

async function readable(tensor: tf.Tensor): Promise<ReadableTensor> {
  const values = await tensor.data();
  tensor.dispose();
  return { shape: tensor.shape, dataSync: () => values };
}

/**
 * The file of a model.
 *
 * @param vectors variables that layers read as short floats
 * @throws {RangeError} naming a quantizer of activations that has no step yet
 */
export async function trainedFile(
  model: LayersModel,
  weights: ReadonlyMap<LayerVariable, QuantizedWeight>,
  vectors: ReadonlySet<LayerVariable>,
): Promise<Uint8Array> {
  const quantizers = activationQuantizers(model);
  checkSteps(quantizers);
  const logSteps = new Set(quantizers.map(({ logStep }) => logStep));
  const variables = [...new Set(leavesOf(asContainer(model)).flatMap((layer) => layer.weights))];
  const shipped = variables.map((variable) => {
    const value = variable.read();
    return vectors.has(variable)
      ? roundedToShort(value)
      : logSteps.has(variable)
        ? centred(value)
        : tf.clone(value);
  });
  const integers = await integersOf(weights.values());
  const values = await Promise.all(
    shipped.map(async (tensor, i) => {
      const name = variables[i].originalName;
      const quantized = integers.get(name);
      const value = await tensor.data();
      tensor.dispose();
      const bad = value.find((number) => !Number.isFinite(number));
      if (bad !== undefined) throw new RangeError(`${name}: expected numbers, got ${bad}`);
      return quantized ? dequantize(quantized) : value;
    }),
  );
  const entries = variables.map(({ originalName: name, shape, dtype }) => ({ name, shape, dtype }));
  const json = {
    format: "layers-model",
    modelTopology: model.toJSON(null, false),
    weightsManifest: [{ paths: ["weights.bin"], weights: entries }],
  };
  const files = memoryFiles({
    "model.json": new TextEncoder().encode(JSON.stringify(json)),
    "weights.bin": joined(values),
  });
  return encodeTrained(await readModel(files, "model.json"), integers);
}

export function activationQuantizers(model: LayersModel): ActivationQuantizer[] {
  const layers: unknown[] = leavesOf(asContainer(model));
  return layers.filter((layer) => layer instanceof ActivationQuantizer);
}

/** @throws {RangeError} naming a quantizer that has no step yet */
export function checkSteps(quantizers: readonly ActivationQuantizer[]): void {
  const waiting = quantizers.find(({ startsAt }) => startsAt !== undefined);
  if (waiting)
    throw new RangeError(`model: expected a step of training first, which gives ${waiting.name} its range`);
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
