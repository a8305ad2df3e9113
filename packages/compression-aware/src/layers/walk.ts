/** Layers of a layers model as TF.js builds them: what is used of them here, and models within models. */
import type * as tf from "@tensorflow/tfjs-core";
import type { LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";

/** Keyword arguments of a layer's call. */
export interface CallArguments {
  training?: boolean;
}

export interface LiveLayer {
  name: string;
  weights: LayerVariable[];
  trainableWeights: LayerVariable[];
  trainable: boolean;
  outputShape: (number | null)[] | (number | null)[][];
  getClassName(): string;
  call(inputs: tf.Tensor | tf.Tensor[], kwargs: CallArguments): tf.Tensor | tf.Tensor[];
}

/** A model, or a model that is a layer of another. */
export type Container = Pick<LayersModel, "getLayer"> & LiveLayer & { layers: LiveLayer[] };

export const asContainer = (model: LayersModel): Container => model as unknown as Container;

export function isContainer(layer: LiveLayer): layer is Container {
  return Array.isArray((layer as Partial<Container>).layers);
}

/** The layers with weights of their own, also of models within the model. */
export function leavesOf(container: Container): LiveLayer[] {
  const layers = container.layers.filter((layer) => layer.getClassName() !== "InputLayer");
  return layers.flatMap((layer) => (isContainer(layer) ? leavesOf(layer) : layer));
}

/** The weights that training moves: of layers that are not frozen, in models that are not. */
export function trainedWeights(container: Container): LayerVariable[] {
  if (!container.trainable) return [];
  return container.layers.flatMap((layer) =>
    isContainer(layer) ? trainedWeights(layer) : layer.trainableWeights,
  );
}
