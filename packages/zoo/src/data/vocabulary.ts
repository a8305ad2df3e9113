// A WordPiece vocabulary learned from texts by byte pair encoding (Sennrich et al. 2016; Hugging Face's WordPiece trainer
// does the same): start from characters, and join the most frequent pair of neighbours again and again. Example: from
// "low low lower" come l ##o ##w ##e ##r, then lo (of l ##o, 3 times), low, and later ##er.
import { Tokenizer } from "@huggingface/tokenizers";
import { wordPieceJson } from "./tokenizer.js";

const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/** Longer words are rare and cost every step: a decoder spells them. */
const LONGEST_WORD = 30;

/** A word as its pieces, and how often it occurs. */
interface Word {
  pieces: string[];
  count: number;
}

/**
 * The lines of a vocab.txt for BERT's uncased tokenizer: special tokens, characters, then pieces in the order in which
 * they were joined. Pieces inside a word begin with ##. The same texts give the same vocabulary.
 *
 * @param size most entries; fewer where the texts have no more pairs that occur twice
 * @throws {RangeError} if the characters alone are more than `size`
 */
export function learnVocabulary(texts: readonly string[], size: number): string {
  const words = countWords(texts);
  const characters = [...new Set(words.flatMap(({ pieces }) => pieces))].sort();
  const vocabulary = new Set([...SPECIAL, ...characters]);
  if (vocabulary.size > size) {
    throw new RangeError(`size must be at least ${vocabulary.size}, the texts' characters; got ${size}.`);
  }
  const counts = new Map<string, number>();
  const places = new Map<string, Set<Word>>();
  const add = (word: Word, sign: 1 | -1) => {
    for (let i = 1; i < word.pieces.length; i++) {
      const pair = `${word.pieces[i - 1]} ${word.pieces[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + sign * word.count);
      const found = places.get(pair);
      if (found) found.add(word);
      else places.set(pair, new Set([word]));
    }
  };
  for (const word of words) add(word, 1);

  while (vocabulary.size < size) {
    const pair = mostFrequent(counts);
    if (pair === undefined) break;
    const [left, right] = pair.split(" ") as [string, string];
    const joined = left + right.slice(2);
    vocabulary.add(joined);
    for (const word of places.get(pair)!) {
      if (!word.pieces.some((piece, i) => piece === left && word.pieces[i + 1] === right)) continue;
      add(word, -1);
      for (let i = 0; i + 1 < word.pieces.length; i++) {
        if (word.pieces[i] === left && word.pieces[i + 1] === right) word.pieces.splice(i, 2, joined);
      }
      add(word, 1);
    }
    counts.delete(pair);
    places.delete(pair);
  }
  return `${[...vocabulary].join("\n")}\n`;
}

/** Words as the tokenizer cuts them, most frequent first, each as its characters. */
function countWords(texts: readonly string[]): Word[] {
  const vocab = Object.fromEntries(SPECIAL.map((token, id) => [token, id]));
  const { normalizer, pre_tokenizer: cutter } = new Tokenizer(wordPieceJson(vocab), {});
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of cutter!(normalizer!(text))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts]
    .filter(([word]) => word.length <= LONGEST_WORD)
    .map(([word, count]) => ({ pieces: [...word].map((c, i) => (i === 0 ? c : `##${c}`)), count }));
}

/** Most frequent pair; of equals the first in the alphabet, so that the order of the texts makes no difference. */
function mostFrequent(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined;
  let most = 1;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) {
      best = pair;
      most = count;
    }
  }
  return best;
}
