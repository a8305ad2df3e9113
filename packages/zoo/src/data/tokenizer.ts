// BERT's WordPiece tokens by Hugging Face's own library, cut and padded to one length (tfjs on wasm wants fixed
// shapes). Example: the pair ("a b c", "d") cut to 7 tokens is [CLS] a b c [SEP] d [SEP], token types 0 0 0 0 0 1 1.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";

/** Turns a text into vocabulary indices, without special tokens. */
export interface BertTokenizer {
  encode: (text: string) => number[];
  /** Indices of the special tokens. */
  special: { padding: number; first: number; separator: number };
  vocabSize: number;
}

/** Sequences of one length, each array [count, length] in row-major order: see BertInput. */
export interface EncodedTexts {
  ids: Int32Array;
  mask: Float32Array;
  tokenTypes: Int32Array;
  length: number;
}

/**
 * The tokenizer of a Hugging Face folder: tokenizer.json where there is one, else vocab.txt, read as
 * tokenizer_config.json says (do_lower_case, strip_accents, tokenize_chinese_chars; uncased by default).
 *
 * @throws {Error} if neither file exists.
 */
export async function loadTokenizer(folder: string): Promise<BertTokenizer> {
  const config = (await readOptional(join(folder, "tokenizer_config.json"))) ?? "{}";
  const whole = await readOptional(join(folder, "tokenizer.json"));
  if (whole !== undefined) return tokenizerFromJson(JSON.parse(whole), JSON.parse(config));
  return tokenizerFromVocabulary(await readFile(join(folder, "vocab.txt"), "utf8"), JSON.parse(config));
}

/** A tokenizer from the lines of a vocab.txt: line n, counted from 0, is token n. */
export function tokenizerFromVocabulary(text: string, config: Record<string, unknown> = {}): BertTokenizer {
  const tokens = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return tokenizerFromJson(wordPieceJson(vocab, config), config);
}

/** The content of a tokenizer.json that BERT's WordPiece tokenizer with this vocabulary would have. */
export function wordPieceJson(
  vocab: Record<string, number>,
  config: Record<string, unknown> = {},
): Record<string, unknown> {
  const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].filter((token) => token in vocab);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config["tokenize_chinese_chars"] ?? true,
      strip_accents: config["strip_accents"] ?? null,
      lowercase: config["do_lower_case"] ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

/**
 * Encodes texts, or pairs of them, as BERT takes them: [CLS] first [SEP], or [CLS] first [SEP] second [SEP], padded
 * to `length`. What is too long is cut as transformers' "longest_first" does: the longer text first, and both to half
 * where neither fits.
 *
 * @param length tokens of every sequence, at least 3 for texts, 5 for pairs
 */
export function encodeTexts(
  { encode, special }: BertTokenizer,
  texts: readonly { first: string; second?: string }[],
  length: number,
): EncodedTexts {
  if (!(Number.isInteger(length) && length >= 5))
    throw new RangeError(`length must be an integer >= 5, got ${length}.`);
  const ids = new Int32Array(texts.length * length).fill(special.padding);
  const mask = new Float32Array(texts.length * length);
  const tokenTypes = new Int32Array(texts.length * length);
  for (const [row, { first, second }] of texts.entries()) {
    const a = encode(first);
    const b = second === undefined ? undefined : encode(second);
    const [keptA, keptB] = cutLengths(a.length, b?.length, length);
    const sequence = [special.first, ...a.slice(0, keptA), special.separator];
    const segment = sequence.length;
    if (b !== undefined) sequence.push(...b.slice(0, keptB), special.separator);
    ids.set(sequence, row * length);
    mask.fill(1, row * length, row * length + sequence.length);
    tokenTypes.fill(1, row * length + segment, row * length + sequence.length);
  }
  return { ids, mask, tokenTypes, length };
}

// How many tokens of each text stay.
function cutLengths(first: number, second: number | undefined, length: number): [number, number] {
  if (second === undefined) return [Math.min(first, length - 2), 0];
  const room = length - 3;
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second, Math.floor(room / 2));
  return first > second ? [room - shorter, shorter] : [shorter, room - shorter];
}

function tokenizerFromJson(json: Record<string, unknown>, config: Record<string, unknown>): BertTokenizer {
  const tokenizer = new Tokenizer(json as never, config as never);
  const idOf = (token: string) => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined) throw new RangeError(`The vocabulary has no ${token}: it is not that of a BERT.`);
    return id;
  };
  const special = { padding: idOf("[PAD]"), first: idOf("[CLS]"), separator: idOf("[SEP]") };
  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;
  return { encode, special, vocabSize: Object.keys((json["model"] as { vocab: object }).vocab).length };
}

async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
