/**
 * A fixed code: a table that both sides know, and streams of nothing but codes.
 *
 *     const code = huffmanCode(Uint8Array.of(1, 2, 2));
 *     code.encode(Uint8Array.of(0, 1, 2))    // bits 0 10 11
 */
import { checkLengths, codedBits } from "./code-lengths.js";
import { decodePair } from "./decode.js";
import { buildDecodeTable, type DecodeTable } from "./decode-table.js";
import { buildEncodeTable, type EncodeTable, encodePair, pairCapacity } from "./encode.js";
import { CorruptInputError } from "./errors.js";
import { checkSymbols, countSymbols, describe, type Symbols } from "./histogram.js";
import { type Cutting, cut, longestWord } from "./words.js";

/** A table known to both sides: symbols to bytes and back, with no header. */
export interface HuffmanCode extends Readonly<Cutting> {
  /** Code length of each word in bits, 0 where a word has none. With groupSize 1 and runLimit 0 words are symbols. */
  readonly lengths: Uint8Array;
  /** @throws RangeError when a symbol has no code */
  encode(symbols: Symbols): Uint8Array;
  /**
   * @param count how many symbols `bytes` were made of
   * @returns a Uint8Array for alphabets of up to 256 symbols, else a Uint16Array
   * @throws CorruptInputError unless `bytes` are the code of exactly `count` symbols
   */
  decode(bytes: Uint8Array, count: number): Symbols;
  /** Size of the codes of these symbols in bits. `encode` adds fewer than 16 bits of padding. */
  estimateBits(symbols: Symbols): number;
}

/** Symbols that one stream or one call may hold. */
export const LARGEST_COUNT = 2 ** 28;

/** Below this many symbols a second stream's padding costs more than its speed is worth. */
const SHORTEST_PAIR = 64;

/**
 * The code with these lengths.
 *
 * @param lengths one a symbol, in bits: a complete prefix code (`codeLengths` makes one) of 1 .. 65,536 symbols,
 *   at most 20 bits; 0 for a symbol that never occurs. A lone symbol has length 1 and costs 0 bits.
 */
export function huffmanCode(lengths: Uint8Array): HuffmanCode {
  checkLengths(lengths);
  return wordCode({ alphabetSize: lengths.length, groupSize: 1, runLimit: 0 }, lengths);
}

/** The code of a cutting's words. @param lengths complete, `wordCount(cutting)` of them; a lone one only if words are symbols */
export function wordCode({ alphabetSize, groupSize, runLimit }: Cutting, lengths: Uint8Array): HuffmanCode {
  const cutting = { alphabetSize, groupSize, runLimit };
  const codes = lengths.reduce((sum, length) => sum + (length > 0 ? 1 : 0), 0);
  let encoder: EncodeTable | undefined;
  const tables: DecodeTable[] = [];

  function encode(symbols: Symbols): Uint8Array {
    checkSymbols(symbols);
    if (symbols.length > LARGEST_COUNT) {
      throw new RangeError(`symbols: expected at most ${LARGEST_COUNT}, got ${symbols.length}`);
    }
    const [a, b] = streams(symbols);
    const bits = codedBits(countWords(a), lengths) + codedBits(countWords(b), lengths);
    if (bits === 0) return new Uint8Array(0);
    if (!encoder?.pairs) encoder = buildEncodeTable(lengths, symbols.length);
    const bytes = new Uint8Array(pairCapacity(bits));
    return bytes.subarray(0, encodePair(a, b, encoder, bits, bytes, 0));
  }

  function streams(symbols: Symbols): [Symbols, Symbols] {
    const middle = segmentEnd(symbols.length);
    return [cut(symbols.subarray(0, middle), cutting), cut(symbols.subarray(middle), cutting)];
  }

  function countWords(words: Symbols): Uint32Array {
    return countSymbols(words, lengths.length);
  }

  function decode(bytes: Uint8Array, count: number): Symbols {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
    }
    if (!Number.isInteger(count) || count < 0 || count > LARGEST_COUNT) {
      throw new RangeError(`count: expected an integer in 0 .. ${LARGEST_COUNT}, got ${String(count)}`);
    }
    if (codes > 1 && count > (8 * bytes.length + 1) * longestWord(cutting)) {
      throw new CorruptInputError(`bytes: ${bytes.length} of them cannot hold ${count} symbols`);
    }
    const width = alphabetSize > 256 ? 2 : 1;
    const result = width === 1 ? new Uint8Array(count) : new Uint16Array(count);
    if (codes === 1 || count === 0) {
      if (bytes.length > 0) throw new CorruptInputError("bytes: expected none, for what costs no bits");
      return codes === 1 ? result.fill(lengths.indexOf(1)) : result;
    }
    const size = tableBits(lengths, count);
    let table = tables.find((known) => known.bits >= size);
    if (!table) tables.push((table = buildDecodeTable(lengths, cutting, width, size)));
    const out = new Uint8Array(result.buffer);
    decodePair(table, bytes, 0, bytes.length, out, 0, segmentEnd(count) * width, count * width);
    return result;
  }

  return {
    ...cutting,
    lengths,
    encode,
    decode,
    estimateBits(symbols) {
      checkSymbols(symbols);
      const [a, b] = streams(symbols);
      return codedBits(countWords(a), lengths) + codedBits(countWords(b), lengths);
    },
  };
}

/**
 * Bits of a decoder's look-up: more give more symbols each, and take longer to prepare; for large alphabets, enough
 * that few codes are longer.
 */
export function tableBits(lengths: Uint8Array, count: number): number {
  if (count < 1 << 14) return count < 1 << 11 ? 8 : 10;
  return lengths.length > 4096 && count > 1 << 18 ? 16 : 12;
}

/** Where stream A's symbols end and B's begin: at half, made even; of a few symbols A takes all. */
export function segmentEnd(count: number): number {
  return count < SHORTEST_PAIR ? count : 2 * Math.ceil(count / 4);
}
