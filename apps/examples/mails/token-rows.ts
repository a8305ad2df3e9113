// Activations of a Transformer as rows of channels, one row a token, each channel with the table that fits it (see
// feature-maps.ts). Padding is not coded: no sensible program writes it.
import { byChannel, type LayoutOf } from "@bitdiet/zoo/shipping/feature-maps";
import * as tf from "@tensorflow/tfjs-core";

/**
 * Where the tokens' values lie in an activation: rows of channels, padding left out. An activation is [batch · length,
 * channels]; probabilities are [batch, heads, length, length], whose rows are pairs of tokens and whose channels are the
 * heads; what the pooler writes is [batch, channels].
 */
export const tokenRows =
  (mask: Float32Array): LayoutOf =>
  (a) => {
    const isPairs = a.rank === 4;
    const [batch, heads, length] = a.shape as [number, number, number];
    const channels = isPairs ? heads : a.shape[1]!;
    const rows = a.size / channels;
    const isToken = (row: number): boolean => {
      if (!isPairs) return rows !== mask.length || mask[row] === 1;
      const query = Math.floor(row / length);
      const key = query - (query % length) + (row % length);
      return mask[query] === 1 && mask[key] === 1;
    };
    const kept = Array.from({ length: rows }, (_, row) => row).filter(isToken);
    return {
      contexts: () => byChannel(channels),
      take(indices: tf.Tensor): Uint8Array {
        const all = (isPairs ? tf.transpose(indices, [0, 2, 3, 1]) : indices).dataSync();
        const symbols = new Uint8Array(kept.length * channels);
        for (const [i, row] of kept.entries()) {
          symbols.set(all.subarray(row * channels, (row + 1) * channels), i * channels);
        }
        return symbols;
      },
      // Padding gets index 0.
      give(symbols): tf.Tensor {
        const all = new Int32Array(a.size);
        for (const [i, row] of kept.entries()) {
          all.set(symbols.subarray(i * channels, (i + 1) * channels), row * channels);
        }
        return isPairs
          ? tf.transpose(tf.tensor4d(all, [batch, length, length, heads], "int32"), [0, 3, 1, 2])
          : tf.tensor(all, a.shape, "int32");
      },
    };
  };
