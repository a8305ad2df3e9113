/** Quantized layers back in the model that a program came from: its tensors as integers, batch norms left with nothing to do. */
import { dequantize, type QuantizedTensor } from "../../file/quantized-tensor.js";
import { floatBytes } from "../../formats/floats.js";
import type { Model } from "../../model.js";
import type { QuantizedModel } from "../../quantize/quantize.js";
import type { QuantizedLayer } from "../../quantize/quantize-layer.js";
import { kernelValues } from "./fold.js";
import type { ProgramLayer } from "./program.js";

/** @returns the layers' tensors, and the model whose biases and norms they go with */
export function restore(
  model: Model,
  layers: readonly ProgramLayer[],
  quantized: readonly QuantizedLayer[],
): QuantizedModel {
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const tensors = new Map<string, QuantizedTensor>();
  /** What the float model has in these places now. */
  const folded = new Map<string, Float32Array>();
  const put = (name: string | undefined, tensor: Omit<QuantizedTensor, "shape">, floats?: Float32Array) => {
    if (name === undefined) return;
    const whole = { shape: shapes.get(name)!, ...tensor };
    tensors.set(name, whole);
    folded.set(name, floats ?? dequantize(whole));
  };
  for (const [index, layer] of layers.entries()) {
    const { matrix, names, rows, biases, hasBias } = layer;
    const { levels, steps, biasLevels, biasStep } = quantized[index];
    const constant = (name: string | undefined, value: number) =>
      put(name, {
        axis: 0,
        integers: new Int32Array(rows).fill(value === 0 ? 0 : 1),
        steps: Float32Array.of(value),
      });
    const putBiases = (name: string | undefined, sign: number) =>
      put(
        name,
        { axis: 0, integers: biasLevels.map((level) => sign * level), steps: Float32Array.of(biasStep) },
        biases.map((value) => sign * value),
      );
    put(names.kernel, { axis: matrix.axis, integers: levels, steps }, kernelValues(matrix, layer.weights));
    const { norm, bias } = names;
    if (!norm) {
      if (hasBias) putBiases(bias, 1);
      continue;
    }
    constant(bias, 0);
    constant(norm.gamma, 1);
    constant(norm.variance, 1 - norm.epsilon);
    putBiases(norm.beta ?? norm.mean, norm.beta === undefined ? -1 : 1);
    if (norm.beta !== undefined) constant(norm.mean, 0);
  }
  const withFolded = model.tensors.map((tensor) => {
    const values = folded.get(tensor.name);
    return values ? { ...tensor, bytes: async () => floatBytes("float32", values) } : tensor;
  });
  return { model: { ...model, tensors: withFolded }, tensors };
}
