/**
 * The copy of a model that is trained: the same layers by the same names with the same weights, batch norms folded into the layers
 * before them where these are linear, and quantizers behind activations.
 *
 *     const { model, added } = quantizedCopy(original, { activationBits: () => 4 });
 *     model.predict(x)   // what original.predict(x) is, within rounding, until the quantizers have their steps
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { ActivationQuantizer, registerActivationQuantizer } from "./activation-quantizer.js";
import { rangeOfActivation } from "./activations.js";
import { isFoldable, type MatrixLayer, type NormLayer, writeFolded } from "./fold.js";
import {
  type ContainerConfig,
  consumersOf,
  type LayerConfig,
  nameOf,
  withLayerAfter,
  withoutLayer,
} from "./topology.js";
import { asContainer, type Container, isContainer, type LiveLayer } from "./walk.js";

/** Width of a layer's results by its name; undefined where they stay floats. */
export type BitsOf = (layer: string) => number | undefined;

/** The norm that each layer takes up. */
type Norms = Map<LiveLayer, LiveLayer>;

export function quantizedCopy(
  original: LayersModel,
  activationBits: BitsOf,
): { model: LayersModel; added: Set<string> } {
  registerActivationQuantizer();
  const norms: Norms = new Map();
  const added = new Set<string>();
  // What getConfig gives shares parts with the model, and fromConfig takes some of it apart.
  const config = JSON.parse(JSON.stringify(original.getConfig())) as ContainerConfig;
  const changed = changedConfig(config, asContainer(original), {
    norms,
    added,
    activationBits,
    isWhole: true,
  });
  const model = deserialized(original, changed);
  copyWeights(asContainer(original), asContainer(model), norms);
  return { model, added };
}

/** By the class of the original: TF.js registers it, and takes the models within from its registry. */
function deserialized(original: LayersModel, config: ContainerConfig): LayersModel {
  const Class = original.constructor as unknown as {
    fromConfig(type: unknown, config: unknown, customObjects: object, isFast: boolean): LayersModel;
  };
  // Fast: weights are about to be written anyway.
  return Class.fromConfig(Class, config, {}, true);
}

interface Plan {
  norms: Norms;
  added: Set<string>;
  activationBits: BitsOf;
  /** Whether results of this model are results of the whole. */
  isWhole: boolean;
}

function changedConfig(container: ContainerConfig, live: Container, plan: Plan): ContainerConfig {
  let config = {
    ...container,
    layers: container.layers.map((layer) => changedLayer(container, layer, live, plan)),
  };
  for (const layer of container.layers) {
    const norm = normBehind(config, layer, live);
    if (!norm) continue;
    plan.norms.set(live.getLayer(nameOf(layer)) as unknown as LiveLayer, norm);
    config = withoutLayer(config, norm.name);
    config.layers.find((other) => nameOf(other) === nameOf(layer))!.config["useBias"] = true;
  }
  for (const layer of config.layers) {
    const quantizer = quantizerBehind(config, layer, plan);
    if (!quantizer) continue;
    config = withLayerAfter(config, nameOf(layer), quantizer, !plan.isWhole);
    plan.added.add(nameOf(quantizer));
  }
  return config;
}

function changedLayer(
  container: ContainerConfig,
  layer: LayerConfig,
  live: Container,
  plan: Plan,
): LayerConfig {
  if (!Array.isArray(layer.config["layers"])) return { ...layer, config: { ...layer.config } };
  const inner = live.getLayer(nameOf(layer)) as unknown as Container;
  const isWhole = plan.isWhole && consumersOf(container, nameOf(layer)).every((name) => name === "");
  const config = changedConfig(layer.config as unknown as ContainerConfig, inner, { ...plan, isWhole });
  return { ...layer, config: config as unknown as Record<string, unknown> };
}

/** The batch norm that a layer can take up: the only one who takes what it gives, over its channels. */
function normBehind(config: ContainerConfig, layer: LayerConfig, live: Container): LiveLayer | undefined {
  const isLinear = [undefined, null, "linear"].includes(layer.config["activation"] as string);
  const isLast = layer.config["dataFormat"] !== "channelsFirst";
  if (!isFoldable(layer.className) || !isLinear || !isLast) return undefined;
  const consumers = consumersOf(config, nameOf(layer));
  const next = config.layers.find((other) => nameOf(other) === consumers[0]);
  const isOnly =
    consumers.length === 1 && [layer, next].every((each) => (each?.inboundNodes?.length ?? 1) === 1);
  if (!isOnly || next?.className !== "BatchNormalization") return undefined;
  const norm = live.getLayer(nameOf(next)) as unknown as LiveLayer;
  const [axis] = [next.config["axis"] as number | number[]].flat();
  return axis === -1 || axis === norm.outputShape.length - 1 ? norm : undefined;
}

function quantizerBehind(config: ContainerConfig, layer: LayerConfig, plan: Plan): LayerConfig | undefined {
  const range = rangeOfActivation(layer);
  const bits = range && plan.activationBits(nameOf(layer));
  if (bits === undefined) return undefined;
  const consumers = consumersOf(config, nameOf(layer));
  const isResult = plan.isWhole && consumers.every((name) => name === "");
  const classes = consumers.map((name) => config.layers.find((other) => nameOf(other) === name)?.className);
  // A model that was trained so before has them.
  if (isResult || classes.every((name) => name === ActivationQuantizer.className)) return undefined;
  const own = { name: `${nameOf(layer)}_quantizer`, bits, signed: range === "signed" };
  return { className: ActivationQuantizer.className, config: own };
}

function copyWeights(from: Container, to: Container, norms: Norms): void {
  to.trainable = from.trainable;
  for (const layer of to.layers) {
    const source = from.layers.find(({ name }) => name === layer.name);
    if (!source) continue;
    if (isContainer(source)) copyWeights(source, layer as Container, norms);
    else copyLayer(source, layer, norms.get(source));
  }
}

function copyLayer(from: LiveLayer, to: LiveLayer, norm: LiveLayer | undefined): void {
  if (norm) {
    writeFolded(from as unknown as MatrixLayer, norm as unknown as NormLayer, to as unknown as MatrixLayer);
  } else {
    const byName = new Map(from.weights.map((weight) => [weight.originalName, weight]));
    // Whose names differ are in the same order.
    const sources = to.weights.map(({ originalName }, i) => byName.get(originalName) ?? from.weights[i]);
    for (const [i, weight] of [...to.weights].entries()) weight.write(sources[i].read());
    for (const [i, weight] of [...to.weights].entries())
      (weight as { trainable: boolean }).trainable = sources[i].trainable;
  }
  if (to.trainable !== from.trainable) to.trainable = from.trainable;
}
