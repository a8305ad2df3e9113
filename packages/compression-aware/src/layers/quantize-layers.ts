/**
 * A model's layers made to read quantized kernels, and biases and norms as short floats, all as they will be shipped.
 *
 *     const { weights } = quantizeLayers(model, () => 4, price);
 *     model.predict(x)   // with kernels of 15 levels
 */
import type { Quantizer } from "@bitdiet/fake-quant";
import type * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import { layersUses } from "bitdiet";
import type { BitsOf } from "./copy.js";
import { asContainer, leavesOf, trainedWeights } from "./walk.js";
import {
  type QuantizedWeight,
  quantizedWeight,
  roundedToShort,
  throughQuantizers,
} from "./weight-quantizer.js";

export interface QuantizedLayers {
  weights: Map<LayerVariable, QuantizedWeight>;
  /** Variables that are read as short floats. */
  vectors: Set<LayerVariable>;
  /** Logarithms of the steps that are trained: those of layers that are not frozen. */
  steps: LayerVariable[];
}

/** @param price of the weights that are trained */
export function quantizeLayers(
  model: LayersModel,
  bitsOf: BitsOf,
  price: (x: tf.Tensor, quantizer: Quantizer, name: string) => tf.Tensor,
): QuantizedLayers {
  const useOf = layersUses(model.toJSON(null, false) as Record<string, unknown>);
  const trained = new Set(trainedWeights(asContainer(model)));
  const weights = new Map<LayerVariable, QuantizedWeight>();
  const vectors = new Set<LayerVariable>();

  const read = (variable: LayerVariable, isTraining: boolean): tf.Tensor => {
    const weight = weights.get(variable);
    if (!weight) return roundedToShort(variable.read());
    const quantizer = weight.quantizer();
    const isPriced = isTraining && trained.has(variable);
    const w = isPriced ? price(variable.read(), quantizer, weight.name) : variable.read();
    return quantizer.fakeQuantize(w);
  };
  for (const layer of leavesOf(asContainer(model))) {
    const bits = bitsOf(layer.name);
    for (const variable of bits === undefined ? [] : layer.weights) {
      const use = useOf(variable.originalName, variable.shape as number[]);
      if (use.kind === "vector") vectors.add(variable);
      if (!("channelAxis" in use)) continue;
      const grid = { bits: bits!, axis: use.channelAxis, isDepthwise: use.kind === "depthwise" };
      weights.set(variable, quantizedWeight(variable, grid));
    }
    const own = layer.weights.filter((variable) => weights.has(variable) || vectors.has(variable));
    throughQuantizers(
      layer,
      (isTraining) => new Map(own.map((variable) => [variable, read(variable, isTraining)])),
    );
  }
  const moved = [...weights.values()].filter(({ variable }) => trained.has(variable));
  return { weights, vectors, steps: moved.map(({ logStep }) => logStep) };
}
