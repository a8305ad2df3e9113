// A trained network as a .bitdiet file, and back: the one way to ship. Weights that have a quantizer are kept as its integers
// and steps, everything else exactly; scales of activations ride along as one tensor. What is judged is what `arrived` reads.
// Example: a dense layer [64, 10] of 4 bits and a bias of 10 floats are about 360 bytes.
import type { FrozenScale, Parameters } from "@bitdiet/compression-aware";
import type { Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import {
  decodeModel,
  encodeModel,
  floatBytes,
  floatValues,
  type QuantizedTensor,
  type SourceTensor,
} from "bitdiet";
import { quantizedTensor } from "bitdiet/training";

/** A network to be shipped: parameters, and how those that are quantized are. */
export interface Shipment {
  parameters: Parameters;
  /** The quantizer of a parameter, made within a tidy; undefined for what is kept exactly. */
  quantizer: (name: string) => Quantizer | undefined;
  /** Scales of activations, which the decoder needs as well. */
  activationScales?: Record<string, FrozenScale>;
}

export interface Shipped {
  /** The whole file. */
  file: Uint8Array;
  /** The quantized weights as they are in it, by name. */
  weights: Map<string, QuantizedTensor>;
}

/** Name of the tensor that holds the activations' scales, one after the other in the order of the network. */
const ACTIVATION_SCALES = "activation.scales";

/** Writes the file. Leaves no tensor behind. */
export function ship({ parameters, quantizer, activationScales = {} }: Shipment): Shipped {
  const weights = new Map<string, QuantizedTensor>();
  const exact: SourceTensor[] = [];
  for (const [name, tensor] of Object.entries(parameters)) {
    // A tidy that returned the integers would look for tensors in each of them.
    tf.tidy(() => {
      const own = quantizer(name);
      if (own) weights.set(name, quantizedTensor(own, tensor, outputAxis(name, tensor)));
      else exact.push(exactTensor(name, tensor.shape, tensor.dataSync<"float32">()));
    });
  }
  return written(weights, [...exact, ...scaleTensor(activationScales)]);
}

/** The file of these integers, and of everything that is kept exactly. */
export function written(weights: Map<string, QuantizedTensor>, exact: SourceTensor[]): Shipped {
  const tensors = [...weights].map(([name, quantized]) => ({ name, dtype: "float32" as const, quantized }));
  // The fewest bytes, which is what tables compare.
  return { file: encodeModel({ tensors: [...tensors, ...exact] }, { minGain: 0 }), weights };
}

/** Output channels are the last axis of a kernel; of a table that is looked up by row, rows are its entries. */
const outputAxis = (name: string, { rank }: tf.Tensor): number =>
  name.includes("embeddings.") ? 0 : rank - 1;

/** A tensor that keeps every bit: as bfloat16 where that holds all values. */
export function exactTensor(name: string, shape: readonly number[], values: Float32Array): SourceTensor {
  const isShort = new Uint32Array(Float32Array.from(values).buffer).every((word) => (word & 0xffff) === 0);
  const dtype = isShort ? "bfloat16" : "float32";
  return { name, dtype, shape, bytes: floatBytes(dtype, values).slice() };
}

function scaleTensor(scales: Record<string, FrozenScale>): SourceTensor[] {
  const values = Float32Array.from(Object.values(scales).flatMap(numbersOf));
  return values.length > 0 ? [exactTensor(ACTIVATION_SCALES, [values.length], values)] : [];
}

const numbersOf = (scale: FrozenScale): number[] => (typeof scale === "number" ? [scale] : [...scale]);

/** What a decoder has: everything from bytes, but the names of activations and how many scales each has. */
export interface Arrived {
  /** The caller disposes of them. */
  parameters: Parameters;
  activationScales: Record<string, FrozenScale>;
}

/** Reads the file. @param activations scales of these names and lengths are in it */
export async function arrived(
  file: Uint8Array,
  activations: Record<string, FrozenScale> = {},
): Promise<Arrived> {
  const parameters: Parameters = {};
  let scales: Float32Array = new Float32Array(0);
  for (const { name, shape, values } of (await decodeModel(file)).tensors) {
    const floats = values instanceof Float32Array ? values : floatValues("bfloat16", values);
    if (name === ACTIVATION_SCALES) scales = floats;
    else parameters[name] = tf.tensor(floats, shape, "float32");
  }
  let at = 0;
  const activationScales = Object.fromEntries(
    Object.entries(activations).map(([name, like]) => {
      if (typeof like === "number") return [name, scales[at++]];
      return [name, scales.slice(at, (at += like.length))];
    }),
  );
  return { parameters, activationScales };
}
