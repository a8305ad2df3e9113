// A network whose output channels have widths of their own, 0 bits being a pruned one: what is quantized how, what it costs
// in bits and multiplications, and the way to bytes and back. Where a channel is read by the next convolution alone, its
// bias and the weights that would read it go with it. Example: of a block's 16 inner channels 4 are pruned: its second
// convolution has 108 weights a channel in place of 144.

import type { Parameters } from "@bitdiet/compression-aware";
import { affineQuantizer, keptWeights, type Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { meanSquares, outputGradients } from "../sensitivity.js";
import type { Testbed } from "../testbed.js";
import {
  type Block,
  bestGrid,
  MAX_BITS,
  type StoredBlock,
  stepOf,
  storedBlock,
  twosComplement,
} from "../transform-quantization/blocks.js";

export interface ChannelLayer {
  name: string;
  shape: number[];
  /** Weights of each channel, and what errors in them cost. */
  channels: Block[];
  /** A channel's grid and what it costs to second order, by width 0 .. MAX_BITS. */
  grids: ReturnType<typeof bestGrid>[][];
  /** The layer whose channels it reads, if no other reads them. */
  input?: number;
  /** Pixels that it computes. */
  positions: number;
}

/** All filters and the matrix, in the order of the network. */
export function channelLayers(testbed: Testbed): ChannelLayer[] {
  const gradients = Object.entries(outputGradients(testbed));
  return gradients.map(([name, draws], l) => {
    const { shape } = testbed.start[name];
    const outputs = shape[shape.length - 1];
    const rows = channelRows(testbed.start[name].dataSync<"float32">(), outputs);
    const curvatures = channelRows(meanSquares(draws), outputs);
    const channels = rows.map((values, c) => ({ values, curvature: curvatures[c] }));
    const grids = channels.map((channel) =>
      Array.from({ length: MAX_BITS + 1 }, (_, bits) => bestGrid(channel, bits)),
    );
    const stage = Number(/^layer(\d)/.exec(name)?.[1] ?? 1);
    const positions = name.startsWith("linear") ? 1 : (64 / 2 ** stage) ** 2;
    const input = name.endsWith("conv2.weight") ? l - 1 : undefined;
    return { name, shape, channels, grids, input, positions };
  });
}

/** The weights of each output channel, the last axis. */
function channelRows(filter: Float32Array, outputs: number): Float32Array[] {
  return Array.from({ length: outputs }, (_, c) =>
    Float32Array.from({ length: filter.length / outputs }, (_, j) => filter[j * outputs + c]),
  );
}

/** One width a channel of each layer. */
export type Widths = readonly ArrayLike<number>[];

/** A row without the weights that read pruned channels. */
const keptOf = <T extends Float32Array>(row: T, inputs: ArrayLike<number> | undefined): T =>
  (inputs ? row.filter((_, j) => inputs[j % inputs.length] > 0) : row) as T;

/** The blocks of the file, by filter. */
export function storedChannels(
  layers: readonly ChannelLayer[],
  widths: Widths,
): Record<string, StoredBlock[]> {
  return Object.fromEntries(
    layers.map(({ name, channels, grids, input }, l) => [
      name,
      channels.map(({ values }, c) =>
        storedBlock(
          keptOf(values, input === undefined ? undefined : widths[input]),
          grids[c][widths[l][c]].grid,
        ),
      ),
    ]),
  );
}

/** Bits of that file packed, without writing it. */
export function packedBits(layers: readonly ChannelLayer[], widths: Widths): number {
  const kept = keptWeights(
    widths,
    layers.map(({ channels }) => channels[0].values.length),
    inputsOf(layers),
  );
  return layers.reduce((sum, _, l) => {
    const alive = Array.from(widths[l]).filter((bits) => bits > 0);
    const perChannel = alive.length > 0 ? kept[l] / alive.length : 0;
    return sum + 4 * widths[l].length + alive.reduce((bits, width) => bits + 8 + width * perChannel, 0);
  }, 0);
}

/** Multiplications of an image. */
export function multiplications(layers: readonly ChannelLayer[], widths: Widths): number {
  const kept = keptWeights(
    widths,
    layers.map(({ channels }) => channels[0].values.length),
    inputsOf(layers),
  );
  return layers.reduce((sum, { positions }, l) => sum + kept[l] * positions, 0);
}

const inputsOf = (layers: readonly ChannelLayer[]) => layers.map(({ input }) => input);

/** The quantizer of a layer's filter: a width and a step a channel. */
export function channelQuantizer({ grids }: ChannelLayer, widths: ArrayLike<number>): Quantizer {
  const own = grids.map((points, c) => points[widths[c]].grid);
  return affineQuantizer({
    bits: own.map(({ bits }) => bits),
    zeroPoint: own.map(twosComplement),
    scale: tf.tensor1d(own.map(stepOf)),
  });
}

/** 0 for a pruned channel that only the next layer reads, else 1. */
export function channelMask(
  layers: readonly ChannelLayer[],
  l: number,
  widths: ArrayLike<number>,
): tf.Tensor1D {
  const isInner = layers[l + 1]?.input === l;
  return tf.tensor1d(Array.from(widths, (bits) => (bits > 0 || !isInner ? 1 : 0)));
}

/** Filters and biases without what belongs to pruned channels: their biases, and the weights that would read them. */
export function withoutPruned(
  layers: readonly ChannelLayer[],
  widths: Widths,
  parameters: Parameters,
): Parameters {
  return Object.fromEntries(
    layers.flatMap(({ name, input }, l) => {
      const bias = name.replace(/weight$/, "bias");
      const filter = parameters[name];
      const alive = input === undefined ? undefined : channelMask(layers, input, widths[input]);
      return [
        [name, alive ? tf.mul(filter, tf.reshape(alive, [-1, 1])) : filter],
        [bias, tf.mul(parameters[bias], channelMask(layers, l, widths[l]))],
      ];
    }),
  );
}

/** The network that trains: every channel on its grid, with straight-through gradients to filters and biases. */
export function trainableChannels(
  layers: readonly ChannelLayer[],
  widths: Widths,
  trained: Parameters,
): Parameters {
  const quantized = layers.map((layer, l) => [
    layer.name,
    channelQuantizer(layer, widths[l]).fakeQuantize(trained[layer.name]),
  ]);
  return withoutPruned(layers, widths, { ...trained, ...Object.fromEntries(quantized) });
}

/** The same layers with the weights of these parameters. */
export const withWeights = (layers: readonly ChannelLayer[], parameters: Parameters): ChannelLayer[] =>
  layers.map((layer) => {
    const rows = channelRows(parameters[layer.name].dataSync<"float32">(), layer.channels.length);
    return { ...layer, channels: layer.channels.map((channel, c) => ({ ...channel, values: rows[c] })) };
  });
