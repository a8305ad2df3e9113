import { arrived, ship } from "@bitdiet/zoo/shipping/ship";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type ChannelLayer,
  channelQuantizer,
  multiplications,
  packedBits,
  storedChannels,
  trainableChannels,
  withoutPruned,
} from "../../methods/ajpq/channel-network.js";
import { bestGrid, MAX_BITS, packBlocks } from "../../methods/transform-quantization/blocks.js";

beforeAll(() => useBackend("cpu"));

const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(91.7 * (i + 1) * seed));

/** A block's two convolutions: 2 channels to 4, read by the next alone, to 2. */
function block(): { layers: ChannelLayer[]; biases: Record<string, tf.Tensor> } {
  const layerOf = (name: string, shape: number[], input?: number): ChannelLayer => {
    const length = shape[0] * shape[1] * shape[2];
    const channels = Array.from({ length: shape[3] }, (_, c) => ({
      values: noise(length, c + 1 + 10 * shape[2]),
      curvature: new Float32Array(length).fill(1),
    }));
    const grids = channels.map((channel) =>
      Array.from({ length: MAX_BITS + 1 }, (_, bits) => bestGrid(channel, bits)),
    );
    return { name, shape, channels, grids, input, positions: 16 };
  };
  return {
    layers: [layerOf("a.conv1.weight", [3, 3, 2, 4]), layerOf("a.conv2.weight", [3, 3, 4, 2], 0)],
    biases: { "a.conv1.bias": tf.tensor1d([1, 2, 3, 4]), "a.conv2.bias": tf.tensor1d([5, 6]) },
  };
}

/** The layers' weights as tfjs has them. */
const filtersOf = (layers: ChannelLayer[]) =>
  Object.fromEntries(
    layers.map(({ name, shape, channels }) => {
      const values = new Float32Array(channels.length * channels[0].values.length);
      for (const [c, channel] of channels.entries())
        for (const [j, value] of channel.values.entries()) values[j * channels.length + c] = value;
      return [name, tf.tensor(values, shape)];
    }),
  );

const widths = [Uint8Array.of(3, 0, 8, 0), Uint8Array.of(0, 2)];

describe("channels of their own widths", () => {
  it("take the bits that are counted: of the second filter only what reads channels that are left", () => {
    const { layers } = block();
    // Widths 6 x 4, exponents 3 x 8; 18 weights at 3 and 8 bits; 9 x 2 inputs left at 2 bits.
    expect(packedBits(layers, widths)).toBe(24 + 24 + 18 * 11 + 18 * 2);
    const blocks = Object.values(storedChannels(layers, widths)).flat();
    expect(packBlocks(blocks).length).toBe(Math.ceil(packedBits(layers, widths) / 8));
    // Two of four channels, of 18 weights each; one channel of 18 weights that are left.
    expect(multiplications(layers, widths)).toBe(16 * (36 + 18));
  });

  it("come back from bytes as the network that trains has them, pruned channels with neither weights nor bias", async () => {
    const { layers, biases } = block();
    const filters = filtersOf(layers);
    const left = tf.tidy(() => withoutPruned(layers, widths, { ...filters, ...biases }));
    const { file } = ship({
      parameters: left,
      quantizer: (name) => {
        const l = layers.findIndex((layer) => layer.name === name);
        return l < 0 ? undefined : channelQuantizer(layers[l], widths[l]);
      },
    });
    const restored = (await arrived(file)).parameters;
    expect([...restored["a.conv1.bias"].dataSync()]).toEqual([1, 0, 3, 0]);
    // The sum that this one adds to has other readers: its bias stays.
    expect([...restored["a.conv2.bias"].dataSync()]).toEqual([5, 6]);
    const first = restored["a.conv1.weight"].dataSync();
    const second = restored["a.conv2.weight"].dataSync();
    for (let j = 0; j < 18; j++) {
      expect([first[4 * j + 1], first[4 * j + 3]]).toEqual([0, 0]);
      expect(Math.abs(first[4 * j + 2] - layers[0].channels[2].values[j])).toBeLessThan(0.01);
    }
    for (let j = 0; j < 36; j++) if (j % 4 === 1 || j % 4 === 3) expect(second[2 * j + 1]).toBe(0);

    const x = tf.tensor4d(noise(32, 3), [1, 4, 4, 2]);
    const outputOf = (parameters: Record<string, tf.Tensor>) =>
      tf.tidy(() => {
        const convolve = (input: tf.Tensor4D, name: string) =>
          tf.add(
            tf.conv2d(input, parameters[`${name}.weight`] as tf.Tensor4D, 1, "same"),
            parameters[`${name}.bias`],
          );
        return convolve(tf.relu(convolve(x, "a.conv1") as tf.Tensor4D), "a.conv2").dataSync();
      });
    const expected = outputOf(restored);
    const trained = tf.tidy(() => outputOf(trainableChannels(layers, widths, { ...filters, ...biases })));
    for (const [i, value] of trained.entries()) expect(value).toBeCloseTo(expected[i], 4);
    tf.dispose([restored, left, biases, filters, x]);
  });
});
