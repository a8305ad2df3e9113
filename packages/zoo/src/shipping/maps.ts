// Quantized feature maps as bytes and back, with fixed codes learned on training images: what a network would write to
// memory between its layers. Beside the bytes, what other codes would take for the same symbols.
// Example: symbols [0, 0, 1, 0] of a map of 2 x 2 x 1; the order-0 entropy is 0.811 bits a value.
import {
  ansCode,
  contextAnsCode,
  encodeContextTables,
  learnContextTables,
  magnitudeThresholds,
  neighbourContexts,
  normalizeCounts,
} from "@bitdiet/ans";
import {
  codedBits,
  codeLengths,
  countSymbols,
  encodeTable,
  huffmanCode,
  shannonEntropy,
} from "@bitdiet/huffman";

/** Of one image's map; symbols are in the order [height, width, channels]. */
export interface MapShape {
  height: number;
  width: number;
  channels: number;
}

/** What the maps of one layer cost over all test images, in bytes; tables included, each once. */
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
  /** tANS with contexts from neighbours: the bytes that were written and decoded. */
  codedBytes: number;
}

export type Symbols = Uint8Array | Uint16Array;

/** A layer's codes, and the count of what has passed. */
export interface MapCoder {
  /** Writes whole maps and reads them back, counting. @returns as decoded */
  pass(symbols: Symbols): Symbols;
  total(): CodedMaps;
}

/**
 * Learns a layer's codes. Every symbol of the alphabet can be coded, also those that training lacks.
 *
 * @param training symbols of whole maps, one behind the other
 * @param alphabetSize symbols are 0 .. alphabetSize - 1; its logarithm, rounded up, is the fixed width
 * @param zero the symbol of value 0, where values may be negative
 */
export function learnMapCoder(
  name: string,
  training: Symbols,
  shape: MapShape,
  { alphabetSize, zero = 0 }: { alphabetSize: number; zero?: number },
): MapCoder {
  const trainingCounts = Float64Array.from(countSymbols(training, alphabetSize), (count) => 2 * count + 1);
  const lengths = codeLengths(trainingCounts);
  const frequencies = normalizeCounts(trainingCounts, TABLE_LOG);
  const single = ansCode(frequencies);
  const singleTable = { tableLog: TABLE_LOG, tables: [frequencies], tableOf: new Uint8Array(1) };
  const classes = shape.channels > 1 ? 4 : 5;
  const contexts = neighbourContexts({
    ...shape,
    zero,
    thresholds: magnitudeThresholds(training, zero, classes),
  });
  const tables = learnContextTables(training, contexts, { alphabetSize, tableLog: TABLE_LOG });
  const code = contextAnsCode(tables, contexts);

  const counts = new Float64Array(alphabetSize);
  let ansBits = 8 * encodeContextTables(singleTable).length;
  let codedBytes = encodeContextTables(tables).length + contexts.thresholds.length;
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

const TABLE_LOG = 12;

/** Bits a value over all layers, weighted by size. */
export interface MapBits {
  fixedWidth: number;
  entropy: number;
  huffman: number;
  ans: number;
  coded: number;
}

export function mapBits(maps: CodedMaps[]): MapBits {
  const values = maps.reduce((sum, map) => sum + map.values, 0);
  const mean = (bits: (map: CodedMaps) => number) => maps.reduce((sum, map) => sum + bits(map), 0) / values;
  return {
    fixedWidth: mean((map) => map.fixedWidth * map.values),
    entropy: mean((map) => map.entropy * map.values),
    huffman: mean((map) => 8 * map.huffmanBytes),
    ans: mean((map) => 8 * map.ansBytes),
    coded: mean((map) => 8 * map.codedBytes),
  };
}
