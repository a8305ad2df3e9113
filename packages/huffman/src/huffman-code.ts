/**
 * A fixed code: a table that both sides know, and streams of nothing but codes.
 *
 *     const code = huffmanCode(Uint8Array.of(1, 2, 2));
 *     code.encode(Uint8Array.of(0, 1, 2))    // bits 0 10 11
 */
import { describe } from "@bitdiet/stream";
import { checkLengths, codedBits } from "./code-lengths.js";
import { decodeWords } from "./decode.js";
import type { DecodeTable } from "./decode-table.js";
import { buildEncodeTable, type EncodeTable, encodePair, pairCapacity } from "./encode.js";
import { checkSymbols, countSymbols, type Symbols } from "./histogram.js";
import { type Cutting, cutHalves, MAX_COUNT } from "./words.js";

/** A table known to both sides: symbols to bytes and back, with no header. */
export interface HuffmanCode extends Readonly<Cutting> {
  /** Code length of each word in bits, 0 where a word has none. With groupSize 1 and runLimit 0 words are symbols. */
  readonly lengths: Uint8Array;
  /** @throws {RangeError} when a symbol has no code */
  encode(symbols: Symbols): Uint8Array;
  /**
   * @param count how many symbols `bytes` were made of
   * @returns a Uint8Array for alphabets of up to 256 symbols, else a Uint16Array
   * @throws {CorruptInputError} unless `bytes` are the code of exactly `count` symbols
   */
  decode(bytes: Uint8Array, count: number): Symbols;
  /** 8 * encode(symbols).length, without the writing. */
  encodedBits(symbols: Symbols): number;
}

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
  let encoder: EncodeTable | undefined;
  const tables: DecodeTable[] = [];

  function encode(symbols: Symbols): Uint8Array {
    checkSymbols(symbols);
    if (symbols.length > MAX_COUNT) {
      throw new RangeError(`symbols: expected at most ${MAX_COUNT}, got ${symbols.length}`);
    }
    const [a, b] = cutHalves(symbols, cutting);
    const bits = codedBits(countWords(a), lengths) + codedBits(countWords(b), lengths);
    if (bits === 0) return new Uint8Array(0);
    if (!encoder?.pairs) encoder = buildEncodeTable(lengths, symbols.length);
    const bytes = new Uint8Array(pairCapacity(bits));
    return bytes.subarray(
      0,
      encodePair(a, b, encoder, (words) => words, bits, bytes, 0),
    );
  }

  function countWords(words: Symbols): Uint32Array {
    return countSymbols(words, lengths.length);
  }

  function decode(bytes: Uint8Array, count: number): Symbols {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`bytes: expected a Uint8Array, got ${describe(bytes)}`);
    }
    if (!Number.isInteger(count) || count < 0 || count > MAX_COUNT) {
      throw new RangeError(`count: expected an integer in 0 .. ${MAX_COUNT}, got ${String(count)}`);
    }
    return decodeWords(lengths, cutting, alphabetSize > 256 ? 2 : 1, bytes, 0, count, tables);
  }

  return {
    ...cutting,
    lengths,
    encode,
    decode,
    encodedBits(symbols) {
      checkSymbols(symbols);
      const wholeBytes = (half: Symbols) => Math.ceil(codedBits(countWords(half), lengths) / 8);
      const [a, b] = cutHalves(symbols, cutting);
      return 8 * (wholeBytes(a) + wholeBytes(b));
    },
  };
}
