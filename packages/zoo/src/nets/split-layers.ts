// A chain of layers cut in two, to run its halves on two machines: the second half takes the output of the layer named.
// Example: `splitLayers(mobilenet, "conv_pw_6_relu")` gives a head from pictures to 14 x 14 x 128, and a tail from there to classes.
import { input, type LayersModel, model, type SymbolicTensor } from "@tensorflow/tfjs-layers";

/** Two models that share the whole one's weights; disposing of that disposes of them. */
export interface SplitLayers {
  head: LayersModel;
  tail: LayersModel;
  /** Height, width and channels of what passes from one to the other. */
  shape: [number, number, number];
}

/**
 * @param at the last layer of the head
 * @throws {RangeError} if no layer but the last has that name, its output is no map, or the layers after it are no chain
 */
export function splitLayers(whole: LayersModel, at: string): SplitLayers {
  const index = whole.layers.findIndex(({ name }) => name === at);
  if (index < 0 || index === whole.layers.length - 1) {
    throw new RangeError(`at: expected a layer before the last, got ${at}`);
  }
  const cut = whole.layers[index].getOutputAt(0) as SymbolicTensor;
  const [, height, width, channels] = cut.shape;
  if (cut.shape.length !== 4 || !height || !width || !channels) {
    throw new RangeError(`at: expected a layer that gives maps of fixed size, got ${at}: [${cut.shape}]`);
  }
  const start = input({ shape: [height, width, channels] });
  let end = start;
  let before = cut;
  for (const layer of whole.layers.slice(index + 1)) {
    if (layer.getInputAt(0) !== before)
      throw new RangeError(`at: expected a chain behind ${at}, got a branch at ${layer.name}`);
    before = layer.getOutputAt(0) as SymbolicTensor;
    end = layer.apply(end) as SymbolicTensor;
  }
  return {
    head: model({ inputs: whole.inputs, outputs: cut }),
    tail: model({ inputs: start, outputs: end }),
    shape: [height, width, channels],
  };
}
