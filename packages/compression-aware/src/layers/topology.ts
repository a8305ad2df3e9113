/**
 * Layers models as data: what TF.js's `getConfig` gives and `fromConfig` takes, with layers taken out and put in.
 *
 *     const config = withoutLayer(model.getConfig(), "bn");    // whoever took what "bn" gave takes what it was given
 *     withLayerAfter(config, "relu", quantizer);               // relu -> quantizer -> whoever took what "relu" gave
 *
 * A sequential model has its layers in order; any other says of each layer whose results it takes, once for each use.
 */

/** Result `tensor` of use `node` of a layer, and arguments of the call that takes it. */
export type Reference = [layer: string, node: number, tensor: number, ...rest: unknown[]];

/** One layer. A container's `config` is a `ContainerConfig`. */
export interface LayerConfig {
  className: string;
  config: Record<string, unknown>;
  name?: string;
  inboundNodes?: Reference[][];
}

/** A sequential model where there are no `outputLayers`. */
export interface ContainerConfig {
  name: string;
  layers: LayerConfig[];
  inputLayers?: Reference[];
  outputLayers?: Reference[];
}

export const nameOf = ({ config }: LayerConfig): string => config["name"] as string;

/** Names of the layers that take what this one gives, a name for each time; "" where it is a result of the model. */
export function consumersOf({ layers, outputLayers }: ContainerConfig, name: string): string[] {
  if (!outputLayers) {
    const next = layers[layers.findIndex((layer) => nameOf(layer) === name) + 1];
    return [next ? nameOf(next) : ""];
  }
  const within = layers.flatMap((layer) =>
    (layer.inboundNodes ?? [])
      .flat()
      .filter(([from]) => from === name)
      .map(() => nameOf(layer)),
  );
  return [...within, ...outputLayers.filter(([from]) => from === name).map(() => "")];
}

/** The model without a layer that is used once, on one tensor, and not its first. */
export function withoutLayer(container: ContainerConfig, name: string): ContainerConfig {
  const [dropped] = container.layers.filter((layer) => nameOf(layer) === name);
  const kept = { ...container, layers: container.layers.filter((layer) => layer !== dropped) };
  const [source] = dropped.inboundNodes?.[0] ?? [];
  if (!source) return kept;
  return redirected(
    kept,
    (reference) => reference[0] === name,
    ([, , , ...rest]) => [source[0], source[1], source[2], ...rest],
  );
}

/** The model with a layer of one result behind each use of another. @param isResultToo whether the model's results go through it */
export function withLayerAfter(
  container: ContainerConfig,
  name: string,
  layer: LayerConfig,
  isResultToo: boolean,
): ContainerConfig {
  const at = container.layers.findIndex((other) => nameOf(other) === name);
  const [before, after] = [container.layers.slice(0, at + 1), container.layers.slice(at + 1)];
  if (!container.outputLayers) return { ...container, layers: [...before, layer, ...after] };
  const moved = redirected(
    container,
    ([from]) => from === name,
    ([, node, , ...rest]) => [nameOf(layer), node, 0, ...rest],
  );
  const inboundNodes = container.layers[at].inboundNodes!.map((_, node): Reference[] => [
    [name, node, 0, {}],
  ]);
  return {
    ...moved,
    layers: [...moved.layers, { ...layer, name: nameOf(layer), inboundNodes }],
    outputLayers: isResultToo ? moved.outputLayers : container.outputLayers,
  };
}

function redirected(
  container: ContainerConfig,
  isMeant: (reference: Reference) => boolean,
  change: (reference: Reference) => Reference,
): ContainerConfig {
  const follow = (reference: Reference) => (isMeant(reference) ? change(reference) : reference);
  return {
    ...container,
    layers: container.layers.map((layer) => ({
      ...layer,
      inboundNodes: layer.inboundNodes?.map((node) => node.map(follow)),
    })),
    outputLayers: container.outputLayers?.map(follow),
  };
}
