/**
 * Fixed codes learned from samples: train the table once, send or ship it, and code other data with it. Every word
 * gets a code, also those the samples lack (as if it occurred an eighth of a time), so no
 * data of the alphabet is ever uncodable.
 *
 *     groups of 2 over 90 % zeros: the pair 00, 81 % of all pairs, takes 1 bit, half a bit a symbol
 */
import { codedBits, codeLengths } from "./code-lengths.js";
import { checkAlphabetSize, checkSymbols, countSymbols, type Symbols } from "./histogram.js";
import { type HuffmanCode, wordCode } from "./huffman-code.js";
import { tableBytes } from "./table.js";
import { type Cutting, cut, isCutting, wordCount } from "./words.js";

/** More words than this make tables that neither samples fill nor a fast decoder holds. */
const MAX_WORDS = 4096;

interface Learned {
  code: HuffmanCode;
  /** Bits of the samples' codes and of the table. */
  bits: number;
}

function learn(samples: Symbols, cutting: Cutting): Learned {
  const counts = countSymbols(cut(samples, cutting), wordCount(cutting));
  const lengths = codeLengths(counts.map((count) => 8 * count + 1));
  const bits = codedBits(counts, lengths) + 8 * tableBytes(cutting, lengths);
  return { code: wordCode(cutting, lengths), bits };
}

function cheapest(samples: Symbols, cuttings: Cutting[]): HuffmanCode {
  let best: Learned | undefined;
  for (const cutting of cuttings) {
    const learned = learn(samples, cutting);
    if (!best || learned.bits < best.bits) best = learned;
  }
  return best!.code;
}

const plain = (alphabetSize: number): Cutting[] => [{ alphabetSize, groupSize: 1, runLimit: 0 }];

/** Every size of group, or length of run, whose words are few enough. */
export function groupCuttings(alphabetSize: number): Cutting[] {
  return [2, 3, 4, 5, 6, 7, 8]
    .map((groupSize) => ({ alphabetSize, groupSize, runLimit: 0 }))
    .filter((cutting) => alphabetSize > 1 && wordCount(cutting) <= MAX_WORDS);
}

export function runCuttings(alphabetSize: number): Cutting[] {
  return [4, 8, 16, 32, 64, 128, 256]
    .map((runLimit) => ({ alphabetSize, groupSize: 1, runLimit }))
    .filter((cutting) => alphabetSize > 1 && wordCount(cutting) <= MAX_WORDS);
}

/**
 * A code of `groupSize` symbols jointly (the extended alphabet): reaches below 1 bit a symbol, and takes what
 * neighbours say of each other.
 *
 * @param samples the symbols to learn from
 * @param options.alphabetSize symbols are 0 .. alphabetSize - 1, in samples and in all later data
 * @param options.groupSize 2 .. 8 symbols with alphabetSize ** groupSize <= 65,536; default: the size up to 4,096
 *   words that codes the samples and its own table in the fewest bits
 */
export function groupCode(
  samples: Symbols,
  { alphabetSize, groupSize }: { alphabetSize: number; groupSize?: number },
): HuffmanCode {
  checkSymbols(samples);
  checkAlphabetSize(alphabetSize);
  if (groupSize === undefined) {
    const cuttings = groupCuttings(alphabetSize);
    return cheapest(samples, cuttings.length > 0 ? cuttings : plain(alphabetSize));
  }
  const cutting = { alphabetSize, groupSize, runLimit: 0 };
  if (!Number.isInteger(groupSize) || groupSize < 1 || alphabetSize < 2 || !isCutting(cutting)) {
    throw new RangeError(
      "groupSize: expected an integer in 1 .. 8 with alphabetSize ** groupSize <= 65536, " +
        `got ${String(groupSize)} for alphabetSize ${alphabetSize}`,
    );
  }
  return learn(samples, cutting).code;
}

/**
 * A code of (zero run, value) words, for data that is mostly 0.
 *
 * @param samples the symbols to learn from
 * @param options.alphabetSize 2 or more; symbols are 0 .. alphabetSize - 1, in samples and in all later data
 * @param options.runLimit the longest run of zeros in a word, a power of two in 2 .. 256, with
 *   runLimit * (alphabetSize - 1) < 65,536; default: the limit up to 4,096 words that codes the samples and its own
 *   table in the fewest bits
 */
export function runCode(
  samples: Symbols,
  { alphabetSize, runLimit }: { alphabetSize: number; runLimit?: number },
): HuffmanCode {
  checkSymbols(samples);
  checkAlphabetSize(alphabetSize);
  if (runLimit === undefined) {
    const cuttings = runCuttings(alphabetSize);
    return cheapest(samples, cuttings.length > 0 ? cuttings : plain(alphabetSize));
  }
  const cutting = { alphabetSize, groupSize: 1, runLimit };
  if (
    !(Math.log2(runLimit) >= 1) ||
    runLimit !== 1 << Math.log2(runLimit) ||
    alphabetSize < 2 ||
    !isCutting(cutting)
  ) {
    throw new RangeError(
      "runLimit: expected a power of two in 2 .. 256 with runLimit * (alphabetSize - 1) < 65536, " +
        `got ${String(runLimit)} for alphabetSize ${alphabetSize}`,
    );
  }
  return learn(samples, cutting).code;
}

/**
 * The code that is cheapest for the samples, table included: single symbols, groups, or zero runs.
 *
 * @param samples the symbols to learn from
 * @param alphabetSize 1 .. 65,536; symbols are 0 .. alphabetSize - 1, in samples and in all later data
 */
export function learnCode(samples: Symbols, alphabetSize: number): HuffmanCode {
  checkSymbols(samples);
  checkAlphabetSize(alphabetSize);
  return cheapest(samples, [
    ...plain(alphabetSize),
    ...groupCuttings(alphabetSize),
    ...runCuttings(alphabetSize),
  ]);
}
