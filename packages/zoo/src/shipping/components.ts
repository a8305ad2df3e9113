// Transform coefficients of feature maps as bytes and back: the component is the context, so that each has a table of its
// own where that pays. Pooled, unlike histograms waste bits. Example: two components of as many symbols, one 0 in 9 of 10
// and 1 else, one 0 or 1 alike: 0.734 bits a symbol with a table each, 0.881 with one for both (methods of arXiv 1905.10830).
import { contextAnsCode, encodeContextTables, learnContextTables } from "@bitdiet/ans";
import { codedBits, codeLengths, encodeTable, huffmanCode, shannonEntropy } from "@bitdiet/huffman";
import type { CodedMaps, MapCoder, Symbols } from "./maps.js";

export interface ComponentShape {
  /** Symbols a pixel. */
  components: number;
  /** Symbols are 0 .. alphabetSize - 1. */
  alphabetSize: number;
}

export interface CodedComponents extends CodedMaps {
  /** Entropy of one histogram a component, bits a value; `entropy` is that of all components pooled, as published. */
  componentEntropy?: number;
}

/**
 * The same cost, in terms of the values that coefficients stand for.
 *
 * @param kept coefficients a value, below 1 where a transform is truncated
 * @param bits fixed width of a coefficient, @param sideBytes what the decoder needs besides, the basis for instance
 */
export function perValue(
  map: CodedComponents,
  { kept, bits, sideBytes }: { kept: number; bits: number; sideBytes: number },
): CodedComponents {
  return {
    ...map,
    values: map.values / kept,
    fixedWidth: bits * kept,
    entropy: map.entropy * kept,
    componentEntropy: map.componentEntropy && map.componentEntropy * kept,
    huffmanBytes: map.huffmanBytes + sideBytes,
    ansBytes: map.ansBytes + sideBytes,
    codedBytes: map.codedBytes + sideBytes,
  };
}

/** A MapCoder, or one that knows components. */
export interface ComponentCoder extends MapCoder {
  total(): CodedComponents;
}

/**
 * Learns a layer's code. Every symbol of the alphabet can be coded, also those that training lacks. Huffman and tANS
 * counts are of a table a component, too.
 *
 * @param training symbols of whole pixels, [pixels, components] row-major
 */
export function learnComponentCoder(
  name: string,
  training: Symbols,
  { components, alphabetSize }: ComponentShape,
): ComponentCoder {
  const contexts = {
    count: components,
    contextOf: (_: ArrayLike<number>, index: number) => index % components,
  };
  const tables = learnContextTables(training, contexts, { alphabetSize });
  const code = contextAnsCode(tables, contexts);
  const histogramsOf = (symbols: Symbols, into: Float64Array[]) => {
    for (let i = 0; i < symbols.length; i++) into[i % components][symbols[i]]++;
    return into;
  };
  const empty = () => Array.from({ length: components }, () => new Float64Array(alphabetSize));
  const lengths = histogramsOf(training, empty()).map((own) =>
    codeLengths(own.map((count) => 2 * count + 1)),
  );
  const histograms = empty();
  let codedBytes = encodeContextTables(tables).length;
  return {
    pass(symbols) {
      histogramsOf(symbols, histograms);
      const bytes = code.encode(symbols);
      codedBytes += bytes.length;
      return code.decode(bytes, symbols.length);
    },
    total() {
      const counts = new Float64Array(alphabetSize);
      let symbols = 0;
      let componentBits = 0;
      let huffmanBytes = 0;
      for (const [k, own] of histograms.entries()) {
        const total = own.reduce((sum, count) => sum + count, 0);
        symbols += total;
        if (total > 0) componentBits += total * shannonEntropy(own);
        huffmanBytes +=
          encodeTable(huffmanCode(lengths[k])).length + Math.ceil(codedBits(own, lengths[k]) / 8);
        own.forEach((count, symbol) => {
          counts[symbol] += count;
        });
      }
      return {
        name,
        values: symbols,
        counts: [...counts],
        fixedWidth: Math.ceil(Math.log2(alphabetSize)),
        entropy: symbols > 0 ? shannonEntropy(counts) : 0,
        componentEntropy: componentBits / symbols,
        huffmanBytes,
        ansBytes: codedBytes,
        codedBytes,
      };
    },
  };
}
