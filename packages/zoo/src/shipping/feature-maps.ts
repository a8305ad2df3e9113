// Quantized feature maps as bytes and back, with fixed codes learned on training data: what a network would write to memory
// between its layers. Beside the bytes, what other codes would take for the same symbols.
// Example: symbols [0, 0, 1, 0] of a map of 2 x 2 x 1; the order-0 entropy is 0.811 bits a value.
import {
  ansCode,
  type Contexts,
  contextAnsCode,
  encodeContextTables,
  learnContextTables,
  magnitudeThresholds,
  neighbourContexts,
  normalizeCounts,
} from "@bitdiet/ans";
import type { Hooks, Quantizers } from "@bitdiet/compression-aware";
import {
  codedBits,
  codeLengths,
  countSymbols,
  encodeTable,
  huffmanCode,
  shannonEntropy,
} from "@bitdiet/huffman";
import * as tf from "@tensorflow/tfjs-core";

/** What the maps of one layer cost over all test data, in bytes; tables included, each once. */
export interface CodedMaps {
  name: string;
  values: number;
  /** How often each symbol occurs. */
  counts: number[];
  /** Width of a symbol without any entropy coding, bits. */
  fixedWidth: number;
  /** Order-0 Shannon entropy of these very symbols, bits a value: below it no code of single symbols can get. */
  entropy: number;
  /** A Huffman code of single symbols, by its code lengths. */
  huffmanBytes: number;
  /** tANS of single symbols. */
  ansBytes: number;
  /** tANS with contexts: the bytes that were written and decoded. */
  codedBytes: number;
}

export type Symbols = Uint8Array | Uint16Array;

/** A layer's codes, and the count of what has passed. */
export interface MapCoder {
  /** Writes whole maps and reads them back, counting. @returns as decoded */
  pass(symbols: Symbols): Symbols;
  total(): CodedMaps;
}

/** The decoder's table of 4,096 entries stays in the first-level cache. */
const TABLE_LOG = 12;

/**
 * Learns a layer's codes. Every symbol of the alphabet can be coded, also those that training lacks.
 *
 * @param training symbols of whole maps, one behind the other
 * @param contexts `alike` for maps whose neighbours are alike, `byChannel` where channels differ
 * @param alphabetSize symbols are 0 .. alphabetSize - 1; its logarithm, rounded up, is the fixed width
 */
export function learnMapCoder(
  name: string,
  training: Symbols,
  contexts: Contexts,
  alphabetSize: number,
): MapCoder {
  const trainingCounts = Float64Array.from(countSymbols(training, alphabetSize), (count) => 2 * count + 1);
  const lengths = codeLengths(trainingCounts);
  const frequencies = normalizeCounts(trainingCounts, TABLE_LOG);
  const single = ansCode(frequencies);
  const singleTable = { tableLog: TABLE_LOG, tables: [frequencies], tableOf: new Uint8Array(1) };
  const tables = learnContextTables(training, contexts, { alphabetSize, tableLog: TABLE_LOG });
  const code = contextAnsCode(tables, contexts);

  const counts = new Float64Array(alphabetSize);
  let ansBits = 8 * encodeContextTables(singleTable).length;
  const thresholds = "thresholds" in contexts ? contexts.thresholds.length : 0;
  let codedBytes = encodeContextTables(tables).length + thresholds;
  return {
    pass(symbols) {
      const bytes = code.encode(symbols);
      countSymbols(symbols, alphabetSize).forEach((count, symbol) => {
        counts[symbol] += count;
      });
      ansBits += single.encodedBits(symbols);
      codedBytes += bytes.length;
      return code.decode(bytes, symbols.length);
    },
    total: () => ({
      name,
      values: counts.reduce((sum, count) => sum + count, 0),
      counts: [...counts],
      fixedWidth: Math.ceil(Math.log2(alphabetSize)),
      entropy: shannonEntropy(counts),
      huffmanBytes: encodeTable(huffmanCode(lengths)).length + Math.ceil(codedBits(counts, lengths) / 8),
      ansBytes: ansBits / 8,
      codedBytes,
    }),
  };
}

/** Contexts from neighbours' magnitudes. @param zero the symbol of value 0, where values may be negative */
export function alike(
  training: Symbols,
  shape: { height: number; width: number; channels: number },
  zero = 0,
): Contexts {
  const thresholds = magnitudeThresholds(training, zero, shape.channels > 1 ? 4 : 5);
  return neighbourContexts({ ...shape, zero, thresholds });
}

/** The channel as context: channels with like histograms share a table, see learnContextTables. */
export const byChannel = (channels: number): Contexts => ({
  count: channels,
  contextOf: (_, index) => index % channels,
});

/** How an activation's indices become symbols and come back, and the contexts that suit them. */
export interface MapLayout {
  take(indices: tf.Tensor): Symbols;
  /** Indices of the whole activation. */
  give(symbols: Symbols): tf.Tensor;
  contexts(training: Symbols): Contexts;
}

export type LayoutOf = (a: tf.Tensor) => MapLayout;

/** Maps [batch, height, width, channels] in memory order, at most 256 levels. */
export const imageMaps: LayoutOf = (a) => {
  const [, height, width, channels] = a.shape as number[];
  return {
    take: (indices) => new Uint8Array(indices.dataSync()),
    give: (symbols) => tf.tensor(new Int32Array(symbols), a.shape, "int32"),
    contexts: (training) => alike(training, { height, width, channels }),
  };
};

/** One coder a layer, learned from a run over training data. @param run the network with these hooks, inside a tidy */
export function learnMapCoders(
  run: (hooks: Pick<Required<Hooks>, "activation">) => unknown,
  quantizer: Quantizers["activation"],
  layoutOf: LayoutOf = imageMaps,
): Record<string, MapCoder> {
  const coders: Record<string, MapCoder> = {};
  tf.tidy(
    () =>
      void run({
        activation: (a, name) => {
          const { levels, quantize, fakeQuantize } = quantizer(name);
          const { take, contexts } = layoutOf(a);
          const symbols = take(quantize(a));
          coders[name] = learnMapCoder(name, symbols, contexts(symbols), levels.size);
          return fakeQuantize(a);
        },
      }),
  );
  return coders;
}

/** A hook that writes every feature map as bytes, and goes on with what it reads back. */
export function codeMaps(
  coders: Record<string, MapCoder>,
  quantizer: Quantizers["activation"],
  layoutOf: LayoutOf = imageMaps,
): Required<Hooks>["activation"] {
  return <T extends tf.Tensor>(a: T, name: string): T => {
    const { quantize, dequantize } = quantizer(name);
    const { take, give } = layoutOf(a);
    return dequantize(give(coders[name].pass(take(quantize(a))))) as T;
  };
}
